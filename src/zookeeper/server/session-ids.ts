import { firstSessionId } from "../protocol/connect.ts";
import { sessionId, type SessionId } from "../protocol/ids.ts";

/**
 * The ids that a member gives to new sessions: its own number and the time of its start, counted up. Apache's server
 * takes the system's monotonic clock; ours may start anew with each process, and an id that comes back would hand one
 * client's session to another. Source: SessionTrackerImpl.initializeNextSession.
 */
export class SessionIds {
  #next: SessionId;

  constructor(serverId: number, wallMs: number) {
    this.#next = firstSessionId(serverId, wallMs);
  }

  /** One that is not `known`. */
  next(known: { has(id: SessionId): boolean }): SessionId {
    while (known.has(this.#next)) this.#next = sessionId(this.#next + 1n);
    const id = this.#next;
    this.#next = sessionId(id + 1n);
    return id;
  }
}
