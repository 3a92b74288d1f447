import { must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { decodeIsrChange, decodeLogDirEvent } from "../znodes/notifications.ts";
import { paths } from "../znodes/paths.ts";
import { ask, expectCode, getData, listChildren, ZkCode, type Step } from "../znodes/requests.ts";
import { nameOf, type Partition } from "./context.ts";
import { changeReplicaStates } from "./replica-states.ts";
import type { ControllerState } from "./state.ts";
import { fencedRemove, readPartitionStates } from "./zookeeper.ts";

/**
 * Znodes by which brokers tell the controller something: read, acted on, removed. Brokers before 2.7-IV2 announce
 * the ISRs that they write so; later ones ask the controller instead. Source: KafkaController.scala
 * (processIsrChangeNotification, processLogDirEventNotification).
 */

/** The child change of /isr_change_notification: every broker hears of the new ISRs. */
export function* onIsrChange(state: ControllerState): Step<void> {
  const { context, batch } = state;
  const znodes = yield* readNotifications(state, paths.isrChanges, decodeIsrChange);
  const partitions = new Set<Partition>();
  for (const named of znodes.values.flat()) {
    const partition = context.partition(named.topic, named.partition);
    if (partition !== undefined) partitions.add(partition);
  }
  const changed = [...partitions];
  for (const [index, stored] of (yield* readPartitionStates(changed)).entries()) {
    const partition = must(changed[index], "partition");
    if (stored instanceof Error) state.log("error", "a changed ISR can't be read", { partition: nameOf(partition), error: stored });
    else if (stored !== undefined) partition.leadership = stored;
  }
  if (changed.length > 0) {
    batch.addUpdateMetadata(context.brokers.keys(), changed);
    batch.send();
  }
  yield* fencedRemove(state, znodes.paths);
}

/** The child change of /log_dir_event_notification: the broker's answer to LeaderAndIsr will tell which replicas it has lost. */
export function* onLogDirEvent(state: ControllerState): Step<void> {
  const znodes = yield* readNotifications(state, paths.logDirEvents, decodeLogDirEvent);
  yield* changeReplicaStates(state, state.context.replicasOn(new Set(znodes.values)), "online");
  yield* fencedRemove(state, znodes.paths);
}

/** At failover: what they tell is in the states that are about to be read. Sets the child watches. */
export function* dropNotifications(state: ControllerState): Step<void> {
  for (const parent of [paths.logDirEvents, paths.isrChanges]) {
    const names = yield* listChildren(parent, true);
    yield* fencedRemove(state, names.map((name) => `${parent}/${name}`));
  }
}

function* readNotifications<T>(state: ControllerState, parent: string, decode: (path: string, data: Buffer | null) => T): Step<{ paths: string[]; values: T[] }> {
  const znodes = (yield* listChildren(parent, true)).map((name) => `${parent}/${name}`);
  const reads = znodes.map((path) => getData(path));
  const values: T[] = [];
  for (const [index, reply] of (yield* ask(reads)).entries()) {
    if (expectCode(must(reads[index], "request"), reply, ZkCode.NO_NODE).code === ZkCode.NO_NODE) continue;
    const path = must(znodes[index], "path");
    try {
      values.push(decode(path, reply.data));
    } catch (thrown) {
      state.log("error", "a notification can't be read and is removed", { path, error: toError(thrown) });
    }
  }
  return { paths: znodes, values };
}
