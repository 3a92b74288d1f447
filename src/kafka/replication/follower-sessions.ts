import type { Clock, Timers } from "../../host/clock.ts";
import type { Random } from "../../host/random.ts";
import { partitionName } from "../log/names.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { availableTo, isUrgent, readPartition, type FetchAsked, type Fetched } from "./fetch.ts";
import type { FetchClock } from "./leader-state.ts";
import type { Partition } from "./partition.ts";
import type { PartitionChange } from "./ports.ts";

export interface FollowerFetch {
  readonly replicaId: number;
  /** Each fetcher of a broker has its own. */
  readonly clientId: string;
  readonly sessionId: number;
  readonly sessionEpoch: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  readonly partitions: readonly FollowerPartition[];
  readonly forgotten: readonly { readonly topic: string; readonly partition: number }[];
}

export interface FollowerPartition extends FetchAsked {
  readonly topic: string;
  readonly partition: number;
  readonly logStartOffset: number;
}

export interface FollowerFetched {
  readonly errorCode: ErrorCode;
  readonly sessionId: number;
  readonly partitions: readonly { readonly topic: string; readonly partition: number; readonly fetched: Fetched }[];
}

export interface FollowerSessionsOptions {
  /** max.incremental.fetch.session.cache.slots */
  readonly slots: number;
  readonly random: Random;
  readonly clock: Clock;
  readonly timers: Timers;
  /** The partition, or why this broker can't be asked for it. */
  find(topic: string, partition: number): Partition | ErrorCode;
}

const NO_SESSION = 0;
const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;
const EPOCH_MAX = 0x7fff_ffff;
/** How long a follower may take to hear from the controller what this broker has heard, and how long its fetches wait meanwhile. */
const EXPECTED_MS = 1000;
const WAIT_MS_MAX_WHILE_EXPECTED = 10;
const nothing = (): void => undefined;
const FROM_LEADER = { bound: "end", leaderOnly: true } as const;

/** One partition in a session. */
interface Entry {
  asked: FollowerPartition;
  found: Partition | ErrorCode;
  /** Ends the watch of `found`. */
  unwatch: () => void;
  /** The broker has no replica of it: it reads nothing. */
  isStranger: boolean;
  /** What the follower has been told; -1: nothing yet, or an error last. */
  sentHighWatermark: number;
  sentLogStart: number;
}

/** What a follower is about to fetch and does not yet, by `topic-partition`. */
interface Expected {
  readonly names: Set<string>;
  untilMs: number;
}

/** A request that waits for more. */
interface Wait {
  /** An entry may be worth reading now. */
  look(entry: Entry): void;
  finish(): void;
}

interface Session {
  /** 0: for one request alone. */
  readonly id: number;
  readonly owner: string;
  readonly replicaId: number;
  /** What the next request must say. */
  epoch: number;
  readonly clock: FetchClock;
  readonly entries: Map<string, Entry>;
  /**
   * Those that a fetch must look at, in the order in which they are read: named or changed since the last answer, with
   * an error, with more to read, or where the follower is not in sync for good.
   */
  readonly dirty: Set<Entry>;
  /** `gone`: the follower has begun another session, or the broker stops; an answer would reach nobody. */
  state: "idle" | "answering" | "gone";
  wait: Wait | undefined;
}

/**
 * Followers' fetches, within sessions (KIP-227): each costs work for the partitions that it names and those that have
 * changed, not for all that are followed. That a follower has all before the offset that it asks for is noted in the
 * turn of the call. Followers have this table for themselves: in Apache's they share one with consumers, and have
 * privileges there.
 * Source: kafka/server/FetchSession.scala, ReplicaManager.fetchMessages, DelayedFetch.scala.
 */
export class FollowerSessions {
  readonly #options: FollowerSessionsOptions;
  /** The least recently used first. */
  readonly #sessions = new Map<number, Session>();
  readonly #byOwner = new Map<string, Session>();
  /** Of one request each. */
  readonly #transient = new Set<Session>();
  /** By replica. */
  readonly #expected = new Map<number, Expected>();

  constructor(options: FollowerSessionsOptions) {
    this.#options = options;
  }

  /** Sessions in the table. */
  get size(): number {
    return this.#sessions.size;
  }

  /**
   * Answers at once where there is enough, an error or a divergence; else within `maxWaitMs`. A full answer (session
   * epochs 0 and -1) holds every partition that was asked for, an incremental one those that have something new.
   */
  async fetch(request: FollowerFetch): Promise<FollowerFetched> {
    const isFull = request.sessionEpoch === INITIAL_EPOCH || request.sessionEpoch === FINAL_EPOCH;
    const session = isFull ? this.#begin(request) : this.#goOn(request);
    if (typeof session === "number") return { errorCode: session, sessionId: NO_SESSION, partitions: [] };
    update(session, request);
    this.#arrived(request);
    if (session.entries.size === 0) {
      this.#drop(session);
      return { errorCode: ErrorCode.NONE, sessionId: NO_SESSION, partitions: [] };
    }
    // No await before this: an acknowledgement must not wait for a disk, nor come twice for one request.
    this.#acknowledge(session);
    try {
      const results = await this.#serve(session, request);
      if (results === undefined) return { errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH, sessionId: session.id, partitions: [] };
      return { errorCode: ErrorCode.NONE, sessionId: session.id, partitions: toldOf(results, isFull) };
    } finally {
      if (this.#transient.delete(session)) for (const entry of session.entries.values()) entry.unwatch();
      else if (session.state === "answering") session.state = "idle";
    }
  }

  /**
   * These replicas have to fetch a partition from here from now on, and hear of it at about this time. No fetch of theirs
   * waits for news of other partitions meanwhile: a new topic would have its first record committed only after
   * replica.fetch.wait.max.ms, as with Apache's.
   */
  expect(name: string, replicaIds: readonly number[]): void {
    const untilMs = this.#options.clock.monotonicMs() + EXPECTED_MS;
    for (const replicaId of replicaIds) {
      const expected = this.#expected.get(replicaId);
      if (expected === undefined) this.#expected.set(replicaId, { names: new Set([name]), untilMs });
      else {
        expected.names.add(name);
        expected.untilMs = untilMs;
      }
    }
    for (const session of [...this.#sessions.values(), ...this.#transient]) if (replicaIds.includes(session.replicaId)) session.wait?.finish();
  }

  /** Ends all waits and forgets all sessions. */
  close(): void {
    for (const session of [...this.#sessions.values(), ...this.#transient]) this.#drop(session);
  }

  // ---- sessions

  /** A session in place of the follower's one before; one for this request alone where it asks for no other or the table is full. */
  #begin({ replicaId, clientId, sessionEpoch, partitions }: FollowerFetch): Session {
    const owner = ownerOf(replicaId, clientId);
    const before = this.#byOwner.get(owner);
    if (before !== undefined) this.#drop(before);
    const lasts = sessionEpoch === INITIAL_EPOCH && partitions.length > 0 && this.#makeRoom();
    const id = lasts ? this.#newId() : NO_SESSION;
    const session: Session = { id, owner, replicaId, epoch: 1, clock: { ms: Number.NEGATIVE_INFINITY }, entries: new Map(), dirty: new Set(), state: "answering", wait: undefined };
    if (lasts) {
      this.#sessions.set(id, session);
      this.#byOwner.set(owner, session);
    } else {
      this.#transient.add(session);
    }
    return session;
  }

  /** The session that the request names, or the error of its whole response. */
  #goOn({ replicaId, clientId, sessionId, sessionEpoch }: FollowerFetch): Session | ErrorCode {
    const session = this.#sessions.get(sessionId);
    if (session === undefined || session.owner !== ownerOf(replicaId, clientId)) return ErrorCode.FETCH_SESSION_ID_NOT_FOUND;
    // Nobody who waits for an answer asks again in the same session.
    if (session.epoch !== sessionEpoch || session.state !== "idle") return ErrorCode.INVALID_FETCH_SESSION_EPOCH;
    session.epoch = epochAfter(sessionEpoch);
    session.state = "answering";
    this.#sessions.delete(sessionId);
    this.#sessions.set(sessionId, session);
    return session;
  }

  /** The least recently used session goes, but none that is being answered: its follower would come back at once, and push out another. */
  #makeRoom(): boolean {
    if (this.#sessions.size < this.#options.slots) return true;
    for (const session of this.#sessions.values()) {
      if (session.state !== "idle") continue;
      this.#drop(session);
      return true;
    }
    return false;
  }

  #newId(): number {
    for (;;) {
      const id = 1 + this.#options.random.below(EPOCH_MAX);
      if (!this.#sessions.has(id)) return id;
    }
  }

  #drop(session: Session): void {
    this.#sessions.delete(session.id);
    if (this.#byOwner.get(session.owner) === session) this.#byOwner.delete(session.owner);
    this.#transient.delete(session);
    session.state = "gone";
    // Its clock stands still from now on: there is nothing to tell the partitions.
    for (const entry of session.entries.values()) entry.unwatch();
    session.wait?.finish();
  }

  // ---- one request

  #arrived({ replicaId, partitions }: FollowerFetch): void {
    const expected = this.#expected.get(replicaId);
    if (expected === undefined) return;
    for (const { topic, partition } of partitions) expected.names.delete(partitionName(topic, partition));
    if (expected.names.size === 0 || expected.untilMs < this.#options.clock.monotonicMs()) this.#expected.delete(replicaId);
  }

  /** What the request says of its partitions: how far the follower is, where the leader can tell. */
  #acknowledge(session: Session): void {
    const { replicaId, clock } = session;
    // What is acknowledged here may change partitions of this very session: the next fetch looks at those.
    const dirty = [...session.dirty];
    for (const entry of dirty) {
      if (typeof entry.found === "number" || !entry.found.isRunning) this.#resolve(session, entry);
      const { asked, found } = entry;
      if (typeof found === "number") continue;
      if (isSound(found, asked)) entry.isStranger = !found.fetchedBy(replicaId, { fetchOffset: asked.fetchOffset, logStartOffset: asked.logStartOffset, clock });
      else found.fetchEnded(replicaId, clock);
    }
    clock.ms = this.#options.clock.monotonicMs();
  }

  /** Finds the entry's partition: it may have come, gone, or been made again. */
  #resolve(session: Session, entry: Entry): void {
    const found = this.#options.find(entry.asked.topic, entry.asked.partition);
    if (found === entry.found) return;
    leave(session, entry);
    entry.found = found;
    entry.unwatch = typeof found === "number" ? nothing : found.watch((change) => onChange(session, entry, change));
  }

  /** What there is to tell. Undefined: the session is gone. */
  async #serve(session: Session, request: FollowerFetch): Promise<Map<Entry, Fetched> | undefined> {
    const minBytes = Math.min(request.minBytes, request.maxBytes);
    const first = await readDirty(session, request.maxBytes);
    if (first === undefined) return undefined;
    let bytes = 0;
    let isDue = request.maxWaitMs <= 0;
    for (const fetched of first.values()) {
      bytes += fetched.bytes;
      isDue ||= isUrgent(fetched);
    }
    if (isDue || bytes >= minBytes) return first;
    for (const entry of first.keys()) session.dirty.add(entry);
    const maxWaitMs = this.#expected.has(session.replicaId) ? Math.min(request.maxWaitMs, WAIT_MS_MAX_WHILE_EXPECTED) : request.maxWaitMs;
    await this.#untilWorthReading(session, { minBytes, maxWaitMs });
    // Not one more acknowledgement: what the follower has was known when it asked.
    return isGone(session) ? undefined : readDirty(session, request.maxBytes);
  }

  /** Resolves when a read would give `minBytes` or an error, when the time is over, or the session gone. */
  #untilWorthReading(session: Session, { minBytes, maxWaitMs }: { readonly minBytes: number; readonly maxWaitMs: number }): Promise<void> {
    const { timers } = this.#options;
    return new Promise((resolve) => {
      const marked = new Set<Entry>();
      const withData = new Map<Entry, number>();
      let looking = false;
      const wait: Wait = {
        // However much one turn appends, it is looked at once.
        look: (entry) => {
          marked.add(entry);
          if (looking) return;
          looking = true;
          timers.soon(() => {
            looking = false;
            if (session.wait !== wait) return;
            for (const one of marked) withData.set(one, availableIn(one));
            marked.clear();
            let bytes = 0;
            for (const available of withData.values()) bytes += available;
            if (bytes >= minBytes) wait.finish();
          });
        },
        finish: () => {
          session.wait = undefined;
          timer.cancel();
          resolve();
        },
      };
      const timer = timers.after(maxWaitMs, () => wait.finish());
      session.wait = wait;
      // Something may have come while the first read waited for a file.
      for (const entry of session.dirty) wait.look(entry);
    });
  }
}

/** 0 begins a session. */
export function epochAfter(epoch: number): number {
  return epoch === EPOCH_MAX ? 1 : epoch + 1;
}

function ownerOf(replicaId: number, clientId: string): string {
  return `${replicaId} ${clientId}`;
}

function isGone({ state }: Session): boolean {
  return state === "gone";
}

function update(session: Session, { partitions, forgotten }: FollowerFetch): void {
  for (const asked of partitions) {
    const name = partitionName(asked.topic, asked.partition);
    let entry = session.entries.get(name);
    if (entry === undefined) session.entries.set(name, (entry = { asked, found: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, unwatch: nothing, isStranger: false, sentHighWatermark: -1, sentLogStart: -1 }));
    entry.asked = asked;
    session.dirty.add(entry);
  }
  for (const { topic, partition } of forgotten) {
    const name = partitionName(topic, partition);
    const entry = session.entries.get(name);
    if (entry === undefined) continue;
    leave(session, entry);
    session.entries.delete(name);
    session.dirty.delete(entry);
  }
}

/** Lets go of the entry's partition, which is not fetched any more. */
function leave({ replicaId, clock }: Session, entry: Entry): void {
  entry.unwatch();
  if (typeof entry.found !== "number") entry.found.fetchEnded(replicaId, clock);
}

function onChange({ dirty, wait }: Session, entry: Entry, change: PartitionChange): void {
  if (change === "followerStart") return;
  dirty.add(entry);
  // The high watermark alone ends no wait: the follower hears of it with the next data, or at the end of the wait.
  if (change === "end" || change === "role") wait?.look(entry);
}

/** Whether what is asked for can be told; where not, the read will say why. */
function isSound(partition: Partition, asked: FollowerPartition): boolean {
  const { fetchOffset, currentLeaderEpoch, lastFetchedEpoch } = asked;
  if (partition.check({ currentLeaderEpoch, leaderOnly: true }) !== ErrorCode.NONE || partition.divergence(lastFetchedEpoch, fetchOffset) !== undefined) return false;
  return fetchOffset >= partition.log.startOffset && fetchOffset <= partition.log.endOffset;
}

/** Bytes that a read would give; Infinity where it should not wait. */
function availableIn({ asked, found, isStranger }: Entry): number {
  if (isStranger && typeof found !== "number") return isSound(found, asked) ? 0 : Infinity;
  return availableTo(found, asked, FROM_LEADER);
}

/**
 * Reads what the session must look at, in its order. Whatever has more to tell stays dirty, those that gave data behind
 * the others, so that each has its turn in a response that is full. Undefined: the session is gone.
 */
async function readDirty(session: Session, maxBytes: number): Promise<Map<Entry, Fetched> | undefined> {
  const results = new Map<Entry, Fetched>();
  let room = maxBytes;
  let minOneMessage = true;
  const dirty = [...session.dirty];
  for (const entry of dirty) {
    // A change while the file is read makes it dirty again.
    session.dirty.delete(entry);
    const { asked, found, isStranger } = entry;
    const limit = isStranger ? 0 : Math.min(asked.maxBytes, room);
    const fetched = await readPartition(found, { ...asked, maxBytes: limit }, { ...FROM_LEADER, minOneMessage: minOneMessage && !isStranger });
    if (isGone(session)) return undefined;
    if (fetched.bytes > 0) minOneMessage = false;
    room = Math.max(0, room - fetched.bytes);
    results.set(entry, fetched);
  }
  for (const [entry, fetched] of results) if (fetched.bytes === 0 && mustLookAgain(session, entry, fetched)) session.dirty.add(entry);
  for (const [entry, fetched] of results) if (fetched.bytes > 0) session.dirty.add(entry);
  return results;
}

/** There is more to read, or the follower's next fetch, though nothing has changed, may bring it into the ISR. */
function mustLookAgain({ replicaId }: Session, { asked, found }: Entry, fetched: Fetched): boolean {
  return isUrgent(fetched) || (typeof found !== "number" && (asked.fetchOffset < found.log.endOffset || found.mayJoin(replicaId)));
}

/** Which of what was read the follower is told, noted as told. */
function toldOf(results: ReadonlyMap<Entry, Fetched>, isFull: boolean): FollowerFetched["partitions"] {
  const told: { topic: string; partition: number; fetched: Fetched }[] = [];
  for (const [entry, fetched] of results) {
    const { asked, sentHighWatermark, sentLogStart } = entry;
    const isNews = fetched.bytes > 0 || isUrgent(fetched) || fetched.highWatermark !== sentHighWatermark || fetched.logStartOffset !== sentLogStart;
    if (!isFull && !isNews) continue;
    // After an error, whatever comes next is news.
    entry.sentHighWatermark = fetched.highWatermark;
    entry.sentLogStart = fetched.logStartOffset;
    told.push({ topic: asked.topic, partition: asked.partition, fetched });
  }
  return told;
}
