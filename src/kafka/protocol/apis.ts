import type { Api } from "./api.ts";
import { alterConfigs } from "./messages/alter-configs.ts";
import { alterIsr } from "./messages/alter-isr.ts";
import { apiVersions } from "./messages/api-versions.ts";
import { controlledShutdown } from "./messages/controlled-shutdown.ts";
import { createPartitions } from "./messages/create-partitions.ts";
import { createTopics } from "./messages/create-topics.ts";
import { deleteGroups } from "./messages/delete-groups.ts";
import { deleteRecords } from "./messages/delete-records.ts";
import { deleteTopics } from "./messages/delete-topics.ts";
import { describeCluster } from "./messages/describe-cluster.ts";
import { describeConfigs } from "./messages/describe-configs.ts";
import { describeGroups } from "./messages/describe-groups.ts";
import { describeLogDirs } from "./messages/describe-log-dirs.ts";
import { electLeaders } from "./messages/elect-leaders.ts";
import { fetch } from "./messages/fetch.ts";
import { findCoordinator } from "./messages/find-coordinator.ts";
import { heartbeat } from "./messages/heartbeat.ts";
import { incrementalAlterConfigs } from "./messages/incremental-alter-configs.ts";
import { initProducerId } from "./messages/init-producer-id.ts";
import { joinGroup } from "./messages/join-group.ts";
import { leaderAndIsr } from "./messages/leader-and-isr.ts";
import { leaveGroup } from "./messages/leave-group.ts";
import { listGroups } from "./messages/list-groups.ts";
import { listOffsets } from "./messages/list-offsets.ts";
import { listPartitionReassignments } from "./messages/list-partition-reassignments.ts";
import { metadata } from "./messages/metadata.ts";
import { offsetCommit } from "./messages/offset-commit.ts";
import { offsetDelete } from "./messages/offset-delete.ts";
import { offsetFetch } from "./messages/offset-fetch.ts";
import { offsetForLeaderEpoch } from "./messages/offset-for-leader-epoch.ts";
import { produce } from "./messages/produce.ts";
import { stopReplica } from "./messages/stop-replica.ts";
import { syncGroup } from "./messages/sync-group.ts";
import { updateMetadata } from "./messages/update-metadata.ts";

/** Every API whose messages are declared. */
export const apis = {
  produce,
  fetch,
  listOffsets,
  metadata,
  leaderAndIsr,
  stopReplica,
  updateMetadata,
  controlledShutdown,
  offsetCommit,
  offsetFetch,
  findCoordinator,
  joinGroup,
  heartbeat,
  leaveGroup,
  syncGroup,
  describeGroups,
  listGroups,
  apiVersions,
  createTopics,
  deleteTopics,
  deleteRecords,
  initProducerId,
  offsetForLeaderEpoch,
  describeConfigs,
  alterConfigs,
  describeLogDirs,
  createPartitions,
  deleteGroups,
  electLeaders,
  incrementalAlterConfigs,
  listPartitionReassignments,
  offsetDelete,
  alterIsr,
  describeCluster,
} as const satisfies Record<string, Api>;
