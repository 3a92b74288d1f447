import { must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { paths } from "../znodes/paths.ts";
import { ask, expectCode, getChildren, getData, remove, setData, unexpected, ZkCode, type Step, type ZkReply, type ZkRequest, type ZkWrite } from "../znodes/requests.ts";
import { decodePartitionState, encodePartitionState, type LeaderAndIsr } from "../znodes/topic.ts";
import type { Partition } from "./context.ts";
import { ControllerMovedError, type ControllerState } from "./state.ts";

/**
 * Writes as the controller: each with a check that /controller_epoch has the version at which this broker was
 * elected. The replies are those of the writes. Throws ControllerMovedError where it has another version.
 */
export function* fencedWrites(state: ControllerState, writes: readonly ZkWrite[]): Step<ZkReply[]> {
  const { epochZkVersion } = state.context;
  const multis = writes.map((write): ZkRequest => ({ op: "multi", ops: [{ op: "check", path: paths.controllerEpoch, version: epochZkVersion }, write] }));
  const replies = yield* ask(multis);
  return replies.map((reply, index) => {
    const [check, written] = reply.results;
    if (check?.code === ZkCode.BAD_VERSION) throw new ControllerMovedError(state.config.brokerId, epochZkVersion);
    if (check === undefined || written === undefined || check.code !== ZkCode.OK) throw unexpected(must(multis[index], "request"), reply);
    return written;
  });
}

/** Removes znodes that may be gone already. */
export function* fencedRemove(state: ControllerState, znodes: readonly string[]): Step<void> {
  const removals = znodes.map((path) => remove(path));
  const replies = yield* fencedWrites(state, removals);
  for (const [index, reply] of replies.entries()) expectCode(must(removals[index], "removal"), reply, ZkCode.NO_NODE);
}

/** Removes a znode and all below it, children first; again where somebody adds one meanwhile. */
export function* fencedRemoveTree(state: ControllerState, root: string): Step<void> {
  for (;;) {
    const found: string[] = [];
    for (let level = [root]; level.length > 0; ) {
      const lists = level.map((path) => getChildren(path));
      const next: string[] = [];
      for (const [index, reply] of (yield* ask(lists)).entries()) {
        const path = must(level[index], "path");
        if (expectCode(must(lists[index], "request"), reply, ZkCode.NO_NODE).code === ZkCode.NO_NODE) continue;
        found.push(path);
        for (const child of reply.children) next.push(`${path}/${child}`);
      }
      level = next;
    }
    const removals = found.toReversed().map((path) => remove(path));
    const replies = yield* fencedWrites(state, removals);
    for (const [index, reply] of replies.entries()) expectCode(must(removals[index], "removal"), reply, ZkCode.NO_NODE, ZkCode.NOT_EMPTY);
    if (!replies.some((reply) => reply.code === ZkCode.NOT_EMPTY)) return;
  }
}

/** A partition's state in ZooKeeper; undefined where there is no znode, an Error where it can't be used. */
export type StoredState = LeaderAndIsr | Error | undefined;

export function* readPartitionStates(partitions: readonly Partition[]): Step<StoredState[]> {
  const stored = yield* readDatedStates(partitions);
  return stored.map((found) => (found === undefined || found instanceof Error ? found : found.leadership));
}

export interface DatedState {
  readonly leadership: LeaderAndIsr;
  /** Of the write that it comes from. */
  readonly mzxid: number;
}

/** The same, with when each was written. */
export function* readDatedStates(partitions: readonly Partition[]): Step<(DatedState | Error | undefined)[]> {
  const reads = partitions.map((partition) => getData(paths.partitionState(partition.topic, partition.index)));
  const replies = yield* ask(reads);
  return replies.map((reply, index) => {
    const request = must(reads[index], "request");
    const partition = must(partitions[index], "partition");
    if (reply.code === ZkCode.NO_NODE) return undefined;
    try {
      const stat = must(expectCode(request, reply).stat, "stat of a partition's state");
      return { leadership: decodePartitionState(paths.partitionState(partition.topic, partition.index), reply.data, stat.version), mzxid: stat.mzxid };
    } catch (error) {
      return toError(error);
    }
  });
}

export interface StateWrite {
  readonly partition: Partition;
  /** With the version that was read. */
  readonly leadership: LeaderAndIsr;
}

export interface StateWrites {
  /** With their new versions. */
  readonly written: readonly StateWrite[];
  readonly failed: readonly { readonly partition: Partition; readonly error: Error }[];
  /** The partition's leader, or a write of ours whose reply was lost, has changed the state meanwhile: read it again. */
  readonly retry: readonly Partition[];
}

/** Compare and set. The controller's epoch becomes this one's. */
export function* writePartitionStates(state: ControllerState, writes: readonly StateWrite[]): Step<StateWrites> {
  const requests = writes.map(({ partition, leadership }) =>
    setData(paths.partitionState(partition.topic, partition.index), encodePartitionState({ ...leadership, controllerEpoch: state.context.epoch }), leadership.zkVersion),
  );
  const written: StateWrite[] = [];
  const failed: { partition: Partition; error: Error }[] = [];
  const retry: Partition[] = [];
  const replies = yield* fencedWrites(state, requests);
  for (const [index, reply] of replies.entries()) {
    const { partition, leadership } = must(writes[index], "write");
    if (reply.code === ZkCode.OK) {
      const { version } = must(reply.stat, "stat of a partition's state");
      written.push({ partition, leadership: { ...leadership, zkVersion: version, controllerEpoch: state.context.epoch } });
    } else if (reply.code === ZkCode.BAD_VERSION) retry.push(partition);
    else failed.push({ partition, error: unexpected(must(requests[index], "request"), reply) });
  }
  return { written, failed, retry };
}
