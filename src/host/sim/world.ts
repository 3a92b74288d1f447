import { assert } from "../../lib/assert.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import { Prng } from "../../lib/prng.ts";
import type { Timer } from "../clock.ts";
import { Fabric } from "./fabric.ts";
import type { CurrentTurn } from "./life.ts";
import { SimNode } from "./node.ts";
import { diskDefaults, networkDefaults, worldDefaults, type DiskOptions, type NodeFailure, type WorldOptions } from "./options.ts";
import { eventKinds, Schedule } from "./schedule.ts";
import { drive } from "./turns.ts";

/** Until a time of the world, for a while, or until something holds, looked at before every event, within a while. */
export type RunGoal = { readonly untilMs: number } | { readonly forMs: number } | { readonly until: () => boolean; readonly withinMs: number };

/** Log lines of each node in the message of a run that failed. */
const reportLinesMax = 15;

/** A seeded world of many nodes in one process. Time passes, and things happen, only in `run` and `settle`. */
export class World {
  readonly net: Fabric;
  readonly nodes: SimNode[] = [];
  /** Every life that stopped itself so far, expected or not. */
  readonly failures: NodeFailure[] = [];
  readonly #options: WorldOptions;
  readonly #root: Prng;
  readonly #schedule: Schedule;
  readonly #current: CurrentTurn = { life: undefined };
  #fatal: { code: string; what: string; cause: Error } | undefined;
  #running = false;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#root = new Prng(options.seed);
    this.#schedule = new Schedule({ priorities: this.#root.fork("schedule"), onEvent: options.onEvent });
    this.net = new Fabric({ schedule: this.#schedule, prng: this.#root.fork("net"), network: { ...networkDefaults, ...options.net } });
  }

  get seed(): string {
    return this.#root.seed.toString();
  }

  get nowMs(): number {
    return this.#schedule.nowUs / 1000;
  }

  /** Events run so far. */
  get events(): number {
    return this.#schedule.ran;
  }

  /** Of everything that happened so far, as 16 hexadecimal digits: equal for equal seeds, options and code. */
  get hash(): string {
    return this.#schedule.hash.toString();
  }

  /** A machine, switched on, and its first process. */
  addNode(name: string, options: { readonly disk?: Partial<DiskOptions> } = {}): SimNode {
    assert(
      this.nodes.every((node) => node.name !== name),
      `${name} is a new node's name`,
    );
    const world = { ...worldDefaults, ...this.#options };
    const prng = this.#root.fork(`node/${name}`);
    const draws = prng.fork("machine");
    const either = (most: number): number => draws.between(-most, most);
    const node = new SimNode({
      schedule: this.#schedule,
      fabric: this.net,
      machine: this.net.addMachine(name),
      prng,
      current: this.#current,
      disk: { ...diskDefaults, ...this.#options.disk, ...options.disk },
      epochMs: world.epochMs + either(world.clockSkewMsMax),
      driftPpm: either(world.clockDriftPpmMax),
      timerLateMsMax: world.timerLateMsMax,
      logLinesMax: world.logLinesMax,
      print: this.#options.print,
      onFailure: (failure) => this.#onFailure(failure),
    });
    this.nodes.push(node);
    node.start();
    return node;
  }

  /** Draws for one concern of the test's own, such as its workload or its faults. */
  prng(name: string): Prng {
    return this.#root.fork(`test/${name}`);
  }

  /** The test's own event, which belongs to no node: a fault, a step of a workload. What it throws fails the run. */
  after(delayMs: number, action: () => void): Timer {
    return this.#schedule.at(this.#schedule.nowUs + Math.round(delayMs * 1000), eventKinds.world, 0, undefined, action);
  }

  /** Puts a word of the test's own, such as what a client saw, into the rolling hash. */
  mark(word: number): void {
    this.#schedule.note(eventKinds.mark, 0, word);
  }

  /**
   * Rejects with ETIMEDOUT where the time passed before `until` held, EDEADLK where nothing is left to happen
   * that could bring it about, EOVERFLOW beyond `eventsMax`, EFAILED where a node stopped itself unexpectedly.
   */
  async run(goal: RunGoal): Promise<void> {
    assert(!this.#running, "one run of a world at a time");
    const schedule = this.#schedule;
    const limitUs = "untilMs" in goal ? Math.round(goal.untilMs * 1000) : schedule.nowUs + Math.round(("forMs" in goal ? goal.forMs : goal.withinMs) * 1000);
    const until = "until" in goal ? goal.until : undefined;
    const eventsMax = this.#options.eventsMax ?? worldDefaults.eventsMax;
    const onRejection = (reason: unknown): void => this.#onRejection(toError(reason));
    process.on("unhandledRejection", onRejection);
    this.#running = true;
    try {
      await drive(() => {
        if (this.#fatal !== undefined) throw this.#failure(this.#fatal.code, this.#fatal.what, this.#fatal.cause);
        this.#current.life = undefined;
        if (until?.() === true) return false;
        if (schedule.ran >= eventsMax) throw this.#failure("EOVERFLOW", `more than ${eventsMax} events`);
        if (schedule.runNext(limitUs)) return true;
        if (until !== undefined && schedule.pending === 0) throw this.#failure("EDEADLK", "nothing is left to happen, and what was waited for does not hold");
        schedule.nowUs = Math.max(schedule.nowUs, limitUs);
        if (until !== undefined) throw this.#failure("ETIMEDOUT", "what was waited for did not come about in time");
        return false;
      });
    } finally {
      this.#running = false;
      process.off("unhandledRejection", onRejection);
    }
  }

  /** Runs until the promise settles, and passes its outcome on. */
  async settle<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    promise.then(settle, settle);
    await this.run({ until: () => settled, withinMs });
    return promise;
  }

  /** The seed, where the run is, and the last log lines of every node. */
  report(linesMax = Infinity): string {
    const where = `seed ${this.seed}, ${this.nowMs} ms, ${this.events} events, hash ${this.hash}`;
    const nodes = this.nodes.map((node) => [`${node.name} (${node.up ? (node.paused ? "paused" : "up") : "down"}, life ${node.lives})`, ...node.log.lines().slice(-linesMax)].join("\n  "));
    return [where, ...nodes].join("\n");
  }

  #failure(code: string, what: string, cause?: Error): OperationalError {
    return new OperationalError(code, `${what}\n${this.report(reportLinesMax)}`, cause === undefined ? {} : { cause });
  }

  #onFailure(failure: NodeFailure): void {
    this.failures.push(failure);
    if (this.#options.expected?.(failure) === true) return;
    this.#fatal ??= { code: "EFAILED", what: `${failure.node} stopped itself in life ${failure.life}: ${failure.reason.message}`, cause: failure.reason };
  }

  /** A promise that nobody handles would end a real process; it was rejected in the turn that just ran. */
  #onRejection(reason: Error): void {
    const { life } = this.#current;
    if (life !== undefined) life.fail(reason);
    else this.#fatal ??= { code: "EFAILED", what: `an unhandled rejection outside all nodes: ${reason.message}`, cause: reason };
  }
}
