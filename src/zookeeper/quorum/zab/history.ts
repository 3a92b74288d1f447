import { epochOf } from "../../protocol/ids.ts";
import type { Transaction } from "../../protocol/transactions.ts";
import type { Database } from "../../store/database.ts";
import type { EpochFiles } from "../../store/epochs.ts";

/** What a member has on its disk, and goes into elections with. */
export interface History {
  readonly database: Database;
  readonly epochs: EpochFiles;
}

/**
 * After a term as leader or learner: all that was appended belongs to this member's history, whoever leads next, and
 * is on the disk and in the tree before it looks for that one.
 */
export async function settleHistory({ database, epochs }: History, uncommitted: readonly Transaction[]): Promise<void> {
  database.listen(undefined);
  await database.flushed();
  for (const transaction of uncommitted) database.apply(transaction);
  const epoch = epochOf(database.tree.lastZxid);
  if (epoch > epochs.current) await epochs.setCurrent(epoch);
}
