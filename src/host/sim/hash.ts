/** A rolling hash over 32-bit words: two lanes after FNV-1a, rotated so that high bits reach low ones. */
export class RollingHash {
  #low = 0x811c_9dc5 | 0;
  #high = 0x2325_2284 | 0;

  word(word: number): void {
    const low = Math.imul(this.#low ^ word, 0x0100_0193);
    const high = Math.imul(this.#high ^ word ^ (low >>> 15), 0x85eb_ca6b);
    this.#low = (low << 13) | (low >>> 19);
    this.#high = (high << 17) | (high >>> 15);
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    const digits = (lane: number): string => (lane >>> 0).toString(16).padStart(8, "0");
    return digits(this.#high) + digits(this.#low);
  }
}
