import { expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { closeConnection } from "../network/request.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { createTopics } from "../protocol/messages/create-topics.ts";
import { deleteGroups } from "../protocol/messages/delete-groups.ts";
import { findCoordinator } from "../protocol/messages/find-coordinator.ts";
import { joinGroup } from "../protocol/messages/join-group.ts";
import { listGroups } from "../protocol/messages/list-groups.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { metadata } from "../protocol/messages/metadata.ts";
import type { KafkaClient } from "./kafka-client.ts";
import { ScriptedCluster, topicLedBy } from "../../../test/support/scripted-cluster.ts";

const listing = () => ({ statesFilter: [], typesFilter: [] });
const none = { errorCode: 0, groups: [] };
const at = { topic: "t", partition: 0 };

function askLeader(client: KafkaClient, retryTimeoutMs = 2000): Promise<number> {
  return client
    .sendToLeader(
      at,
      listOffsets,
      (_version, currentLeaderEpoch) => ({ replicaId: -1, isolationLevel: 0, topics: [{ name: "t", partitions: [{ partitionIndex: 0, currentLeaderEpoch, timestamp: -1 }] }] }),
      (response) => response.topics[0]?.partitions[0]?.errorCode ?? -1,
      { retryTimeoutMs },
    )
    .then(({ response }) => response.topics[0]?.partitions[0]?.errorCode ?? -1);
}

function leaderSays(cluster: ScriptedCluster, id: number, code: number): void {
  cluster.on(id, listOffsets, (request) => ({ topics: [{ name: "t", partitions: [{ partitionIndex: 0, errorCode: code, oldStyleOffsets: [], offset: 5, leaderEpoch: request.topics[0]?.partitions[0]?.currentLeaderEpoch ?? -9 }] }] }));
}

test("a request to a broker's number looks up where it is, and keeps its connection", async () => {
  const cluster = await ScriptedCluster.start(3);
  cluster.every(listGroups, () => none);
  const client = cluster.client();
  for (let times = 0; times < 2; times++) await cluster.world.settle(client.send(3, listGroups, listing));
  expect(cluster.asked).toEqual(["1: ApiVersions 3", "1: Metadata 12", "3: ApiVersions 3", "3: ListGroups 5", "3: ListGroups 5"]);
  expect(errorCode(await cluster.world.settle(client.send(9, listGroups, listing).catch((error: unknown) => error)))).toBe("BROKER_NOT_AVAILABLE");
});

test("the bounds of the caller, and what no broker has", async () => {
  const cluster = await ScriptedCluster.start(1);
  cluster.every(listGroups, () => none);
  cluster.serve(deleteGroups, 1, 0);
  const client = cluster.client();
  expect((await cluster.world.settle(client.send("any", listGroups, listing, { versions: { last: 3 } }))).version).toBe(3);
  const refused = await cluster.world.settle(client.send("any", deleteGroups, () => ({ groupsNames: [] })).catch((error: unknown) => error));
  expect(errorCode(refused)).toBe("ERR_UNSUPPORTED_VERSION");
});

test("\"any\" goes on to the next broker where one is down or silent, and back to the bootstrap list where none of those known answers", async () => {
  const cluster = await ScriptedCluster.start(3);
  cluster.every(listGroups, () => none);
  cluster.on(1, listGroups, () => new Promise(() => undefined));
  const client = cluster.client();
  await cluster.world.settle(client.metadata([]));
  cluster.node(2).kill();
  await cluster.world.settle(client.send("any", listGroups, listing));
  expect(cluster.takeAsked()).toEqual(["1: ListGroups 5", "3: ListGroups 5"]);
  cluster.node(3).kill();
  cluster.on(1, listGroups, () => none);
  await cluster.world.settle(client.send("any", listGroups, listing));
  expect(cluster.takeAsked()).toEqual(["1: ListGroups 5"]);
  cluster.node(1).kill();
  expect(errorCode(await cluster.world.settle(client.send("any", listGroups, listing).catch((error: unknown) => error)))).toBe("ECONNREFUSED");
});

test("a broker that comes back is connected to again", async () => {
  const cluster = await ScriptedCluster.start(2);
  cluster.every(listGroups, () => none);
  const client = cluster.client();
  await cluster.world.settle(client.send(2, listGroups, listing));
  cluster.node(2).kill();
  await cluster.world.run({ forMs: 50 });
  expect(errorCode(await cluster.world.settle(client.send(2, listGroups, listing).catch((error: unknown) => error)))).toBe("ECONNREFUSED");
  await cluster.restart(2);
  await cluster.world.settle(client.send(2, listGroups, listing));
});

test("a broker that could not be reached is looked up anew: it may have come back elsewhere", async () => {
  const cluster = await ScriptedCluster.start(3);
  cluster.every(listGroups, () => none);
  const client = cluster.client();
  await cluster.world.settle(client.send(2, listGroups, listing));
  cluster.node(2).kill();
  await cluster.world.run({ forMs: 50 });
  expect(errorCode(await cluster.world.settle(client.send(2, listGroups, listing).catch((error: unknown) => error)))).toBe("ECONNREFUSED");
  cluster.every(metadata, () => ({ brokers: [{ nodeId: 1, host: "kafka1", port: 9092 }, { nodeId: 2, host: "kafka3", port: 9092 }], topics: [] }));
  cluster.takeAsked();
  await cluster.world.settle(client.send(2, listGroups, listing));
  expect(cluster.takeAsked()).toEqual(["3: ListGroups 5"]);
});

test("the controller is asked for once, and again when it is forgotten", async () => {
  const cluster = await ScriptedCluster.start(3);
  cluster.controllerId = 2;
  cluster.every(createTopics, () => ({ topics: [] }));
  const client = cluster.client();
  const create = () => client.send("controller", createTopics, () => ({ topics: [], timeoutMs: 1000 }));
  await cluster.world.settle(create());
  cluster.controllerId = 3;
  await cluster.world.settle(create());
  client.forgetController();
  await cluster.world.settle(create());
  expect(cluster.takeAsked().map((one) => one[0])).toEqual(["2", "2", "3"]);
});

test("leader epochs never go back, but for a topic that was made anew", async () => {
  const cluster = await ScriptedCluster.start(3);
  const client = cluster.client();
  const learn = async (leader: number, epoch: number, id: string): Promise<readonly (number | undefined)[]> => {
    cluster.topics = [topicLedBy("t", [leader], epoch, id)];
    await cluster.world.settle(client.metadata(["t"]));
    const known = client.partition(at);
    return [known?.leader, known?.leaderEpoch];
  };
  const [one, other] = ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"];
  expect(await learn(1, 5, one)).toEqual([1, 5]);
  expect(await learn(2, 4, one)).toEqual([1, 5]);
  expect(await learn(3, 6, one)).toEqual([3, 6]);
  expect(await learn(1, 0, other)).toEqual([1, 0]);
  // Brokers of 2.7.1 know no ids: then a topic is another one once it was seen to be gone.
  cluster.serve(metadata, 0, 9);
  const old = cluster.client();
  cluster.topics = [topicLedBy("t", [1], 5)];
  await cluster.world.settle(old.metadata(["t"]));
  cluster.topics = [{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name: "t", partitions: [] }];
  await cluster.world.settle(old.metadata(["t"]));
  expect(old.partition(at)).toBeUndefined();
  cluster.topics = [topicLedBy("t", [2], 0)];
  await cluster.world.settle(old.metadata(["t"]));
  expect(old.partition(at)?.leader).toBe(2);
});

test("a leader is found, and found again after each error of one that has moved, and after it went down", async () => {
  const cluster = await ScriptedCluster.start(3);
  cluster.topics = [topicLedBy("t", [1])];
  const client = cluster.client();
  await cluster.world.settle(client.metadata(["t"]));
  const moving = [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.KAFKA_STORAGE_ERROR];
  for (const [index, code] of moving.entries()) {
    const [from, to] = index % 2 === 0 ? [1, 2] : [2, 1];
    leaderSays(cluster, from, code);
    leaderSays(cluster, to, ErrorCode.NONE);
    cluster.topics = [topicLedBy("t", [to], index + 1)];
    expect(await cluster.world.settle(askLeader(client))).toBe(ErrorCode.NONE);
    expect(cluster.takeAsked()).toEqual([`${from}: ListOffsets 8`, `${to}: ListOffsets 8`]);
  }
  cluster.node(1).kill();
  cluster.topics = [topicLedBy("t", [3], 9)];
  leaderSays(cluster, 3, ErrorCode.NONE);
  const other = cluster.client({ bootstrap: [{ host: "kafka2", port: 9092 }] });
  expect(await cluster.world.settle(askLeader(other))).toBe(ErrorCode.NONE);
});

test("what stays wrong is told in the end: the last code, the last failure, or that there is no leader", async () => {
  const cluster = await ScriptedCluster.start(2);
  cluster.topics = [topicLedBy("t", [1])];
  const client = cluster.client();
  leaderSays(cluster, 1, ErrorCode.NOT_LEADER_OR_FOLLOWER);
  expect(await cluster.world.settle(askLeader(client, 500))).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER);
  cluster.on(1, listOffsets, () => closeConnection);
  expect(errorCode(await cluster.world.settle(askLeader(client, 500).catch((error: unknown) => error)))).toBe("ECONNRESET");
  cluster.topics = [topicLedBy("t", [-1], 7)];
  expect(errorCode(await cluster.world.settle(askLeader(client, 500).catch((error: unknown) => error)))).toBe("LEADER_NOT_AVAILABLE");
  cluster.topics = [{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name: "t", partitions: [] }];
  const begun = cluster.world.nowMs;
  expect(errorCode(await cluster.world.settle(askLeader(client, 500).catch((error: unknown) => error)))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  expect(cluster.world.nowMs - begun).toBeLessThanOrEqual(500);
});

test("an error that is about something else is a value, at once", async () => {
  const cluster = await ScriptedCluster.start(1);
  cluster.topics = [topicLedBy("t", [1])];
  leaderSays(cluster, 1, ErrorCode.TOPIC_AUTHORIZATION_FAILED);
  expect(await cluster.world.settle(askLeader(cluster.client()))).toBe(ErrorCode.TOPIC_AUTHORIZATION_FAILED);
  expect(cluster.takeAsked()).toHaveLength(1);
});

test("a group's coordinator is asked for in both shapes of the request, once, and anew after it says that it is none", async () => {
  for (const last of [3, 4, 5]) {
    const cluster = await ScriptedCluster.start(3);
    cluster.serve(findCoordinator, 0, last);
    let coordinator = 2;
    cluster.every(findCoordinator, (request, { apiVersion }) => {
      const where = { nodeId: coordinator, host: `kafka${coordinator}`, port: 9092, errorCode: 0 };
      expect(apiVersion >= 4 ? request.coordinatorKeys : [request.key]).toEqual(["g"]);
      return apiVersion >= 4 ? { errorCode: 0, nodeId: -1, host: "", port: -1, coordinators: [{ key: "g", ...where }] } : { ...where, coordinators: [] };
    });
    cluster.on(2, deleteGroups, () => ({ throttleTimeMs: 0, results: [{ groupId: "g", errorCode: coordinator === 2 ? 0 : ErrorCode.NOT_COORDINATOR }] }));
    cluster.on(3, deleteGroups, () => ({ throttleTimeMs: 0, results: [{ groupId: "g", errorCode: 0 }] }));
    const client = cluster.client();
    const ask = () => cluster.world.settle(client.sendToCoordinator("g", deleteGroups, () => ({ groupsNames: ["g"] }), ({ results }) => results[0]?.errorCode ?? -1));
    await ask();
    await ask();
    expect(cluster.takeAsked()).toEqual([`1: FindCoordinator ${last}`, "2: DeleteGroups 2", "2: DeleteGroups 2"]);
    coordinator = 3;
    await ask();
    expect(cluster.takeAsked().map((one) => one.slice(0, 10))).toEqual(["2: DeleteG", expect.stringMatching(/^.: FindCoo$/), "3: DeleteG"]);
  }
});

test("a coordinator that loads is asked again and not forgotten; one that there is not yet is looked for until the time is over", async () => {
  const cluster = await ScriptedCluster.start(1);
  cluster.every(findCoordinator, () => ({ errorCode: 0, nodeId: -1, host: "", port: -1, coordinators: [{ key: "g", nodeId: 1, host: "kafka1", port: 9092, errorCode: 0 }] }));
  let times = 0;
  cluster.every(deleteGroups, () => ({ throttleTimeMs: 0, results: [{ groupId: "g", errorCode: ++times < 3 ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : 0 }] }));
  const ask = (client: KafkaClient, retryTimeoutMs: number) => client.sendToCoordinator("g", deleteGroups, () => ({ groupsNames: ["g"] }), ({ results }) => results[0]?.errorCode ?? -1, { retryTimeoutMs });
  await cluster.world.settle(ask(cluster.client(), 1000));
  expect(cluster.takeAsked().map((one) => one.split(" ")[1])).toEqual(["FindCoordinator", "DeleteGroups", "DeleteGroups", "DeleteGroups"]);
  cluster.every(findCoordinator, () => ({ errorCode: 0, nodeId: -1, host: "", port: -1, coordinators: [{ key: "g", nodeId: -1, host: "", port: -1, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE }] }));
  expect(errorCode(await cluster.world.settle(ask(cluster.client(), 450).catch((error: unknown) => error)))).toBe("COORDINATOR_NOT_AVAILABLE");
  expect(cluster.takeAsked().length).toBeGreaterThan(3);
});

test("a request that waits holds back only its own channel", async () => {
  const cluster = await ScriptedCluster.start(1);
  cluster.every(joinGroup, () => new Promise(() => undefined));
  cluster.every(listGroups, () => none);
  const client = cluster.client();
  const joining = client.send("any", joinGroup, () => ({ groupId: "g", sessionTimeoutMs: 1, memberId: "", protocolType: "consumer", protocols: [] }), { channel: "group", timeoutMs: 60_000 }).catch(errorCode);
  await cluster.world.settle(client.send("any", listGroups, listing));
  const same = await cluster.world.settle(client.send("any", listGroups, listing, { channel: "group", timeoutMs: 300 }).catch((error: unknown) => errorCode(error)));
  // The connection goes with the request that is given up, and all that waits on it.
  expect([same, await cluster.world.settle(joining)]).toEqual(["REQUEST_TIMED_OUT", "REQUEST_TIMED_OUT"]);
});

test("close rejects, now, what waits for an answer, a connection or time, and what comes later; no connection is left", async () => {
  const cluster = await ScriptedCluster.start(2);
  cluster.every(listGroups, () => new Promise(() => undefined));
  const client = cluster.client({ requestTimeoutMs: 30_000 });
  await cluster.world.settle(client.metadata([]));
  const answer = client.send(1, listGroups, listing).catch(errorCode);
  await cluster.world.run({ forMs: 50 });
  cluster.world.net.clog(cluster.clientNode, cluster.node(2), 500);
  const connection = client.send(2, listGroups, listing).catch(errorCode);
  const pause = client.pause(60_000).catch(errorCode);
  await cluster.world.run({ forMs: 50 });
  const begun = cluster.world.nowMs;
  const closed = client.close();
  expect(await cluster.world.settle(Promise.all([answer, connection, pause]))).toEqual(["ECONNABORTED", "ECONNABORTED", "ECONNABORTED"]);
  expect(cluster.world.nowMs).toBe(begun);
  const late = Promise.all([client.send("any", listGroups, listing).catch(errorCode), client.pause(1).catch(errorCode)]);
  expect(await cluster.world.settle(late)).toEqual(["ECONNABORTED", "ECONNABORTED"]);
  await cluster.world.settle(closed);
  await cluster.world.run({ forMs: 2000 });
  expect(cluster.clientNode.resources.connections).toBe(0);
});
