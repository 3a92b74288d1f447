/** Entropy. In a simulated world all of it comes from the seed. */
export interface Random {
  /** A uniform whole number, 0 ≤ n < `bound` ≤ 2^32. */
  below(bound: number): number;
  bytes(length: number): Buffer;
}
