import { describe, expect, test } from "vitest";
import type { Timers } from "../../host/clock.ts";
import { Conversions } from "./conversions.ts";

/** Turns of an event loop, one at a time. */
class Turns implements Timers {
  readonly #callbacks: (() => void)[] = [];

  after(): never {
    throw new Error("nothing here waits for time");
  }

  soon(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  get waiting(): number {
    return this.#callbacks.length;
  }

  turn(): void {
    for (const callback of this.#callbacks.splice(0)) callback();
  }
}

function* job(name: string, steps: number, log: string[]): Generator<undefined, string> {
  for (let step = 1; ; step++) {
    log.push(`${name}${step}`);
    if (step === steps) return name;
    yield;
  }
}

const settledNow = (promise: Promise<unknown>): Promise<unknown> => Promise.race([promise, Promise.resolve("waiting")]);

describe("conversions", () => {
  test("take turns, one step a turn, so that a short one does not wait for a long one", async () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const conversions = new Conversions(turns);
    const long = conversions.run(job("long", 4, log));
    const short = conversions.run(job("short", 2, log));
    expect([log, turns.waiting]).toEqual([[], 1]);
    for (let turn = 1; turn <= 4; turn++) {
      turns.turn();
      expect([log.length, turns.waiting]).toEqual([turn, 1]);
    }
    expect(log).toEqual(["long1", "short1", "long2", "short2"]);
    expect([await short, await settledNow(long)]).toEqual(["short", "waiting"]);
    turns.turn();
    turns.turn();
    expect([await long, turns.waiting]).toEqual(["long", 0]);
  });

  test("one that comes later waits for one round at most", () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const conversions = new Conversions(turns);
    void conversions.run(job("a", 9, log));
    void conversions.run(job("b", 9, log));
    turns.turn();
    void conversions.run(job("c", 1, log));
    for (let turn = 0; turn < 3; turn++) turns.turn();
    expect(log).toEqual(["a1", "b1", "c1", "a2"]);
  });

  test("only so many are begun at a time, and the next when one of them is over", () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const conversions = new Conversions(turns);
    for (const name of "abcdefghijk") void conversions.run(job(name, name === "c" ? 2 : 9, log));
    for (let turn = 0; turn < 16; turn++) turns.turn();
    expect(log.join(" ")).toBe("a1 b1 c1 d1 e1 f1 g1 h1 a2 b2 c2 d2 e2 f2 g2 h2");
    for (let turn = 0; turn < 8; turn++) turns.turn();
    expect(log.slice(16).join(" ")).toBe("i1 a3 b3 d3 e3 f3 g3 h3");
  });

  test("one that throws is rejected, and the others go on", async () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const conversions = new Conversions(turns);
    const broken = conversions.run(
      // oxlint-disable-next-line require-yield -- a job may end in its first step
      (function* (): Generator<undefined, string> {
        throw new Error("an invariant");
      })(),
    );
    const failed = broken.catch((error: unknown) => error);
    const sound = conversions.run(job("sound", 1, log));
    turns.turn();
    turns.turn();
    expect(await failed).toMatchObject({ message: "an invariant" });
    expect(await sound).toBe("sound");
  });

  test("end when it is closed: who waits is rejected, who comes is too, and nothing is left", async () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const conversions = new Conversions(turns);
    const waiting = conversions.run(job("a", 5, log));
    turns.turn();
    conversions.close();
    await expect(waiting).rejects.toMatchObject({ code: "ERR_STOPPING" });
    await expect(conversions.run(job("b", 1, log))).rejects.toMatchObject({ code: "ERR_STOPPING" });
    while (turns.waiting > 0) turns.turn();
    expect(log).toEqual(["a1"]);
  });
});
