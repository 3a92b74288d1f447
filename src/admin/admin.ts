import { ClusterAdmin, outcomeText, type Outcome } from "../kafka/client/cluster-admin.ts";
import { GroupAdmin } from "../kafka/client/group-admin.ts";
import type { KafkaClient } from "../kafka/client/kafka-client.ts";
import { ErrorCode, errorName } from "../kafka/protocol/error-codes.ts";
import { OperationalError } from "../lib/error.ts";

/** What the commands ask with. */
export interface Admin {
  readonly client: KafkaClient;
  readonly cluster: ClusterAdmin;
  readonly groups: GroupAdmin;
}

/** `changeTimeoutMs`: how long the cluster may take over one change. */
export function adminOf(client: KafkaClient, changeTimeoutMs: number): Admin {
  return { client, cluster: new ClusterAdmin(client, { timeoutMs: changeTimeoutMs }), groups: new GroupAdmin(client) };
}

/** Throws what the cluster refused: the code's name as `code`, its words as the message. */
export function ensureDone(outcome: Outcome): void {
  if (outcome.code !== ErrorCode.NONE) throw new OperationalError(errorName(outcome.code), outcomeText(outcome));
}
