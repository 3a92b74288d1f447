import type { Zxid } from "../protocol/ids.ts";
import type { Transaction } from "../protocol/transactions.ts";
import type { Database } from "../store/database.ts";
import type { Commits, Order } from "./role.ts";

/** Of a member by itself: what its disk has is committed. */
export class LocalOrder implements Order {
  readonly #database: Pick<Database, "append" | "listen">;
  /** Appended to the log and not known to be durable. */
  #logged: Transaction[] = [];
  /** For each waiting sync the last transaction before it. */
  #syncs: Zxid[] = [];
  #commits: Commits | undefined;

  constructor(database: Pick<Database, "append" | "listen">) {
    this.#database = database;
  }

  begin(commits: Commits): void {
    this.#commits = commits;
    this.#database.listen({ durable: (zxid) => this.#durable(zxid) });
  }

  end(): void {
    this.#commits = undefined;
  }

  propose(transaction: Transaction): void {
    this.#logged.push(transaction);
    this.#database.append(transaction);
  }

  sync(): void {
    const last = this.#logged.at(-1);
    if (last === undefined) this.#commits?.synced();
    else this.#syncs.push(last.header.zxid);
  }

  #durable(zxid: Zxid): void {
    const end = this.#logged.findIndex((transaction) => transaction.header.zxid > zxid);
    const durable = this.#logged.splice(0, end < 0 ? this.#logged.length : end);
    for (const transaction of durable) {
      this.#commits?.commit(transaction);
      this.#settleSyncs(transaction.header.zxid);
    }
  }

  #settleSyncs(committed: Zxid): void {
    while (this.#syncs[0] !== undefined && this.#syncs[0] <= committed) {
      this.#syncs.shift();
      this.#commits?.synced();
    }
  }
}
