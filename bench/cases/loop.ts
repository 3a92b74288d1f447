import { sampleOf, parseExposition } from "../../test/support/exposition.ts";
import { freePort } from "../../test/support/processes.ts";
import type { Case } from "../case.ts";
import { planOdradek } from "../contestants/deployment.ts";
import { drive, type Arguments } from "../drivers/run.ts";
import { scaled } from "../scale.ts";
import { withTopic } from "../topics.ts";

const SIZE = 1024;
const SHARE_OF_PEAK = 0.7;
/** What each callback may take at most, in ms. */
const LIMIT = { p999: 10, max: 50 } as const;

/** Ours alone: Apache has no loop. What the slowest of three brokers says of itself. */
export const loopCase: Case = {
  id: "loop",
  title: "a single callback on a broker's loop, produce acks=all, 1 KB, at 70 % of the peak",
  topology: "none",
  core: true,
  rounds: 1,
  warmups: 0,
  figures: [
    { key: "p999Ms", title: "p99.9", unit: "ms", better: "less", reach: 1, against: "p999" },
    { key: "maxMs", title: "longest", unit: "ms", better: "less", reach: 1, against: "max" },
  ],
  references: { p999: () => Promise.resolve(LIMIT.p999), max: () => Promise.resolve(LIMIT.max) },
  run: async ({ name }) => {
    if (name !== "odradek") return {};
    const ports = [await freePort(), await freePort(), await freePort()];
    const cluster = await planOdradek("three", (index) => ({ "odradek.metrics.port": ports[index] ?? 0 }));
    const produce = (more: Arguments): ReturnType<typeof drive> => withTopic(cluster, "loop", 12, () => drive("produce", { bootstrap: cluster.bootstrap, topic: "loop", size: SIZE, acks: "all", linger: 5, ...more }));
    try {
      cluster.launch();
      await cluster.serving();
      const { megabytesPerSecond = Number.NaN } = await produce({ seconds: scaled(10) });
      // What they say of their longest is of the last minutes: they begin anew.
      await cluster.stop();
      cluster.launch();
      await cluster.serving();
      await produce({ seconds: scaled(30), rate: Math.round((SHARE_OF_PEAK * megabytesPerSecond * 1e6) / SIZE) });
      const said = await Promise.all(ports.map(callbackTimes));
      return { p999Ms: Math.max(...said.map(({ p999Ms }) => p999Ms)), maxMs: Math.max(...said.map(({ maxMs }) => maxMs)) };
    } finally {
      await cluster.stop();
      cluster.remove();
    }
  },
};

async function callbackTimes(port: number): Promise<{ readonly p999Ms: number; readonly maxMs: number }> {
  const families = parseExposition(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
  const buckets: Bucket[] = [];
  for (const [sample, count] of families.get("odradek_callback_seconds")?.samples ?? []) {
    const bound = /_bucket\{.*loop="broker".*le="([^"]+)"/.exec(sample)?.[1];
    if (bound !== undefined) buckets.push({ boundSeconds: bound === "+Inf" ? Infinity : Number(bound), count });
  }
  return { p999Ms: 1000 * quantileOf(buckets, 0.999), maxMs: 1000 * (sampleOf(families, 'odradek_callback_max_seconds{loop="broker"}') ?? Number.NaN) };
}

interface Bucket {
  readonly boundSeconds: number;
  /** Of all that took no longer. */
  readonly count: number;
}

/** As Prometheus' histogram_quantile: linear within a bucket, and the last bound of all where it is beyond. */
export function quantileOf(buckets: readonly Bucket[], share: number): number {
  const rank = share * (buckets.at(-1)?.count ?? Number.NaN);
  let [below, boundBelow] = [0, 0];
  for (const { boundSeconds, count } of buckets) {
    if (count >= rank) return boundSeconds === Infinity ? boundBelow : boundBelow + ((boundSeconds - boundBelow) * (rank - below)) / (count - below);
    [below, boundBelow] = [count, boundSeconds];
  }
  return Number.NaN;
}
