/**
 * How many connections each address has, to all listeners of a broker together. `limitOf` is asked anew for each
 * connection: its settings may change meanwhile. Source: ConnectionQuotas in SocketServer.scala.
 */
export class ConnectionQuotas {
  readonly #limitOf: (address: string) => number;
  readonly #counts = new Map<string, number>();

  constructor(limitOf: (address: string) => number) {
    this.#limitOf = limitOf;
  }

  countOf(address: string): number {
    return this.#counts.get(address) ?? 0;
  }

  /** One more; false, and none, where that were too many. */
  take(address: string): boolean {
    const count = this.countOf(address);
    if (count >= this.#limitOf(address)) return false;
    this.#counts.set(address, count + 1);
    return true;
  }

  giveBack(address: string): void {
    const left = this.countOf(address) - 1;
    if (left > 0) this.#counts.set(address, left);
    else this.#counts.delete(address);
  }
}
