import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Case } from "../case.ts";
import { startDriver } from "../drivers/run.ts";
import { memoryMegabytes } from "../processes.ts";
import { plan } from "../contestants/plan.ts";

/** How long an idle cluster is left alone before its memory is looked at. */
const IDLE_MS = 10_000;

/** From the command to the moment when the cluster has taken a record with acks=all, in seconds: on empty directories, and once more after a stop in good order. */
export const startCase: Case = {
  id: "start",
  title: "from the command to a cluster that has taken a record with acks=all",
  topology: "none",
  core: true,
  kraft: true,
  rounds: 3,
  warmups: 0,
  figures: [
    { key: "fresh", title: "on empty directories", unit: "s", better: "less", reach: 0.1 },
    { key: "existing", title: "after a clean stop", unit: "s", better: "less", reach: 0.1 },
    { key: "memory", title: "memory of the cluster, idle", unit: "MB", better: "less", reach: 0.25 },
  ],
  run: async (named) => {
    const contestant = await plan(named.name, "three");
    const usableAfter = async (): Promise<number> => {
      const probe = await startDriver("usable", { bootstrap: contestant.bootstrap, topic: "usable", replicas: 3 });
      try {
        const beganUs = nowUs();
        contestant.launch();
        const { atUs = Number.NaN } = await probe.result;
        return (atUs - beganUs) / 1e6;
      } finally {
        await probe.stop();
      }
    };
    try {
      const fresh = await usableAfter();
      await contestant.serving();
      await sleep(IDLE_MS);
      const memory = memoryMegabytes(contestant.roots);
      await contestant.stop();
      const existing = await usableAfter();
      return { fresh, existing, memory };
    } catch (error) {
      throw new Error(`${String(error)}\n${contestant.lastWords()}`, { cause: error });
    } finally {
      await contestant.kill();
      contestant.remove();
    }
  },
};

/** Of the clock that the drivers count by. */
function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

