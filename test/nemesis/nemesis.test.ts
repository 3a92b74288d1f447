import { randomInt } from "node:crypto";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Host } from "../../src/host/host.ts";
import { realHost } from "../../src/host/real/host.ts";
import { Prng } from "../../src/lib/prng.ts";
import { FaultWorkload, hasFaultClients } from "../support/fault-workload.ts";
import { RecordsWork } from "./records.ts";
import { ServerCluster } from "./server-cluster.ts";
import { ServerNetwork } from "./server-network.ts";
import { drawFaults, Trouble } from "./trouble.ts";
import { ZnodesWork } from "./znodes.ts";

/**
 * Three servers, each in a network namespace of its own, with a member and a broker each as processes of their own, are
 * killed, stopped, paused and cut off from each other, round by round, while the simulation's clients and other people's
 * work on them; and what all of them saw is held against what is on the disks in the end. One story, in this order.
 *
 * NEMESIS_SEED=N draws the same faults again (their effects hang on the machine's time too), NEMESIS_ROUNDS=N more of them;
 * with NEMESIS_KEEP=1 the servers' files stay, what they said among them.
 */
const SEED = Number(process.env["NEMESIS_SEED"] ?? randomInt(1, 1_000_000));
const ROUNDS = Number(process.env["NEMESIS_ROUNDS"] ?? 5);
const FAULTS_A_ROUND = 4;
const ROUND_MS = 8000;
const CALM_MS = 2000;

const lacking = await ServerNetwork.lacks();
if (lacking !== undefined) console.warn(`SKIPPED the nemesis of real processes: ${lacking}`);
if (!hasFaultClients) console.warn("The nemesis goes without other people's clients: it lacks kcat and confluent-kafka");

describe.runIf(lacking === undefined)(`three servers under faults, NEMESIS_SEED=${SEED}`, () => {
  const draws = new Prng(SEED);
  const failures: Error[] = [];
  // What a client of this process finds wrong is the test's, not the process's end.
  const host: Host = { ...realHost({ logLevel: "silent" }), fail: (reason) => void failures.push(reason) };
  let cluster: ServerCluster;
  let records: RecordsWork;
  let znodes: ZnodesWork;
  let others: FaultWorkload | undefined;

  beforeAll(async () => {
    cluster = await ServerCluster.start(3);
    records = new RecordsWork(cluster, host, draws.fork("records"));
    znodes = new ZnodesWork(cluster, host, draws.fork("znodes"));
    await records.begin();
    znodes.begin();
    if (hasFaultClients) others = await FaultWorkload.begin(cluster.bootstrap);
    await together();
  }, 120_000);

  afterAll(async () => {
    await others?.kill();
    await cluster?.remove({ keeps: process.env["NEMESIS_KEEP"] !== undefined });
  }, 60_000);

  async function together(): Promise<void> {
    try {
      await Promise.all([records.together(), znodes.together(), others?.more(20)]);
    } catch (error) {
      throw new Error(`${String(error)}\n${cluster.lastWords(15)}`, { cause: error });
    }
    expect(failures).toEqual([]);
  }

  test(`${ROUNDS} rounds of faults: after each the cluster comes together, and everybody's work goes on`, { timeout: ROUNDS * 180_000 }, async () => {
    const trouble = new Trouble(cluster, { controller: () => records.controller, leader: () => records.leader });
    const faults = draws.fork("faults");
    for (let round = 0; round < ROUNDS; round++) {
      await records.look();
      await sleep(CALM_MS);
      await trouble.run(drawFaults(faults, { count: FAULTS_A_ROUND, withinMs: ROUND_MS }));
      await together();
    }
    console.log(`seed ${SEED}: ${[...trouble.happened].map(([kind, count]) => `${kind} ${count}`).join(", ")}; ${records.acknowledged} records acknowledged, ${records.read} read, ${znodes.answers} answers of the ensemble`);
  });

  test("nothing that was acknowledged to other people's clients is lost, nothing is doubled for the idempotent producer, and the group has seen all", { timeout: 240_000 }, async ({ skip }) => {
    if (others === undefined) return skip();
    await others.expectKept();
    await others.leave();
  });

  test("replicas are equal; what was acknowledged is there, once and in order; what was read stays", { timeout: 240_000 }, async () => {
    await records.rest();
    await znodes.rest();
    for (const server of cluster.servers) await cluster.stop(server, "broker");
    records.check();
  });

  test("members have one history, and every answer, event and session of every client follows from it", { timeout: 240_000 }, async () => {
    await Promise.all(cluster.servers.map((server) => cluster.stop(server, "member")));
    const { transactions, watchEvents } = znodes.check();
    expect(transactions).toBeGreaterThan(500);
    expect(watchEvents).toBeGreaterThan(50);
    expect(failures).toEqual([]);
  });
});
