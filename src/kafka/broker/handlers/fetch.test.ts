import { expect, test } from "vitest";
import { ZERO_UUID } from "../../../codec/model.ts";
import type { Decoded, Input } from "../../../codec/schema.ts";
import { Writer } from "../../../codec/writer.ts";
import { World } from "../../../host/sim/world.ts";
import type { RequestContext } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { fetchResponse, type fetchRequest } from "../../protocol/messages/fetch.ts";
import { failedFetch, type Fetched } from "../../replication/fetch.ts";
import type { FollowerFetch, FollowerFetched } from "../../replication/follower-sessions.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import { BrokerTraffic } from "../../replication/traffic.ts";
import { Conversions } from "../conversions.ts";
import { FetchSessions } from "../fetch-sessions.ts";
import { MetadataCache } from "../metadata-cache.ts";
import type { TopicIds } from "../topic-ids.ts";
import { fetchRoute } from "./fetch.ts";

const FETCH_BYTES_MAX = 5000;

const nothing: Fetched = { ...failedFetch(ErrorCode.NONE), highWatermark: 7, lastStableOffset: 7, logStartOffset: 3 };

interface Asked {
  readonly replicaId?: number;
  readonly stateReplicaId?: number;
  readonly maxBytes?: number;
}

function request({ replicaId = -1, stateReplicaId = -1, maxBytes = 9000 }: Asked): Decoded<typeof fetchRequest> {
  const partition = { partition: 1, currentLeaderEpoch: 4, fetchOffset: 7, lastFetchedEpoch: 3, logStartOffset: 2, partitionMaxBytes: 100 };
  const asked = {
    clusterId: null,
    replicaId,
    replicaState: { replicaId: stateReplicaId, replicaEpoch: -1 },
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes,
    isolationLevel: 0,
    sessionId: 12,
    sessionEpoch: 0,
    topics: [{ topic: "t", topicId: ZERO_UUID, partitions: [partition] }],
    forgottenTopicsData: [{ topic: "u", topicId: ZERO_UUID, partitions: [5, 6] }],
    rackId: "",
  };
  return asked as unknown as Decoded<typeof fetchRequest>;
}

/** A handler whose followers' sessions answer with what is given. */
async function ask(asked: Asked, apiVersion: number, told: FollowerFetched) {
  const { host } = new World({ seed: 5 }).addNode("one");
  const fetches: FollowerFetch[] = [];
  const sessions = {
    fetch: (follower: FollowerFetch) => {
      fetches.push(follower);
      return Promise.resolve(told);
    },
  };
  const handler = fetchRoute({
    metadata: new MetadataCache(),
    replicas: { sessions, traffic: new BrokerTraffic() } as unknown as ReplicaManager,
    buffers: host.buffers,
    sessions: new FetchSessions({ slots: 10, random: host.random }),
    topicIds: { nameOf: () => undefined, find: () => Promise.resolve(undefined) } as unknown as TopicIds,
    clock: host.clock,
    timers: host.timers,
    conversions: new Conversions(host.timers),
    configOf: () => ({ compressionType: "producer", messageDownconversionEnable: true }),
    fetchBytesMax: FETCH_BYTES_MAX,
  });
  const context: RequestContext = { listenerName: "PLAINTEXT", clientHost: "", clientId: "broker-2-fetcher-0", apiVersion, connectionId: "", connectionNumber: 0 };
  const response = (await handler.handle(request(asked), context)) as Input<typeof fetchResponse>;
  return { fetches, response, bytes: encoded(response, Math.min(apiVersion, 12)) };
}

function encoded(response: Input<typeof fetchResponse>, version: number): string {
  const writer = new Writer();
  fetchResponse.write(writer, response, version);
  return Buffer.concat(writer.finish()).toString("hex");
}

function answer(fetched: Fetched): FollowerFetched {
  return { errorCode: ErrorCode.NONE, sessionId: 12, partitions: [{ topic: "t", partition: 1, fetched }] };
}

test("a follower's fetch goes to the followers' sessions with all that it says, within fetch.max.bytes", async () => {
  const { fetches, response } = await ask({ replicaId: 2 }, 12, answer(nothing));
  expect(fetches).toEqual([
    {
      replicaId: 2,
      clientId: "broker-2-fetcher-0",
      sessionId: 12,
      sessionEpoch: 0,
      minBytes: 1,
      maxBytes: FETCH_BYTES_MAX,
      maxWaitMs: 0,
      partitions: [{ topic: "t", topicId: ZERO_UUID, partition: 1, currentLeaderEpoch: 4, fetchOffset: 7, lastFetchedEpoch: 3, logStartOffset: 2, maxBytes: 100 }],
      forgotten: [{ topic: "u", partition: 5 }, { topic: "u", partition: 6 }],
    },
  ]);
  expect(response).toMatchObject({ errorCode: ErrorCode.NONE, sessionId: 12 });
});

test("the response's own error comes with what the sessions say", async () => {
  const { response } = await ask({ replicaId: 2 }, 12, { errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH, sessionId: 12, partitions: [] });
  expect(response).toMatchObject({ errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH, responses: [] });
});

test("before version 7 there is no session", async () => {
  const { fetches } = await ask({ replicaId: 2 }, 6, answer(nothing));
  expect(fetches[0]).toMatchObject({ sessionId: 0, sessionEpoch: -1 });
});

test("a consumer's fetch does not reach the followers' sessions", async () => {
  const { fetches, response } = await ask({}, 12, answer(nothing));
  expect(fetches).toEqual([]);
  expect(response.responses[0]?.partitions[0]?.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
});

test("a follower that asks by topic id is refused, wherever its version puts its own id", async () => {
  for (const [version, asked] of [[13, { replicaId: 2 }], [15, { stateReplicaId: 2 }]] as const) {
    const { fetches, response } = await ask(asked, version, answer(nothing));
    expect([fetches.length, response.errorCode]).toEqual([0, ErrorCode.INVALID_REQUEST]);
  }
});

/** As FetchResponse.json of 2.7.1 lays out version 12, for one partition. */
function version12(records: string, tags: string): string {
  const offset = (value: number): string => value.toString(16).padStart(16, "0");
  const partition = ["00000001", "0000", offset(7), offset(7), offset(3), "00", "ffffffff", records, tags].join("");
  return ["00000000", "0000", "0000000c", "02", "0274", "02", partition, "00", "00"].join("");
}

test("no records are an empty batch list on the wire, never null", async () => {
  expect((await ask({ replicaId: 2 }, 12, answer(nothing))).bytes).toBe(version12("01", "00"));
});

test("a diverging epoch stands in its tag, and only where there is one", async () => {
  const { bytes } = await ask({ replicaId: 2 }, 12, answer({ ...nothing, diverging: { epoch: 3, endOffset: 5 } }));
  expect(bytes).toBe(version12("01", ["01", "00", "0d", "00000003", "0000000000000005", "00"].join("")));
});
