import type { Host } from "../../host/host.ts";
import { errorCode, toError } from "../../lib/error.ts";
import type { BrokerLink } from "../client/broker-link.ts";
import type { BrokerEndpoint } from "../client/controller-link.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { controlledShutdown } from "../protocol/messages/controlled-shutdown.ts";

/** What inter.broker.protocol.version 2.7 uses. */
const VERSION = 3;

type Way = Pick<BrokerLink, "send" | "close">;

export interface HandOverOptions {
  readonly host: Pick<Host, "timers" | "log">;
  readonly brokerId: number;
  brokerEpoch(): number;
  /** The controller, as far as this broker knows. */
  endpoint(): BrokerEndpoint | undefined;
  open(endpoint: BrokerEndpoint): Way;
  /** controlled.shutdown.max.retries */
  readonly attempts: number;
  /** controlled.shutdown.retry.backoff.ms */
  readonly backoffMs: number;
}

/**
 * Asks the controller to give this broker's partitions to others, while it still serves. True: none is left here.
 * False: the attempts are used up, and why has been logged. Bounded by `attempts` times an answer's timeout and the
 * pause. Source: kafka/server/KafkaServer.scala, controlledShutdown; no pause after the last attempt.
 */
export async function handOver(options: HandOverOptions): Promise<boolean> {
  const { host, attempts, backoffMs } = options;
  const log = host.log.child("broker");
  let fields: Record<string, unknown> = {};
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const outcome = await attemptOnce(options);
    if (outcome === "done") {
      log.info("controlled shutdown succeeded");
      return true;
    }
    fields = outcome;
    if (attempt < attempts) await new Promise<void>((resolve) => host.timers.after(backoffMs, resolve));
  }
  log.warn("controlled shutdown failed: stopping all the same", fields);
  return false;
}

async function attemptOnce(options: HandOverOptions): Promise<"done" | Record<string, unknown>> {
  const at = options.endpoint();
  if (at === undefined) return { reason: "no controller is known" };
  const way = options.open(at);
  try {
    const { errorCode: error, remainingPartitions } = await way.send(controlledShutdown, VERSION, { brokerId: options.brokerId, brokerEpoch: options.brokerEpoch() });
    if (error === ErrorCode.NONE && remainingPartitions.length === 0) return "done";
    return { controller: at.id, errorCode: error, remaining: remainingPartitions.map(({ topicName, partitionIndex }) => `${topicName}-${partitionIndex}`) };
  } catch (thrown) {
    if (errorCode(thrown) === undefined) throw thrown;
    return { controller: at.id, error: toError(thrown) };
  } finally {
    way.close();
  }
}
