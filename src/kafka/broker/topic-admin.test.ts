import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import type { Decoded } from "../../codec/schema.ts";
import type { CreatableTopic } from "../controller/create-topics.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { updateMetadataRequest } from "../protocol/messages/update-metadata.ts";
import { ZkCode } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import { MetadataCache } from "./metadata-cache.ts";
import { TopicAdmin } from "./topic-admin.ts";
import { metadataOf, tell } from "./testing/served.ts";

/** Where ZooKeeper holds no topic and every write succeeds. */
function stage(racks: readonly (string | null)[]) {
  const { host } = new World({ seed: 5 }).addNode("one");
  const metadata = new MetadataCache();
  const liveBrokers = racks.map((rack, index) => ({ id: index + 1, rack, endpoints: [] }));
  metadata.update({ controllerId: 1, liveBrokers, topicStates: [] } as unknown as Decoded<typeof updateMetadataRequest>);
  const written: string[] = [];
  const zookeeper = {
    run: <T>(step: Generator<readonly { op: string; path: string; data?: Buffer }[], T, unknown>): Promise<T> => {
      for (let result = step.next(); ; ) {
        if (result.done === true) return Promise.resolve(result.value);
        result = step.next(
          result.value.map((request) => {
            if (request.op === "create" && request.path.startsWith("/brokers/topics/")) written.push(String(request.data));
            return { code: request.op === "exists" ? ZkCode.NO_NODE : ZkCode.OK, results: [] };
          }),
        );
      }
    },
  } as unknown as ZooKeeperSession;
  const admin = new TopicAdmin({ host, zookeeper, metadata, numPartitions: 16, replicationFactor: 2, controllerTopics: () => [], whenTold: () => Promise.resolve() });
  return { admin, written };
}

const requested: CreatableTopic = { name: "t", numPartitions: 4, replicationFactor: 2, assignments: [], configs: [] };

function replicasOf(written: string | undefined): number[][] {
  return Object.values((JSON.parse(written ?? "{}") as { partitions: Record<string, number[]> }).partitions);
}

test("auto-creation leaves racks aside where a broker has none; CreateTopics refuses", async () => {
  const { admin, written } = stage(["a", "a", "b", null]);
  expect(await admin.createWithDefaults("t")).toBe(ErrorCode.NONE);
  expect(replicasOf(written[0]).map((replicas) => replicas.length)).toEqual(Array.from({ length: 16 }, () => 2));
  expect(await admin.create([requested], { validateOnly: false })).toMatchObject([{ kind: "failed", errorCode: ErrorCode.UNKNOWN_SERVER_ERROR }]);
  expect(written.length).toBe(1);
});

test("where every broker has a rack, auto-creation spreads over them", async () => {
  const { admin, written } = stage(["a", "a", "b", "b"]);
  expect(await admin.createWithDefaults("t")).toBe(ErrorCode.NONE);
  for (const replicas of replicasOf(written[0])) expect(new Set(replicas.map((broker) => (broker <= 2 ? "a" : "b"))).size).toBe(2);
});

test("a topic is created once every broker has heard of it too, but no more than half a second after this one", async () => {
  for (const [answers, expected] of [["late", 120], ["never", 600]] as const) {
    const world = new World({ seed: 5 });
    const { host } = world.addNode("controller");
    const metadata = metadataOf([{ id: 1 }], {});
    const whenTold = (msMax: number): Promise<void> => new Promise((resolve) => void host.timers.after(answers === "late" ? 20 : msMax, resolve));
    const admin = new TopicAdmin({ host, zookeeper: {} as ZooKeeperSession, metadata, numPartitions: 1, replicationFactor: 1, controllerTopics: () => [], whenTold });
    world.after(100, () => tell(metadata, [{ id: 1 }], { t: [1] }));
    expect([await world.settle(admin.whenCreated("t", 1, 5000)), Math.round(world.nowMs)]).toEqual([true, expected]);
    expect(await world.settle(admin.whenCreated("u", 1, 50))).toBe(false);
  }
});
