import { ErrorCode } from "../protocol/error-codes.ts";

/** 0 begins a session: it does not come again. */
export function nextSessionEpoch(epoch: number): number {
  return epoch === 0x7fff_ffff ? 1 : epoch + 1;
}

/** What the next Fetch says of its session. Epoch 0 begins one, and names all; a later one names what differs. */
export interface SessionRequest<P> {
  readonly sessionId: number;
  readonly epoch: number;
  readonly send: readonly P[];
  readonly forget: readonly P[];
}

/**
 * A fetcher's half of a fetch session (KIP-227). `P` is what is asked of one partition; what has not changed since it
 * was sent is not sent again. Work is done for what changes, never for all that the session holds.
 * Source: org.apache.kafka.clients.FetchSessionHandler.
 */
export class FetchSessionClient<P> {
  readonly #same: (a: P, b: P) => boolean;
  #sessionId = 0;
  #epoch = 0;
  /** What the next request wants, in the order of a full one. */
  readonly #wanted = new Map<string, P>();
  /** What the last requests asked for. */
  #asked = new Map<string, P>();
  /** Of those wanted, what may differ from what was asked; in order. */
  readonly #changed = new Set<string>();
  /** Asked for, and wanted no more. */
  readonly #forgotten = new Set<string>();

  constructor(same: (a: P, b: P) => boolean) {
    this.#same = same;
  }

  /** There is something to ask, or to say. */
  get due(): boolean {
    return this.#wanted.size > 0 || (this.#epoch !== 0 && this.#forgotten.size > 0);
  }

  /** What the last request asked of this partition, in its own words or by what the session remembers. */
  asked(name: string): P | undefined {
    return this.#asked.get(name);
  }

  /** What the next request asks, last in its order; undefined: nothing. */
  set(name: string, wanted: P | undefined): void {
    this.#wanted.delete(name);
    this.#changed.delete(name);
    if (wanted === undefined) {
      if (this.#asked.has(name)) this.#forgotten.add(name);
    } else {
      this.#wanted.set(name, wanted);
      this.#changed.add(name);
      this.#forgotten.delete(name);
    }
  }

  build(): SessionRequest<P> {
    const { send, forget } = this.#epoch === 0 ? this.#all() : this.#difference();
    this.#changed.clear();
    this.#forgotten.clear();
    return { sessionId: this.#sessionId, epoch: this.#epoch, send, forget };
  }

  #all(): { send: P[]; forget: P[] } {
    this.#asked = new Map(this.#wanted);
    return { send: [...this.#wanted.values()], forget: [] };
  }

  #difference(): { send: P[]; forget: P[] } {
    const send: P[] = [];
    const forget: P[] = [];
    for (const name of this.#changed) this.#ask(name, send);
    for (const name of this.#forgotten) {
      const asked = this.#asked.get(name);
      if (asked !== undefined) forget.push(asked);
      this.#asked.delete(name);
    }
    return { send, forget };
  }

  #ask(name: string, send: P[]): void {
    const wanted = this.#wanted.get(name);
    const asked = this.#asked.get(name);
    if (wanted === undefined || (asked !== undefined && this.#same(asked, wanted))) return;
    this.#asked.set(name, wanted);
    send.push(wanted);
  }

  /** The answer to the last request, with the partitions that it names. False: it can't be used. */
  answered(errorCode: number, sessionId: number, names: readonly string[]): boolean {
    if (errorCode !== ErrorCode.NONE) {
      this.#begin(errorCode === ErrorCode.FETCH_SESSION_ID_NOT_FOUND ? 0 : this.#sessionId);
      return false;
    }
    const full = this.#epoch === 0;
    const once = new Set(names).size === names.length;
    if (!once || !names.every((name) => this.#asked.has(name)) || (full && names.length !== this.#asked.size)) {
      this.#begin(full ? 0 : this.#sessionId);
      return false;
    }
    if (sessionId === 0) {
      this.#begin(0);
    } else if (full) {
      this.#sessionId = sessionId;
      this.#epoch = 1;
    } else {
      this.#epoch = nextSessionEpoch(this.#epoch);
    }
    return true;
  }

  /** No answer came: the leader may have counted the request or not. */
  failed(): void {
    this.#begin(this.#sessionId);
  }

  /** The next request is a full one, and ends the session of this id. */
  #begin(closing: number): void {
    this.#sessionId = closing;
    this.#epoch = 0;
  }
}
