import type { Clock, Timers } from "../../../host/clock.ts";
import type { Input } from "../../../codec/schema.ts";
import type { Controller } from "../../controller/controller.ts";
import type { Elected, NamedPartition } from "../../controller/elect-leaders.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { electLeaders, type electLeadersResponse } from "../../protocol/messages/elect-leaders.ts";
import type { MetadataCache } from "../metadata-cache.ts";

export interface ElectLeadersServices {
  readonly metadata: MetadataCache;
  readonly clock: Clock;
  readonly timers: Timers;
  controller(): Pick<Controller, "electLeaders"> | undefined;
}

interface Told extends NamedPartition {
  readonly errorCode: ErrorCode;
  readonly errorMessage: string | null;
}

/** Source: clients/…/common/ElectionType.java. */
const STRATEGIES = ["preferred", "unclean"] as const;

/**
 * ElectLeaders, 0 to 2, on the controller: answers once this broker has heard of the new leaders, or after timeout_ms
 * with REQUEST_TIMED_OUT for the others. Where no partitions are named, those that need no election are left out.
 * Source: KafkaApis.handleElectReplicaLeader, ReplicaManager.electLeaders, DelayedElectLeader.
 */
export function electLeadersRoute(services: ElectLeadersServices): Route {
  const { metadata, clock } = services;
  return route(electLeaders, async ({ electionType, topicPartitions, timeoutMs }) => {
    const strategy = STRATEGIES[electionType];
    if (strategy === undefined) return { throttleTimeMs: 0, errorCode: ErrorCode.INVALID_REQUEST, replicaElectionResults: [] };
    const named = topicPartitions?.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
    const all = named ?? metadata.topics.flatMap((topic) => metadata.partitions(topic).map(({ partition }) => ({ topic, partition })));
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const asked = [...new Map(all.map((one) => [`${one.topic}-${one.partition}`, one])).values()];
    const elected = await services.controller()?.electLeaders(asked, strategy);
    if (elected === undefined) return answer(asked.map(({ topic, partition }) => ({ topic, partition, errorCode: ErrorCode.NOT_CONTROLLER, errorMessage: null })));
    const waiting = elected.filter(({ outcome }) => outcome.kind === "leader");
    await whenKnown(services, waiting, deadlineMs - clock.monotonicMs());
    const told = elected.map((one) => toldOf(one, isKnown(metadata, one)));
    return answer(named === undefined ? told.filter(({ errorCode }) => errorCode !== ErrorCode.ELECTION_NOT_NEEDED) : told);
  });
}

function toldOf({ topic, partition, outcome }: Elected, known: boolean): Told {
  if (outcome.kind === "failed") return { topic, partition, errorCode: outcome.errorCode, errorMessage: outcome.message };
  return { topic, partition, errorCode: known ? ErrorCode.NONE : ErrorCode.REQUEST_TIMED_OUT, errorMessage: null };
}

function isKnown(metadata: MetadataCache, { topic, partition, outcome }: Elected): boolean {
  return outcome.kind === "failed" || metadata.partition(topic, partition)?.leader === outcome.leader;
}

/** Resolves when this broker knows all the leaders, or after `timeoutMs`. */
function whenKnown({ metadata, timers }: ElectLeadersServices, elected: readonly Elected[], timeoutMs: number): Promise<void> {
  const done = (): boolean => elected.every((one) => isKnown(metadata, one));
  if (done() || timeoutMs <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = timers.after(timeoutMs, () => {
      giveUp();
      resolve();
    });
    const giveUp = metadata.watch(() => {
      if (!done()) return false;
      timer.cancel();
      resolve();
      return true;
    });
  });
}

function answer(told: readonly Told[]): Input<typeof electLeadersResponse> {
  const byTopic = new Map<string, Told[]>();
  for (const one of told) {
    const partitions = byTopic.get(one.topic) ?? [];
    byTopic.set(one.topic, partitions);
    partitions.push(one);
  }
  const replicaElectionResults = Array.from(byTopic, ([topic, partitions]) => ({
    topic,
    partitionResult: partitions.map(({ partition, errorCode, errorMessage }) => ({ partitionId: partition, errorCode, errorMessage })),
  }));
  return { throttleTimeMs: 0, errorCode: ErrorCode.NONE, replicaElectionResults };
}
