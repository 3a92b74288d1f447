import { epochOf, NO_SESSION, toHex, type SessionId, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import type { Call, Reply, Transcript } from "./client-tap.ts";
import { describe } from "./check-history.ts";
import type { Model } from "./model.ts";
import { Violation } from "./violation.ts";

/** What a client is promised of its session, whatever member it speaks to. */
export function checkSessions(transcripts: readonly Transcript[], model: Model): void {
  const bySession = new Map<SessionId, Transcript[]>();
  for (const transcript of transcripts) {
    const id = transcript.session === NO_SESSION ? transcript.asked : transcript.session;
    if (id === NO_SESSION) continue;
    const list = bySession.get(id) ?? [];
    bySession.set(id, list);
    list.push(transcript);
  }
  for (const [session, connections] of bySession) checkSession(session, connections, model);
}

function checkSession(session: SessionId, connections: readonly Transcript[], model: Model): void {
  const id = `0x${toHex(session)}`;
  const state = model.sessions.get(session);
  if (state === undefined) throw new Violation("sessions", `${id} was given to ${connections[0]?.client}, and the history does not open it`);
  let seen = 0 as Zxid;
  for (const connection of connections.toSorted((a, b) => a.openedAt - b.openedAt)) {
    if (connection.expired && state.closed === undefined) throw new Violation("sessions", `${connection.server} told ${connection.client} that its session ${id} has expired, and the history does not end it`);
    if (connection.session !== NO_SESSION && connection.asked !== NO_SESSION && connection.asked !== connection.session) {
      throw new Violation("sessions", `${connection.client} came to ${connection.server} with session 0x${toHex(connection.asked)} and was given ${id}`);
    }
    for (const heard of connection.heard) {
      if (heard.kind !== "reply") continue;
      const { zxid, call } = heard;
      if (zxid < seen) throw new Violation("no way back", `${describe(call)} was answered at zxid 0x${toHex(zxid)}, after its session had seen 0x${toHex(seen)}`);
      seen = zxid;
      if (state.closed !== undefined && zxid >= state.closed && call.type !== OpCode.closeSession) {
        throw new Violation("sessions", `${describe(call)} was answered at zxid 0x${toHex(zxid)}, and its session ended at 0x${toHex(state.closed)}`);
      }
    }
  }
}

/**
 * After a sync a client sees all that anybody had seen before it asked. A leader that was replaced and does not know
 * it yet may still answer: it has all of its own epoch. It must have stepped down after `staleMsMax`; where that is
 * undefined nobody can tell when.
 */
export function checkSyncs(transcripts: readonly Transcript[], staleMsMax: number | undefined): number {
  const replies = transcripts.flatMap((transcript) => transcript.heard).filter((heard) => heard.kind === "reply");
  const syncs = replies.filter(({ call, err }) => call.type === OpCode.sync && err === 0).toSorted((a, b) => a.call.at - b.call.at);
  const seen: Seen = { byEpoch: new Map(), all: [] };
  const inOrder = replies.toSorted((a, b) => a.at - b.at);
  let next = 0;
  for (const sync of syncs) {
    for (let reply = inOrder[next]; reply !== undefined && reply.at < sync.call.at; reply = inOrder[++next]) see(seen, reply);
    checkSync(sync, sync.call, seen, staleMsMax);
  }
  return syncs.length;
}

interface Seen {
  readonly byEpoch: Map<number, Reply>;
  /** Each with a higher zxid than those before it, in the order of time. */
  readonly all: Reply[];
}

function see({ byEpoch, all }: Seen, reply: Reply): void {
  const epoch = epochOf(reply.zxid);
  if (reply.zxid > (byEpoch.get(epoch)?.zxid ?? -1)) byEpoch.set(epoch, reply);
  if (reply.zxid > (all.at(-1)?.zxid ?? -1)) all.push(reply);
}

function checkSync(sync: Reply, call: Call, seen: Seen, staleMsMax: number | undefined): void {
  const newest = staleMsMax === undefined ? undefined : seen.all.findLast((reply) => reply.atMs < call.atMs - staleMsMax);
  for (const earlier of [...seen.byEpoch.values(), newest]) {
    if (earlier === undefined || earlier.zxid <= sync.zxid) continue;
    if (earlier !== newest && epochOf(earlier.zxid) > epochOf(sync.zxid)) continue;
    throw new Violation("sync", `${describe(call)} was answered at zxid 0x${toHex(sync.zxid)}, after ${describe(earlier.call)} had been answered at 0x${toHex(earlier.zxid)} at ${earlier.atMs.toFixed(3)} ms`);
  }
}
