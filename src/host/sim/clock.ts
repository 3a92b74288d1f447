import { assert } from "../../lib/assert.ts";
import type { Prng } from "../../lib/prng.ts";
import type { Clock, Timer, Timers } from "../clock.ts";
import type { Life } from "./life.ts";
import { eventKinds, type Schedule, type ScheduledEvent } from "./schedule.ts";

/** Where the monotonic clock of a life may begin, in microseconds: nobody may compare it with another life's. */
const monotonicOriginUsMax = 1_000_000_000;

/** A machine's oscillator and wall clock. They outlive its processes. */
export class MachineClock {
  readonly #schedule: Schedule;
  #wallOffsetMs: number;
  #driftPpm: number;
  /** Where the present rate began: world time and local time, in whole microseconds. */
  #sinceWorldUs = 0;
  #sinceLocalUs = 0;

  constructor(options: { schedule: Schedule; epochMs: number; driftPpm: number }) {
    this.#schedule = options.schedule;
    this.#wallOffsetMs = options.epochMs;
    this.#driftPpm = options.driftPpm;
  }

  get localUs(): number {
    return this.#localAt(this.#schedule.nowUs);
  }

  get wallMs(): number {
    return Math.floor(this.#wallOffsetMs + this.localUs / 1000);
  }

  /** Moves the wall clock, forward or back; durations do not see it. */
  step(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** From now on a second of this machine is 1 000 000 / (1 000 000 + `ppm`) s of the world's: positive runs fast. */
  setDrift(ppm: number): void {
    assert(Number.isInteger(ppm) && Math.abs(ppm) <= 500_000, `a drift of ${ppm} ppm`);
    this.#sinceLocalUs = this.localUs;
    this.#sinceWorldUs = this.#schedule.nowUs;
    this.#driftPpm = ppm;
  }

  /** The first world time at which `localUs` has come, at the present rate. */
  worldAt(localUs: number): number {
    if (this.#driftPpm === 0) return this.#sinceWorldUs + localUs - this.#sinceLocalUs;
    let world = this.#sinceWorldUs + Math.floor(((localUs - this.#sinceLocalUs) * 1_000_000) / (1_000_000 + this.#driftPpm));
    while (this.#localAt(world) < localUs) world++;
    return world;
  }

  #localAt(worldUs: number): number {
    const elapsed = worldUs - this.#sinceWorldUs;
    return this.#sinceLocalUs + elapsed + Math.floor((elapsed * this.#driftPpm) / 1_000_000);
  }
}

/** The clock as one life sees it. */
export function lifeClock(machine: MachineClock, random: Prng): Clock {
  const originUs = machine.localUs - random.below(monotonicOriginUsMax);
  return {
    monotonicMs: () => (machine.localUs - originUs) / 1000,
    wallMs: () => machine.wallMs,
  };
}

export class SimTimers implements Timers {
  readonly #life: Life;
  readonly #clock: MachineClock;
  readonly #random: Prng;
  readonly #lateUsMax: number;
  readonly #soon: (() => void)[] = [];

  constructor(options: { life: Life; clock: MachineClock; random: Prng; lateMsMax: number }) {
    this.#life = options.life;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#lateUsMax = Math.round(options.lateMsMax * 1000);
  }

  after(delayMs: number, callback: () => void): Timer {
    assert(Number.isFinite(delayMs), `a timer of ${delayMs} ms`);
    if (!this.#life.alive) return deadTimer;
    const lateUs = this.#lateUsMax === 0 ? 0 : this.#random.below(this.#lateUsMax + 1);
    const dueUs = this.#clock.localUs + Math.ceil(Math.max(0, delayMs) * 1000) + lateUs;
    return new SimTimer(this.#life, this.#clock, dueUs, callback);
  }

  soon(callback: () => void): void {
    if (!this.#life.alive) return;
    this.#soon.push(callback);
    // Every event takes the head of the list, so that callbacks keep their order whatever order is drawn.
    this.#life.after(this.#random.below(soonUsMax), eventKinds.soon, () => this.#soon.shift()?.());
  }
}

/** The longest a turn goes on gathering input before its `soon` callbacks, in microseconds. */
const soonUsMax = 20;

const deadTimer: Timer = { cancel: () => undefined };

class SimTimer implements Timer {
  readonly #life: Life;
  readonly #clock: MachineClock;
  readonly #dueUs: number;
  readonly #callback: () => void;
  #event: ScheduledEvent;

  constructor(life: Life, clock: MachineClock, dueUs: number, callback: () => void) {
    this.#life = life;
    this.#clock = clock;
    this.#dueUs = dueUs;
    this.#callback = callback;
    this.#event = this.#arm();
  }

  cancel(): void {
    this.#event.cancel();
  }

  #arm(): ScheduledEvent {
    const life = this.#life;
    return life.schedule.at(this.#clock.worldAt(this.#dueUs), eventKinds.timer, life.node, life, () => this.#fire());
  }

  #fire(): void {
    // The machine's clock may have been slowed while this timer waited.
    if (this.#clock.localUs < this.#dueUs) this.#event = this.#arm();
    else this.#callback();
  }
}
