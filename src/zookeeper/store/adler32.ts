/** The checksum of logs and snapshots: RFC 1950's Adler-32, over bytes that come in pieces. */
export class Adler32 {
  #a = 1;
  #b = 0;

  get value(): number {
    return this.#b * 0x10000 + this.#a;
  }

  update(bytes: Buffer, start = 0, end = bytes.length): this {
    let a = this.#a;
    let b = this.#b;
    for (let at = start; at < end; ) {
      const stop = Math.min(end, at + RUN_BYTES);
      for (; at < stop; at++) {
        a += bytes[at] as number;
        b += a;
      }
      a %= MODULUS;
      b %= MODULUS;
    }
    this.#a = a;
    this.#b = b;
    return this;
  }
}

const MODULUS = 65_521;
/** So many steps keep both sums below 2^31. */
const RUN_BYTES = 3800;

export function adler32(bytes: Buffer): number {
  return new Adler32().update(bytes).value;
}
