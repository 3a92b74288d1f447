import type { Case } from "../case.ts";
import { consumeCases } from "./consume.ts";
import { failoverCase } from "./failover.ts";
import { growthCases } from "./growth.ts";
import { groupCases } from "./groups.ts";
import { javaCases } from "./java.ts";
import { latencyCases } from "./latency.ts";
import { loopCase } from "./loop.ts";
import { partitionsCase } from "./partitions.ts";
import { produceCases } from "./produce.ts";
import { startCase } from "./start.ts";
import { zookeeperCases } from "./zookeeper.ts";

/** In the order in which they run: a topology's cases together. */
export const allCases: readonly Case[] = [startCase, loopCase, ...produceCases, ...consumeCases, ...latencyCases, ...groupCases, partitionsCase, ...javaCases, ...growthCases, failoverCase, ...zookeeperCases];
