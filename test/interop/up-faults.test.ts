import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { expectIdenticalReplicas, FaultWorkload, hasFaultClients } from "../support/fault-workload.ts";
import { freePlace, odradek, up, type Place, type Ready } from "../support/local-cluster.ts";
import { eventually, type ServerProcess } from "../support/processes.ts";

/**
 * Every node of a cluster that `odradek up` runs is killed in turn, then the ensemble's leader, then the controller, while
 * an idempotent producer, a plain one and a group work. The tests are one story, in this order.
 */

const NODES = [1, 2, 3];

interface Status {
  readonly healthy: boolean;
  readonly nodes: readonly { readonly id: number; readonly pid: number; readonly member: string | null; readonly controller: boolean }[];
}

/** Faults that take sessions of 6 s, each. */
const SLOW = { timeout: 240_000 };

if (!hasFaultClients) console.warn("SKIPPED the faults of a cluster of odradek up: it needs kcat and confluent-kafka");

describe.runIf(hasFaultClients)("under the death of every node", () => {
  let place: Place;
  let running: { readonly process: ServerProcess; readonly ready: Ready };
  let workload: FaultWorkload;

  beforeAll(async () => {
    place = await freePlace();
    running = await up(place);
    workload = await FaultWorkload.begin(running.ready.kafka.join(","));
  }, 120_000);

  afterAll(async () => {
    await workload?.kill();
    await running?.process.stop("SIGKILL");
    place?.remove();
  });

  const status = async (): Promise<Status> => JSON.parse((await odradek(["status", "--json", "--dir", place.directory])).stdout) as Status;

  /** `up` starts it again; the story goes on when everything is in sync. */
  async function kill(node: Status["nodes"][number] | undefined): Promise<void> {
    process.kill(node?.pid ?? 0, "SIGKILL");
    await workload.more(30);
    await eventually("another process and a healthy cluster", async () => {
      const now = await status();
      return now.healthy && now.nodes.find(({ id }) => id === node?.id)?.pid !== node?.pid;
    });
    await workload.more(30);
  }

  test("each node is killed, and work goes on", SLOW, async () => {
    await workload.more(50);
    for (const id of NODES) await kill((await status()).nodes.find((node) => node.id === id));
  });

  test("the leader of the ensemble is killed, and work goes on", SLOW, async () => {
    await kill((await status()).nodes.find(({ member }) => member === "leader"));
  });

  test("the controller is killed, and work goes on", SLOW, async () => {
    await kill((await status()).nodes.find(({ controller }) => controller));
  });

  test("no acknowledged record is lost, none is doubled for the idempotent producer, order is kept, and the group has seen all and never gone back", SLOW, async () => {
    await workload.expectKept();
  });

  test("all replicas are identical, and stay so when the cluster has stopped", SLOW, async () => {
    await workload.leave();
    const logDirs = NODES.map((node) => join(place.directory, `node-${node}`, "logs"));
    await expectIdenticalReplicas(logDirs, async () => void (await odradek(["down", "--dir", place.directory])));
  });
});
