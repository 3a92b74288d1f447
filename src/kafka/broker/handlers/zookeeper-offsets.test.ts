import { expect, test } from "vitest";
import { OperationalError } from "../../../lib/error.ts";
import { ZooKeeperModel } from "../../controller/testing/zookeeper-model.ts";
import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { offsetCommit } from "../../protocol/messages/offset-commit.ts";
import { offsetFetch } from "../../protocol/messages/offset-fetch.ts";
import { createPersistentPaths } from "../../znodes/operations.ts";
import { setData, type Step } from "../../znodes/requests.ts";
import { metadataOf, Served } from "../testing/served.ts";
import { offsetCommitRoute } from "./offset-commit.ts";
import { offsetFetchRoute } from "./offset-fetch.ts";

/** Version 0 of the two: offsets in ZooKeeper, without a coordinator. */
async function stage() {
  const zk = new ZooKeeperModel();
  const state = { lost: false };
  const zookeeper = {
    run: async <T>(step: Step<T>): Promise<T> => {
      for (let result = step.next(); ; ) {
        if (result.done === true) return result.value;
        const requests = result.value;
        await Promise.resolve();
        if (state.lost) throw new OperationalError("ERR_ZOOKEEPER_SESSION", "the ZooKeeper session has ended");
        result = step.next(requests.map((request) => zk.apply(request)));
      }
    },
  };
  await zookeeper.run(createPersistentPaths());
  const refuse = (): never => {
    throw new Error("version 0 has no coordinator");
  };
  const groups: Pick<GroupCoordinator, "commit" | "fetchOffsets"> = { commit: refuse, fetchOffsets: refuse };
  const metadata = metadataOf([{ id: 1 }], { t: [1, 1], u: [-1] });
  const served = await Served.start([offsetCommitRoute({ groups, metadata, zookeeper, offsetMetadataMax: 4 }), offsetFetchRoute({ groups, metadata, zookeeper })]);
  const commit = async (groupId: string, offsets: Readonly<Record<string, readonly number[]>>, committedMetadata: string | null = null): Promise<number[]> => {
    const topics = Object.entries(offsets).map(([name, list]) => ({ name, partitions: list.map((committedOffset, partitionIndex) => ({ partitionIndex, committedOffset, committedMetadata })) }));
    const answer = await served.ask(offsetCommit, 0, { groupId, topics });
    return answer.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
  };
  const fetch = async (groupId: string, topics: Readonly<Record<string, readonly number[]>>): Promise<unknown[]> => {
    const asked = Object.entries(topics).map(([name, partitionIndexes]) => ({ name, partitionIndexes: [...partitionIndexes] }));
    const answer = await served.ask(offsetFetch, 0, { groupId, topics: asked, groups: [] });
    return answer.topics.flatMap(({ name, partitions }) => partitions.map((one) => [name, one.partitionIndex, one.committedOffset, one.metadata, one.errorCode]));
  };
  return { zk, state, commit, fetch };
}

test("what is committed lies in ZooKeeper as decimal text, and is read from there", async () => {
  const { zk, commit, fetch } = await stage();
  expect(await commit("g", { t: [12, 13], u: [0] }, "note")).toEqual([0, 0, 0]);
  expect(["t/0", "t/1", "u/0"].map((name) => String(zk.data(`/consumers/g/offsets/${name}`)))).toEqual(["12", "13", "0"]);
  zk.apply(setData("/consumers/g/offsets/t/1", Buffer.from("99")));
  expect(await fetch("g", { t: [1, 0], u: [0] })).toEqual([["t", 1, 99, "", 0], ["t", 0, 12, "", 0], ["u", 0, 0, "", 0]]);
});

test("an offset that was never committed, and a partition that does not exist, are error 3, which old clients take for none", async () => {
  const { fetch, commit } = await stage();
  await commit("g", { t: [12] });
  const unknown = [-1, "", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION];
  expect(await fetch("g", { t: [0, 1, 2], no: [0] })).toEqual([["t", 0, 12, "", 0], ["t", 1, ...unknown], ["t", 2, ...unknown], ["no", 0, ...unknown]]);
});

test("the note is measured, and not kept", async () => {
  const { zk, commit } = await stage();
  expect(await commit("g", { t: [1] }, "12345")).toEqual([ErrorCode.OFFSET_METADATA_TOO_LARGE]);
  expect(zk.children("/consumers")).toEqual([]);
  expect(await commit("g", { t: [1] }, "1234")).toEqual([0]);
});

test("a group that no znode can be named after fails by itself, and so does a znode that holds no offset", async () => {
  const { zk, commit, fetch } = await stage();
  for (const group of ["", "..", "a//b"]) {
    expect(await commit(group, { t: [1, 2] })).toEqual([ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.UNKNOWN_SERVER_ERROR]);
    expect(await fetch(group, { t: [0] })).toEqual([["t", 0, -1, "", ErrorCode.UNKNOWN_SERVER_ERROR]]);
  }
  await commit("g", { t: [1, 2] });
  zk.apply(setData("/consumers/g/offsets/t/0", Buffer.from("soon")));
  expect(await fetch("g", { t: [0, 1] })).toEqual([["t", 0, -1, "", ErrorCode.UNKNOWN_SERVER_ERROR], ["t", 1, 2, "", 0]]);
});

test("without ZooKeeper each partition fails, and the connection stays", async () => {
  const { state, commit, fetch } = await stage();
  state.lost = true;
  expect(await commit("g", { t: [1, 2] })).toEqual([ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.UNKNOWN_SERVER_ERROR]);
  expect(await fetch("g", { t: [0] })).toEqual([["t", 0, -1, "", ErrorCode.UNKNOWN_SERVER_ERROR]]);
  state.lost = false;
  expect(await commit("g", { t: [1, 2] })).toEqual([0, 0]);
});
