import type { Decoded, Input } from "../../codec/schema.ts";
import type { LogFields } from "../../host/log.ts";
import type { alterIsrRequest, alterIsrResponse } from "../protocol/messages/alter-isr.ts";
import type { controlledShutdownResponse } from "../protocol/messages/controlled-shutdown.ts";
import type { leaderAndIsrRequest, leaderAndIsrResponse } from "../protocol/messages/leader-and-isr.ts";
import type { stopReplicaRequest, stopReplicaResponse } from "../protocol/messages/stop-replica.ts";
import type { updateMetadataRequest, updateMetadataResponse } from "../protocol/messages/update-metadata.ts";
import type { LiveBroker } from "./context.ts";
import type { Elected, NamedPartition } from "./elect-leaders.ts";

/** What the controller tells a broker. */
export type ControlRequest =
  | { readonly api: "leaderAndIsr"; readonly body: Input<typeof leaderAndIsrRequest> }
  | { readonly api: "updateMetadata"; readonly body: Input<typeof updateMetadataRequest> }
  | { readonly api: "stopReplica"; readonly body: Input<typeof stopReplicaRequest> };

/** A broker's answer, beside what it answers. */
export type ControlExchange =
  | { readonly api: "leaderAndIsr"; readonly body: Input<typeof leaderAndIsrRequest>; readonly response: Decoded<typeof leaderAndIsrResponse> }
  | { readonly api: "updateMetadata"; readonly body: Input<typeof updateMetadataRequest>; readonly response: Decoded<typeof updateMetadataResponse> }
  | { readonly api: "stopReplica"; readonly body: Input<typeof stopReplicaRequest>; readonly response: Decoded<typeof stopReplicaResponse> };

/** What the controller answers a broker that has asked. */
export type Answer =
  | { readonly api: "alterIsr"; readonly response: Input<typeof alterIsrResponse> }
  | { readonly api: "controlledShutdown"; readonly response: Input<typeof controlledShutdownResponse> }
  | { readonly api: "electLeaders"; readonly elected: readonly Elected[] };

/**
 * What happens to the controller, one at a time and in order. Events other than `start`, `controllerChange`,
 * `newSession`, `expire` and `stop` mean nothing to a broker that is not the controller. A `ticket` names the question for its answer.
 */
export type ControllerEvent =
  /** The broker has registered, in a session that may have ended before anybody listened, and looks for the controller. */
  | { readonly kind: "start"; readonly sessionId: bigint }
  /** /controller has been made, changed or removed. */
  | { readonly kind: "controllerChange" }
  /** The session has ended; handled before any request of the next one. */
  | { readonly kind: "expire" }
  /** A session has begun after another: the broker registers anew, then stands for election. */
  | { readonly kind: "newSession"; readonly sessionId: bigint }
  /** The broker stops; nothing follows. */
  | { readonly kind: "stop" }
  | { readonly kind: "brokerChange" }
  | { readonly kind: "brokerModification"; readonly brokerId: number }
  | { readonly kind: "topicChange" }
  | { readonly kind: "partitionChange"; readonly topic: string }
  | { readonly kind: "topicDeletion" }
  | { readonly kind: "isrChange" }
  | { readonly kind: "logDirEvent" }
  | { readonly kind: "preferredElection" }
  | { readonly kind: "rebalance" }
  /** Unclean leader election has been switched on for a topic, or by default. */
  | { readonly kind: "uncleanElection"; readonly topic: string | undefined }
  | { readonly kind: "response"; readonly brokerId: number; readonly exchange: ControlExchange }
  | { readonly kind: "alterIsr"; readonly request: Decoded<typeof alterIsrRequest>; readonly ticket: number }
  | { readonly kind: "electLeaders"; readonly partitions: readonly NamedPartition[]; readonly strategy: "preferred" | "unclean"; readonly ticket: number }
  /** Broker epoch -1: not known. */
  | { readonly kind: "controlledShutdown"; readonly brokerId: number; readonly brokerEpoch: number; readonly ticket: number };

/** What the handling of an event asks of its driver, in order, at each request to ZooKeeper and at its end. */
export type ControllerEffect =
  /** Requests to the broker may follow. */
  | { readonly kind: "connect"; readonly broker: LiveBroker }
  /** Drops what is queued for the broker; no response of it counts any more. */
  | { readonly kind: "disconnect"; readonly brokerId: number }
  | { readonly kind: "send"; readonly brokerId: number; readonly request: ControlRequest }
  /** Drops all connections and timers. */
  | { readonly kind: "resigned" }
  /** At most one for a ticket; a ticket whose event ends without one is refused by the driver. */
  | { readonly kind: "answer"; readonly ticket: number; readonly answer: Answer }
  | { readonly kind: "registered"; readonly brokerEpoch: number }
  /** In a new session: the broker is not part of the cluster. */
  | { readonly kind: "registrationFailed"; readonly error: Error }
  | { readonly kind: "enqueue"; readonly event: ControllerEvent }
  | { readonly kind: "startTimer"; readonly delayMs: number; readonly event: ControllerEvent }
  | { readonly kind: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly message: string; readonly fields: LogFields };
