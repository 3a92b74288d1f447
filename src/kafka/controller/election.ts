import { AssertionFailure, must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { decodeController, decodeControllerEpoch, encodeController, encodeControllerEpoch } from "../znodes/cluster.ts";
import { registerBroker } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { ask, askOne, create, exists, expectCode, getData, remove, setData, ZkCode, type Step, type ZkRequest } from "../znodes/requests.ts";
import { failOver } from "./failover.ts";
import { ControllerMovedError, SessionLostError, type ControllerState } from "./state.ts";
import { fencedRemove } from "./zookeeper.ts";

/**
 * Who is the controller: the broker whose session has made /controller, in one transaction with the next value of
 * /controller_epoch. Source: KafkaController.scala (elect, maybeResign, triggerControllerMove), KafkaZkClient.scala.
 */

/** Stands for election; first registers again where the session in which the broker registered is over. */
export function* start(state: ControllerState, sessionId: bigint, nowMs: number): Step<void> {
  state.sessionId = sessionId;
  const request = exists(paths.broker(state.config.brokerId));
  const found = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  if (found.stat?.ephemeralOwner === sessionId) yield* elect(state, nowMs);
  else yield* beginSession(state, sessionId, nowMs);
}

/** Stands for election unless there is a controller. */
export function* elect(state: ControllerState, nowMs: number): Step<void> {
  if (state.active) return;
  const current = yield* readController(state);
  if (current !== undefined) {
    if (current.owner !== state.sessionId) return;
    // This session's own, though it is not the controller: a failed attempt whose end could not be written.
    const removal = remove(paths.controller);
    expectCode(removal, yield* askOne(removal), ZkCode.NO_NODE);
  }
  yield* register(state, nowMs);
  yield* failOver(state);
}

/** Reads /controller, watching it, and resigns where it is not this session's. */
export function* resignIfMoved(state: ControllerState): Step<void> {
  const current = yield* readController(state);
  if (state.active && current?.owner !== state.sessionId) resign(state);
}

/** After a refused write: whoever is the controller now, it is not this broker, unless it is elected again. */
export function* onMoved(state: ControllerState): Step<void> {
  resign(state);
  yield* readController(state);
  // A controller may have come and gone before the watch stood.
  state.effects.push({ kind: "enqueue", event: { kind: "controllerChange" } });
}

/** Gives the controller's part up, so that a fresh one begins from what ZooKeeper holds. */
export function* moveController(state: ControllerState): Step<void> {
  yield* resignIfMoved(state);
  if (!state.active) return;
  try {
    yield* fencedRemove(state, [paths.controller]);
  } finally {
    resign(state);
  }
}

/** The broker stops: another one is elected at once, and need not wait for the end of this session. */
export function* leave(state: ControllerState): Step<void> {
  try {
    if (state.active) yield* fencedRemove(state, [paths.controller]);
  } catch (thrown) {
    if (thrown instanceof AssertionFailure) throw thrown;
    state.log("info", "/controller is not removed by the broker that stops", { error: toError(thrown) });
  } finally {
    resign(state);
    state.controllerId = -1;
  }
}

/** Forgets everything. The brokers hear from the next controller. */
export function resign(state: ControllerState): void {
  state.batch.clear();
  if (!state.active) return;
  state.active = false;
  state.log("info", "no longer the controller", { epoch: state.context.epoch });
  state.context.reset();
  state.effects.push({ kind: "resigned" });
}

/** After a lost session: what the broker was registered as is gone with it. */
export function* beginSession(state: ControllerState, sessionId: bigint, nowMs: number): Step<void> {
  state.sessionId = sessionId;
  const earlier = state.sessions;
  state.sessions = [sessionId, ...earlier];
  try {
    const brokerEpoch = yield* registerBroker(state.config.registration, nowMs, { id: sessionId, earlier });
    state.sessions = [sessionId];
    state.effects.push({ kind: "registered", brokerEpoch });
  } catch (thrown) {
    if (thrown instanceof SessionLostError) throw thrown;
    state.effects.push({ kind: "registrationFailed", error: toError(thrown) });
    return;
  }
  yield* elect(state, nowMs);
}

function* readController(state: ControllerState): Step<{ owner: bigint } | undefined> {
  // exists leaves a watch where there is no znode, getData does not.
  const requests = [exists(paths.controller, true), getData(paths.controller, true)];
  const replies = yield* ask(requests);
  const reply = expectCode(must(requests[1], "request"), must(replies[1], "reply"), ZkCode.NO_NODE);
  state.controllerId = -1;
  if (reply.code === ZkCode.NO_NODE) return undefined;
  try {
    state.controllerId = decodeController(reply.data);
  } catch (thrown) {
    state.log("error", "who the controller is can't be read", { error: toError(thrown) });
  }
  return { owner: must(reply.stat, "stat of /controller").ephemeralOwner };
}

interface ControllerEpoch {
  readonly epoch: number;
  readonly zkVersion: number;
}

/** Throws ControllerMovedError where another broker was faster. */
function* register(state: ControllerState, nowMs: number): Step<void> {
  const { brokerId } = state.config;
  const before = yield* readOrCreateEpoch();
  const epoch = before.epoch + 1;
  const multi: ZkRequest = {
    op: "multi",
    ops: [create(paths.controller, encodeController(brokerId, nowMs), "ephemeral"), setData(paths.controllerEpoch, encodeControllerEpoch(epoch), before.zkVersion)],
  };
  const reply = expectCode(multi, yield* askOne(multi), ZkCode.NODE_EXISTS, ZkCode.BAD_VERSION);
  let zkVersion = reply.results[1]?.stat?.version;
  if (reply.code !== ZkCode.OK) {
    // Either another broker was faster, or the reply to our own transaction was lost.
    const current = yield* readController(state);
    const after = yield* readEpoch();
    if (current?.owner !== state.sessionId || after?.epoch !== epoch) throw new ControllerMovedError(brokerId, before.zkVersion);
    zkVersion = after.zkVersion;
  }
  state.context.epoch = epoch;
  state.context.epochZkVersion = must(zkVersion, "version of /controller_epoch");
  state.active = true;
  state.controllerId = brokerId;
  state.log("info", "elected as the controller", { epoch });
}

function* readEpoch(): Step<ControllerEpoch | undefined> {
  const request = getData(paths.controllerEpoch);
  const reply = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  if (reply.code === ZkCode.NO_NODE) return undefined;
  return { epoch: decodeControllerEpoch(reply.data), zkVersion: must(reply.stat, "stat of /controller_epoch").version };
}

function* readOrCreateEpoch(): Step<ControllerEpoch> {
  const found = yield* readEpoch();
  if (found !== undefined) return found;
  const first = create(paths.controllerEpoch, encodeControllerEpoch(0));
  const made = expectCode(first, yield* askOne(first), ZkCode.NODE_EXISTS);
  return made.code === ZkCode.OK ? { epoch: 0, zkVersion: 0 } : must(yield* readEpoch(), "/controller_epoch, which existed a moment ago");
}
