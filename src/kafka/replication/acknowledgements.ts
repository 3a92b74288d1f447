import { ErrorCode } from "../protocol/error-codes.ts";

interface Waiting {
  readonly requiredOffset: number;
  /** Undefined: it has given up, and is only still in the row. */
  settle: ((error: ErrorCode) => void) | undefined;
}

/**
 * Those who wait for the high watermark of a partition, in the order of the offset that they need: a move of the high
 * watermark costs work for those that it reaches. Source: kafka/server/DelayedProduce.scala.
 */
export class Acknowledgements {
  #waiting: Waiting[] = [];
  /** All before it have been settled. */
  #head = 0;
  #givenUp = 0;

  get size(): number {
    return this.#waiting.length - this.#head - this.#givenUp;
  }

  /** `settle` is called once, or not at all after the returned function, which gives up, was called. */
  add(requiredOffset: number, settle: (error: ErrorCode) => void): () => void {
    const waiting: Waiting = { requiredOffset, settle };
    // Appended to last, waits for most: nearly always at the end.
    let at = this.#waiting.length;
    while (at > this.#head && (this.#waiting[at - 1]?.requiredOffset ?? -1) > requiredOffset) at--;
    this.#waiting.splice(at, 0, waiting);
    return () => {
      if (waiting.settle === undefined) return;
      waiting.settle = undefined;
      this.#givenUp++;
      if (this.#givenUp * 2 > this.#waiting.length - this.#head) this.#compact();
    };
  }

  /** Settles with NONE all that need no more than `offset`. */
  reached(offset: number): void {
    for (let next = this.#waiting[this.#head]; next !== undefined && next.requiredOffset <= offset; next = this.#waiting[this.#head]) this.#settleFirst(next, ErrorCode.NONE);
    if (this.#head * 2 > this.#waiting.length) this.#compact();
  }

  /** Settles all with why the high watermark will not get there. */
  drop(error: ErrorCode): void {
    for (let next = this.#waiting[this.#head]; next !== undefined; next = this.#waiting[this.#head]) this.#settleFirst(next, error);
    this.#compact();
  }

  #settleFirst(first: Waiting, error: ErrorCode): void {
    this.#head++;
    const { settle } = first;
    first.settle = undefined;
    if (settle === undefined) this.#givenUp--;
    else settle(error);
  }

  #compact(): void {
    this.#waiting = this.#waiting.filter(({ settle }, index) => index >= this.#head && settle !== undefined);
    this.#head = 0;
    this.#givenUp = 0;
  }
}
