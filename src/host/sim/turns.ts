import { setImmediate } from "node:timers";

/** Taken while the module loads: tripwires replace the exported binding during a run. */
const queueImmediate = setImmediate;

/** Immediates queued together share one pass of Node's loop; between two of them Node drains ticks and microtasks. */
const turnsPerPass = 64;

/** Calls `step` until it returns false. After each call every microtask has run before the next one. */
export function drive(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let going = true;
    const turn = (): void => {
      if (!going) return;
      try {
        if (step()) return;
        going = false;
        resolve();
      } catch (thrown) {
        going = false;
        reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
      }
    };
    const pass = (): void => {
      if (!going) return;
      for (let n = 0; n < turnsPerPass; n++) queueImmediate(turn);
      queueImmediate(pass);
    };
    queueImmediate(pass);
  });
}
