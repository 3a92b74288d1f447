import { array, int16, int32, int64, int8, list, message, records, string, struct, uuid } from "../../../codec/notation.ts";
import { ZERO_UUID } from "../../../codec/model.ts";
import { api } from "../api.ts";
import { brokerId, leaderEpoch, offset } from "../ids.ts";

export const fetchRequest = message("FetchRequest", { versions: "0-16", flexible: "12+" }, {
  clusterId: string("12+", { nullable: "12+", default: null, tag: 0 }),
  replicaId: brokerId("0-14", { default: -1 }),
  replicaState: struct("15+", "ReplicaState", {
    replicaId: brokerId("15+", { default: -1 }),
    replicaEpoch: int64("15+", { default: -1 }),
  }, { tag: 1 }),
  maxWaitMs: int32("0+"),
  minBytes: int32("0+"),
  maxBytes: int32("3+", { default: 2147483647 }),
  isolationLevel: int8("4+", { default: 0 }),
  sessionId: int32("7+", { default: 0 }),
  sessionEpoch: int32("7+", { default: -1 }),
  topics: array("0+", "FetchTopic", {
    topic: string("0-12", { default: "" }),
    topicId: uuid("13+", { default: ZERO_UUID }),
    partitions: array("0+", "FetchPartition", {
      partition: int32("0+"),
      currentLeaderEpoch: leaderEpoch("9+", { default: -1 }),
      fetchOffset: offset("0+"),
      lastFetchedEpoch: leaderEpoch("12+", { default: -1 }),
      logStartOffset: offset("5+", { default: -1 }),
      partitionMaxBytes: int32("0+"),
    }),
  }),
  forgottenTopicsData: array("7+", "ForgottenTopic", {
    topic: string("7-12", { default: "" }),
    topicId: uuid("13+", { default: ZERO_UUID }),
    partitions: list("7+", int32),
  }),
  rackId: string("11+", { default: "" }),
});

export const fetchResponse = message("FetchResponse", { versions: "0-16", flexible: "12+" }, {
  throttleTimeMs: int32("1+", { default: 0 }),
  errorCode: int16("7+", { default: 0 }),
  sessionId: int32("7+", { default: 0 }),
  responses: array("0+", "FetchableTopicResponse", {
    topic: string("0-12", { default: "" }),
    topicId: uuid("13+", { default: ZERO_UUID }),
    partitions: array("0+", "PartitionData", {
      partitionIndex: int32("0+"),
      errorCode: int16("0+"),
      highWatermark: offset("0+"),
      lastStableOffset: offset("4+", { default: -1 }),
      logStartOffset: offset("5+", { default: -1 }),
      divergingEpoch: struct("12+", "EpochEndOffset", {
        epoch: int32("12+", { default: -1 }),
        endOffset: offset("12+", { default: -1 }),
      }, { tag: 0 }),
      currentLeader: struct("12+", "LeaderIdAndEpoch", {
        leaderId: brokerId("12+", { default: -1 }),
        leaderEpoch: leaderEpoch("12+", { default: -1 }),
      }, { tag: 1 }),
      snapshotId: struct("12+", "SnapshotId", {
        endOffset: offset("0+", { default: -1 }),
        epoch: int32("0+", { default: -1 }),
      }, { tag: 2 }),
      abortedTransactions: array("4+", "AbortedTransaction", {
        producerId: int64("4+"),
        firstOffset: offset("4+"),
      }, { nullable: "4+", default: [] }),
      preferredReadReplica: brokerId("11+", { default: -1 }),
      records: records("0+", { nullable: "0+" }),
    }),
  }),
  nodeEndpoints: array("16+", "NodeEndpoint", {
    nodeId: brokerId("16+"),
    host: string("16+"),
    port: int32("16+"),
    rack: string("16+", { nullable: "16+", default: null }),
  }, { tag: 0 }),
});

export const fetch = api({ key: 1, name: "Fetch", request: fetchRequest, response: fetchResponse });
