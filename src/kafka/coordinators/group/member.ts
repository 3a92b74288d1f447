import { must } from "../../../lib/assert.ts";
import type { Deadline } from "./deadlines.ts";
import type { Ring } from "./group.ts";
import type { GroupProtocol, StoredMember } from "./types.ts";

export const noBytes = Buffer.alloc(0);

/**
 * One member of a group. What it keeps of a request is copied: requests are views of frames that are far larger.
 * Source: MemberMetadata.
 */
export class Member {
  /** A static member that comes back gets a new one. */
  id: string;
  /** Null: a dynamic member. */
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  assignment: Buffer = noBytes;
  /** The JoinGroup that waits for the generation to come; `Group` counts them, so only it sets this. */
  joinTicket: number | undefined;
  /** The SyncGroup that waits for the leader's assignment. */
  syncTicket: number | undefined;
  /** Has not had an answer with a generation yet, so it can't send heartbeats. */
  isNew = false;
  /** Infinity: it is waiting for us, so it is not expected to say anything. */
  expiresAtMs = Infinity;
  /** What looks at `expiresAtMs`; never later than that, often earlier. */
  deadline: Deadline<Ring> | undefined;
  #protocols: readonly GroupProtocol[] = [];
  #metadata: ReadonlyMap<string, Buffer> = new Map();

  constructor(member: Pick<StoredMember, "memberId" | "instanceId" | "clientId" | "clientHost" | "rebalanceTimeoutMs" | "sessionTimeoutMs">) {
    this.id = member.memberId;
    this.instanceId = member.instanceId;
    this.clientId = member.clientId;
    this.clientHost = member.clientHost;
    this.rebalanceTimeoutMs = member.rebalanceTimeoutMs;
    this.sessionTimeoutMs = member.sessionTimeoutMs;
  }

  get isStatic(): boolean {
    return this.instanceId !== null;
  }

  /** In the order of its preference. `Group` counts who has which, so only it sets them. */
  get protocols(): readonly GroupProtocol[] {
    return this.#protocols;
  }

  set protocols(protocols: readonly GroupProtocol[]) {
    this.#protocols = protocols;
    const metadata = new Map<string, Buffer>();
    for (const protocol of protocols) if (!metadata.has(protocol.name)) metadata.set(protocol.name, protocol.metadata);
    this.#metadata = metadata;
  }

  /** Each name once, whatever the client's list says. */
  get protocolNames(): Iterable<string> {
    return this.#metadata.keys();
  }

  metadataFor(protocol: string): Buffer {
    return must(this.#metadata.get(protocol), `metadata of member ${this.id} for protocol ${protocol}`);
  }

  /** Whether the member says the same as before, in the same order and to the byte. */
  matches(protocols: readonly GroupProtocol[]): boolean {
    if (protocols.length !== this.#protocols.length) return false;
    return protocols.every((protocol, at) => {
      const known = this.#protocols[at];
      return known?.name === protocol.name && known.metadata.equals(protocol.metadata);
    });
  }

  /** The first of its protocols that is among the candidates. */
  vote(candidates: ReadonlySet<string>): string {
    return must(this.#protocols.find(({ name }) => candidates.has(name)), `a protocol that member ${this.id} has in common with its group`).name;
  }

  stored(protocol: string, assignment: Buffer): StoredMember {
    return this.#described(this.metadataFor(protocol), assignment);
  }

  /** As a group that is not stable shows it. */
  get described(): StoredMember {
    return this.#described(noBytes, noBytes);
  }

  #described(subscription: Buffer, assignment: Buffer): StoredMember {
    const { id, instanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs } = this;
    return { memberId: id, instanceId, clientId, clientHost, rebalanceTimeoutMs, sessionTimeoutMs, subscription, assignment };
  }
}

/** A request's protocols, copied out of its frame. */
export function copyProtocols(protocols: readonly GroupProtocol[]): GroupProtocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }));
}
