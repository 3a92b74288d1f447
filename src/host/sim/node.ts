import { assert, must } from "../../lib/assert.ts";
import { BufferPool } from "../../lib/buffer-pool.ts";
import type { Prng } from "../../lib/prng.ts";
import type { Host } from "../host.ts";
import { lifeClock, MachineClock, SimTimers } from "./clock.ts";
import { LifeDisk, SimDisk } from "./disk.ts";
import type { Fabric, Machine } from "./fabric.ts";
import { Life, type CurrentTurn } from "./life.ts";
import { LogTail, simLogger } from "./log.ts";
import { endNetwork, SimNetwork } from "./net.ts";
import type { DiskOptions, NodeFailure } from "./options.ts";
import { simRandom } from "./random.ts";
import { eventKinds, type Schedule } from "./schedule.ts";

export interface NodeOptions {
  readonly schedule: Schedule;
  readonly fabric: Fabric;
  readonly machine: Machine;
  readonly prng: Prng;
  readonly current: CurrentTurn;
  readonly disk: DiskOptions;
  readonly epochMs: number;
  readonly driftPpm: number;
  readonly timerLateMsMax: number;
  readonly logLinesMax: number;
  readonly print: ((line: string) => void) | undefined;
  onFailure(failure: NodeFailure): void;
}

/** A machine with one process at a time. Its disk, address, name and clock stay; a life has its own `host`. */
export class SimNode {
  readonly clock: MachineClock;
  readonly disk: SimDisk;
  readonly log: LogTail;
  readonly #options: NodeOptions;
  #lives = 0;
  #life: Life | undefined;
  #host: Host | undefined;
  #files: LifeDisk | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
    const { schedule, machine, prng } = options;
    this.clock = new MachineClock({ schedule, epochMs: options.epochMs, driftPpm: options.driftPpm });
    this.disk = new SimDisk({ schedule, prng: prng.fork("disk"), disk: options.disk, wallMs: () => this.clock.wallMs });
    this.log = new LogTail({ nodeName: machine.name, linesMax: options.logLinesMax, print: options.print });
  }

  get name(): string {
    return this.#options.machine.name;
  }

  get address(): string {
    return this.#options.machine.address;
  }

  get up(): boolean {
    return this.#life !== undefined;
  }

  get paused(): boolean {
    return this.#life?.held === true;
  }

  /** Lives begun so far. */
  get lives(): number {
    return this.#lives;
  }

  /** The present life's host. */
  get host(): Host {
    return must(this.#host, `host of ${this.name}: it is down`);
  }

  /** What the present life holds, for those who look for leaks. */
  get resources(): { files: string[]; connections: number; listeners: number } {
    const { fabric, machine } = this.#options;
    return {
      files: [...(this.#files?.openFiles ?? [])].map((file) => file.path),
      connections: [...fabric.ends].filter((end) => end.life === this.#life).length,
      listeners: [...machine.listeners.values()].flat().length,
    };
  }

  /** A new process, on a machine that is switched on where it was off. */
  start(): Host {
    assert(this.#life === undefined, `${this.name} is down when it is started`);
    const { schedule, fabric, machine, current, prng, timerLateMsMax } = this.#options;
    this.#lives++;
    const random = prng.fork(`life/${this.#lives}`);
    const life = new Life({ node: machine.index, nodeName: machine.name, number: this.#lives, schedule, current, onFail: (failed, reason) => this.#failed(failed, reason) });
    if (!machine.on) {
      machine.on = true;
      machine.boots++;
      fabric.retryStalled();
    }
    schedule.note(eventKinds.life, machine.index, 1);
    const files = new LifeDisk({ disk: this.disk, life });
    const log = simLogger({ tail: this.log, life, nowUs: () => schedule.nowUs });
    this.#life = life;
    this.#files = files;
    this.#host = {
      clock: lifeClock(this.clock, random.fork("clock")),
      timers: new SimTimers({ life, clock: this.clock, random: random.fork("timers"), lateMsMax: timerLateMsMax }),
      net: new SimNetwork({ fabric, machine, life }),
      disk: files,
      random: simRandom(random.fork("entropy")),
      log,
      // Whoever reads what was given back reads nonsense, and the run fails.
      buffers: new BufferPool({ poisons: true, bytesMin: 64 }),
      hostName: machine.name,
      fail: (reason) => life.fail(reason),
    };
    return this.#host;
  }

  /** The process dies at once, as from SIGKILL: the system and its page cache live on. Nothing happens to a node that is down. */
  kill(): void {
    this.#end("process");
  }

  /** The machine loses its power: peers learn nothing, and what was not synced is at the mercy of the seed. */
  powerLoss(): void {
    const { machine } = this.#options;
    this.#end("power");
    if (!machine.on) return;
    machine.on = false;
    this.disk.losePower();
  }

  /** The process stands still, as from SIGSTOP; its clocks and its system go on. */
  pause(): void {
    if (this.#life === undefined) return;
    this.#note(3);
    this.#life.held = true;
  }

  resume(): void {
    if (this.#life?.held !== true) return;
    this.#note(4);
    this.#life.resume();
  }

  #end(how: "process" | "power"): void {
    const life = this.#life;
    if (life === undefined) return;
    const { fabric, machine } = this.#options;
    this.#note(how === "process" ? 0 : 2);
    life.alive = false;
    this.#life = undefined;
    this.#host = undefined;
    this.#files = undefined;
    endNetwork(fabric, machine, life, how);
    this.disk.endLife(life);
  }

  #failed(life: Life, reason: Error): void {
    this.host.log.error("the node stops", { error: reason });
    this.kill();
    this.#options.onFailure({ node: this.name, life: life.number, atMs: this.#options.schedule.nowUs / 1000, reason });
  }

  #note(change: number): void {
    this.#options.schedule.note(eventKinds.life, this.#options.machine.index, change);
  }
}
