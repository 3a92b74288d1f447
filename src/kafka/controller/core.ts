import { AssertionFailure, assertNever } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { Step } from "../znodes/requests.ts";
import { onAlterIsr } from "./alter-isr.ts";
import { onBrokerChange, onBrokerModification, onLeaderAndIsrResponse } from "./brokers.ts";
import { onControlledShutdown } from "./controlled-shutdown.ts";
import type { ControlExchange, ControllerEvent } from "./effects.ts";
import { onElectLeaders } from "./elect-leaders.ts";
import { beginSession, elect, leave, moveController, onMoved, resign, resignIfMoved, start } from "./election.ts";
import { onIsrChange, onLogDirEvent } from "./notifications.ts";
import { bringPartitionsOnline } from "./partition-states.ts";
import { onPreferredElection, onRebalance } from "./preferred-election.ts";
import { ControllerMovedError, SessionLostError, type ControllerState } from "./state.ts";
import { onStopReplicaResponse, onTopicDeletion } from "./topic-deletion.ts";
import { onPartitionChange, onTopicChange } from "./topics.ts";

/**
 * Handles one event to its end: yields requests to ZooKeeper, appends to `state.effects`. The next event must wait
 * for it. An operational failure half-way leaves a context that may differ from ZooKeeper, so that the controller
 * moves: this broker or another one begins anew. `nowMs` is wall-clock time.
 */
export function* handleEvent(state: ControllerState, event: ControllerEvent, nowMs: number): Step<void> {
  try {
    yield* dispatch(state, event, nowMs);
  } catch (thrown) {
    if (thrown instanceof AssertionFailure) throw thrown;
    yield* recover(state, event, toError(thrown));
  }
}

function* recover(state: ControllerState, event: ControllerEvent, failure: Error): Step<void> {
  // The event of the session's end follows.
  if (failure instanceof SessionLostError) {
    state.log("warn", "an event of the controller ended with its session", { event: event.kind, error: failure });
    return;
  }
  const moved = failure instanceof ControllerMovedError;
  state.log(moved ? "info" : "error", moved ? "the controller has moved" : "an event of the controller failed", { event: event.kind, error: failure });
  try {
    yield* moved ? onMoved(state) : moveController(state);
  } catch (thrown) {
    if (thrown instanceof AssertionFailure) throw thrown;
    if (thrown instanceof ControllerMovedError) return;
    state.log("error", "the controller could not be given up", { error: toError(thrown) });
    resign(state);
  }
}

function* dispatch(state: ControllerState, event: ControllerEvent, nowMs: number): Step<void> {
  switch (event.kind) {
    case "start":
      return yield* start(state, event.sessionId, nowMs);
    case "controllerChange":
      yield* resignIfMoved(state);
      return yield* elect(state, nowMs);
    case "expire":
      resign(state);
      state.controllerId = -1;
      return;
    case "stop":
      return yield* leave(state);
    case "newSession":
      return yield* beginSession(state, event.sessionId, nowMs);
    default:
      if (state.active) yield* dispatchActive(state, event);
  }
}

type ActiveEvent = Exclude<ControllerEvent, { kind: "start" | "controllerChange" | "expire" | "stop" | "newSession" }>;

function* dispatchActive(state: ControllerState, event: ActiveEvent): Step<void> {
  switch (event.kind) {
    case "brokerChange":
      return yield* onBrokerChange(state);
    case "brokerModification":
      return yield* onBrokerModification(state, event.brokerId);
    case "topicChange":
      return yield* onTopicChange(state);
    case "partitionChange":
      return yield* onPartitionChange(state, event.topic);
    case "topicDeletion":
      return yield* onTopicDeletion(state);
    case "isrChange":
      return yield* onIsrChange(state);
    case "logDirEvent":
      return yield* onLogDirEvent(state);
    case "preferredElection":
      return yield* onPreferredElection(state);
    case "rebalance":
      return yield* onRebalance(state);
    case "uncleanElection":
      return yield* bringPartitionsOnline(state, event.topic);
    case "response":
      return yield* onResponse(state, event.brokerId, event.exchange);
    case "alterIsr":
      return yield* onAlterIsr(state, event);
    case "electLeaders":
      return yield* onElectLeaders(state, event);
    case "controlledShutdown":
      return yield* onControlledShutdown(state, event);
    default:
      return assertNever(event);
  }
}

function* onResponse(state: ControllerState, broker: number, exchange: ControlExchange): Step<void> {
  switch (exchange.api) {
    case "leaderAndIsr":
      return yield* onLeaderAndIsrResponse(state, broker, exchange);
    case "stopReplica":
      return yield* onStopReplicaResponse(state, broker, exchange);
    case "updateMetadata":
      if (exchange.response.errorCode !== ErrorCode.NONE) state.log("error", "a broker refused UpdateMetadata", { broker, errorCode: exchange.response.errorCode });
      return;
    default:
      return assertNever(exchange);
  }
}
