import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Consumer } from "../support/client-matrix/client.ts";
import { confluentKafka } from "../support/client-matrix/drivers/python.ts";
import { freePlace, odradek, up, type Place, type Ready } from "../support/local-cluster.ts";
import { eventually, run, type ServerProcess } from "../support/processes.ts";
import { hasConfluentKafka, ProducerHistory } from "../support/producer-history.ts";

/**
 * Every node of a cluster that `odradek up` runs is killed in turn, then the ensemble's leader, then the controller, while
 * an idempotent producer, a plain one and a group work. The tests are one story, in this order.
 */

const PARTITIONS = 3;
const [IDEMPOTENT, PLAIN] = ["idempotent", "plain"];
const NODES = ["1", "2", "3"];

interface Status {
  readonly healthy: boolean;
  readonly nodes: readonly { readonly id: number; readonly pid: number; readonly member: string | null; readonly controller: boolean }[];
}

/** Faults that take sessions of 6 s, each. */
const SLOW = { timeout: 240_000 };

const hasKcat = await run("kcat", ["-V"]).then(
  () => true,
  () => false,
);
const able = hasConfluentKafka && hasKcat;
if (!able) console.warn("SKIPPED the faults of a cluster of odradek up: it needs kcat and confluent-kafka");

describe.runIf(able)("under the death of every node", () => {
  let place: Place;
  let running: { readonly process: ServerProcess; readonly ready: Ready };
  let bootstrap: string;
  const producers: ProducerHistory[] = [];
  const members: Consumer[] = [];

  beforeAll(async () => {
    place = await freePlace();
    running = await up(place);
    bootstrap = running.ready.kafka.join(",");
    const client = confluentKafka(bootstrap);
    for (const topic of [IDEMPOTENT, PLAIN]) {
      await client.create?.(topic ?? "", PARTITIONS, 3);
      producers.push(new ProducerHistory({ bootstrap, topic: topic ?? "", partitions: PARTITIONS, pauseMs: 20, requestsInFlight: topic === PLAIN ? 1 : 5, idempotent: topic === IDEMPOTENT }));
    }
    members.push(client.consumer(IDEMPOTENT ?? "", "readers"), client.consumer(IDEMPOTENT ?? "", "readers"));
  }, 120_000);

  afterAll(async () => {
    for (const member of members) await member.process.stop("SIGKILL");
    for (const producer of producers) await producer.kill();
    await running?.process.stop("SIGKILL");
    place?.remove();
  });

  const status = async (): Promise<Status> => JSON.parse((await odradek(["status", "--json", "--dir", place.directory])).stdout) as Status;
  const more = async (count: number): Promise<void> => void (await Promise.all(producers.map((producer) => producer.more(count))));

  /** `up` starts it again; the story goes on when everything is in sync. */
  async function kill(node: Status["nodes"][number] | undefined): Promise<void> {
    process.kill(node?.pid ?? 0, "SIGKILL");
    await more(30);
    await eventually("another process and a healthy cluster", async () => {
      const now = await status();
      return now.healthy && now.nodes.find(({ id }) => id === node?.id)?.pid !== node?.pid;
    });
    await more(30);
  }

  test("each node is killed, and work goes on", SLOW, async () => {
    await more(50);
    for (const id of [1, 2, 3]) await kill((await status()).nodes.find((node) => node.id === id));
  });

  test("the leader of the ensemble is killed, and work goes on", SLOW, async () => {
    await kill((await status()).nodes.find(({ member }) => member === "leader"));
  });

  test("the controller is killed, and work goes on", SLOW, async () => {
    await kill((await status()).nodes.find(({ controller }) => controller));
  });

  test("no acknowledged record is lost, none is doubled for the idempotent producer, order is kept, and the group has seen all", SLOW, async () => {
    for (const producer of producers) await producer.finish();
    expect(producers.flatMap(({ failures }) => failures.slice(0, 3))).toEqual([]);
    for (const [at, topic] of [IDEMPOTENT, PLAIN].entries()) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const acknowledged = producers[at]?.acknowledged[partition] ?? [];
        const { stdout } = await run("kcat", ["-C", "-b", bootstrap, "-t", topic ?? "", "-p", String(partition), "-o", "beginning", "-e", "-q"]);
        const stored = stdout.trimEnd().split("\n").map((line) => Number(line.split(" ", 2)[1]));
        const inOrder = acknowledged.toSorted((a, b) => a - b);
        if (topic === IDEMPOTENT) expect(stored).toEqual(inOrder);
        // What was sent twice stands twice, the second time behind what came between: the first times are in order.
        else expect([...new Set(stored)]).toEqual(inOrder);
      }
    }
    const numbers = (): Set<string> => new Set(members.flatMap(({ records }) => records.map(({ value }) => value.split(" ", 2).join(" "))));
    const expected = producers[0]?.acknowledged.flatMap((of, partition) => of.map((n) => `${partition} ${n}`)) ?? [];
    await eventually("the group has seen every record", () => expected.every((record) => numbers().has(record)));
  });

  test("all replicas are identical once the cluster has stopped", SLOW, async () => {
    for (const member of members.splice(0)) await member.stop();
    await odradek(["down", "--dir", place.directory]);
    for (const topic of [IDEMPOTENT, PLAIN]) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const [first, ...others] = NODES.map((node) => bytesOf(join(place.directory, `node-${node}`, "logs", `${topic}-${partition}`)));
        expect(first?.length).toBeGreaterThan(1000);
        const digest = (bytes: Buffer | undefined): string => createHash("sha256").update(bytes ?? "").digest("hex");
        for (const other of others) expect({ length: other.length, digest: digest(other) }).toEqual({ length: first?.length, digest: digest(first) });
      }
    }
  });
});

/** All segments, one after the other: replicas may have rolled at other offsets. */
function bytesOf(directory: string): Buffer {
  const segments = readdirSync(directory).filter((name) => name.endsWith(".log")).toSorted();
  return Buffer.concat(segments.map((name) => readFileSync(join(directory, name))));
}
