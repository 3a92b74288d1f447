import { ErrorCode } from "../protocol/errors.ts";
import type { SessionId } from "../protocol/ids.ts";
import { ExpiryQueue, type Expiring } from "./expiry-queue.ts";

interface TrackedSession extends Expiring {
  readonly id: SessionId;
  closing: boolean;
  /** Where its requests come from; unset until the first one, after a start. */
  owner: unknown;
}

/**
 * The sessions of a leader or of a standalone member: who is alive, until when, and through which member it speaks.
 * Times are ms of the monotonic clock. Source: SessionTrackerImpl.
 */
export class SessionTracker {
  readonly #sessions = new Map<SessionId, TrackedSession>();
  readonly #expiry: ExpiryQueue<TrackedSession>;

  /** `known`: sessions with their timeouts (ms), each of which starts anew. */
  constructor(tickMs: number, known: Iterable<readonly [SessionId, number]>, now: number) {
    this.#expiry = new ExpiryQueue(tickMs);
    for (const [id, timeoutMs] of known) this.add(id, timeoutMs, now);
  }

  has(id: SessionId): boolean {
    return this.#sessions.has(id);
  }

  /** Adding a known one touches it. */
  add(id: SessionId, timeoutMs: number, now: number): void {
    const session = this.#sessions.get(id) ?? { id, closing: false, owner: undefined, expiresAt: undefined };
    this.#sessions.set(id, session);
    this.#expiry.touch(session, timeoutMs, now);
  }

  /** False: it is unknown, or about to go. */
  touch(id: SessionId, timeoutMs: number, now: number): boolean {
    const session = this.#sessions.get(id);
    if (session === undefined || session.closing) return false;
    this.#expiry.touch(session, timeoutMs, now);
    return true;
  }

  setOwner(id: SessionId, owner: unknown): void {
    const session = this.#sessions.get(id);
    if (session !== undefined) session.owner = owner;
  }

  /** Whether `owner` may speak for the session. The first to do so after a start becomes its owner. */
  check(id: SessionId, owner: unknown): ErrorCode {
    const session = this.#sessions.get(id);
    if (session === undefined || session.closing) return ErrorCode.sessionExpired;
    session.owner ??= owner;
    return session.owner === owner ? ErrorCode.ok : ErrorCode.sessionMoved;
  }

  close(id: SessionId): void {
    const session = this.#sessions.get(id);
    if (session !== undefined) session.closing = true;
  }

  remove(id: SessionId): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    this.#expiry.remove(session);
  }

  /** Those whose time is over: they are closing from here on, and known until `remove`. */
  expire(now: number): SessionId[] {
    const expired = this.#expiry.takeDue(now).filter((session) => !session.closing);
    for (const session of expired) session.closing = true;
    return expired.map((session) => session.id);
  }

  /** By the time at which they would expire. */
  expiries(): [expiresAt: number, sessions: SessionId[]][] {
    return this.#expiry.buckets().map(([expiresAt, sessions]) => [expiresAt, Array.from(sessions, ({ id }) => id)]);
  }
}
