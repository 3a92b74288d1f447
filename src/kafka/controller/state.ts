import type { LogFields } from "../../host/log.ts";
import { OperationalError } from "../../lib/error.ts";
import type { BrokerRegistration } from "../znodes/broker.ts";
import { ControllerContext } from "./context.ts";
import type { ControllerEffect } from "./effects.ts";
import { RequestBatch } from "./request-batch.ts";

/** Read anew at each use, so that what can be changed while the broker runs may change here. */
export interface ControllerConfig {
  readonly brokerId: number;
  /** inter.broker.listener.name: where the controller and the brokers reach each other. Upper case. */
  readonly interBrokerListener: string;
  /** delete.topic.enable */
  readonly deleteTopicEnable: boolean;
  /** unclean.leader.election.enable, where a topic does not say otherwise. */
  readonly uncleanLeaderElectionEnable: boolean;
  /** auto.leader.rebalance.enable */
  readonly autoLeaderRebalanceEnable: boolean;
  /** leader.imbalance.per.broker.percentage */
  readonly leaderImbalancePerBrokerPercentage: number;
  /** leader.imbalance.check.interval.seconds, in milliseconds. */
  readonly leaderImbalanceCheckIntervalMs: number;
  /** What this broker registers in a new session. */
  readonly registration: BrokerRegistration;
}

/** Another broker is the controller, or nobody is: a write was refused because /controller_epoch has moved on. */
export class ControllerMovedError extends OperationalError {
  constructor(brokerId: number, epochZkVersion: number) {
    super("ERR_CONTROLLER_MOVED", `broker ${brokerId} is no longer the controller: /controller_epoch has left version ${epochZkVersion}`);
  }
}

/** The driver throws it into a step whose session has ended before the reply; what the requests did is not known. */
export class SessionLostError extends OperationalError {
  constructor(cause?: unknown) {
    super("ERR_ZOOKEEPER_SESSION_LOST", "the ZooKeeper session ended while the controller waited for a reply", { cause });
  }
}

/** The controller of one broker: active or not. Only `handleEvent` and what it calls change it. */
export class ControllerState {
  readonly config: ControllerConfig;
  readonly context = new ControllerContext();
  /** Reused: the driver takes what it holds and empties it. */
  readonly effects: ControllerEffect[] = [];
  readonly batch: RequestBatch;
  /** This broker is the controller, in this session. */
  active = false;
  /** Who is, as far as this broker has read; -1 where nobody is. */
  controllerId = -1;
  sessionId: bigint;
  /**
   * The sessions in which the broker last registered, and in which it was about to since, newest first: any of them may
   * own its registration. Who was told that a session is over may have been told so by a leader without a quorum.
   */
  sessions: readonly bigint[];

  /** `sessionId`: of the session in which the broker has registered. */
  constructor(config: ControllerConfig, sessionId: bigint) {
    this.config = config;
    this.sessionId = sessionId;
    this.sessions = [sessionId];
    this.batch = new RequestBatch(config, this.context, this.effects);
  }

  log(level: "debug" | "info" | "warn" | "error", message: string, fields: LogFields = {}): void {
    this.effects.push({ kind: "log", level, message, fields });
  }
}
