import { OperationalError } from "../../lib/error.ts";
import type { Prng } from "../../lib/prng.ts";
import type { SimConnection } from "./connection.ts";
import type { Life } from "./life.ts";
import type { NetworkOptions } from "./options.ts";
import { eventKinds, type Schedule } from "./schedule.ts";

/** A node as the network sees it. */
export interface Machine {
  readonly index: number;
  readonly name: string;
  /** Textual IPv4. */
  readonly address: string;
  /** False after a power loss: nothing answers, not even with a refusal. */
  on: boolean;
  /** What an earlier boot's kernel had still to send is gone. */
  boots: number;
  readonly listeners: Map<number, ListeningSocket[]>;
  nextPort: number;
}

export interface ListeningSocket {
  /** Undefined: every address of the machine. */
  readonly address: string | undefined;
  readonly life: Life;
  accept(connection: SimConnection): void;
}

/** Something on its way that met a closed road. */
export interface Stalled {
  retry(): void;
}

/** Connects two nodes or names of nodes in the faults below. */
type Named = string | { readonly name: string };

const loopbackUsMax = 30;
const retransmitUsMax = 200_000;

/** The roads between machines: who reaches whom, how long it takes, what breaks. The faults here are the test's to call. */
export class Fabric {
  readonly schedule: Schedule;
  readonly options: NetworkOptions;
  /** Where a stream is cut, and what of it survives a reset. */
  readonly cuts: Prng;
  readonly faults: Prng;
  readonly machines: Machine[] = [];
  /** Every end that a process holds. */
  readonly ends = new Set<SimConnection>();
  readonly #latencies: Prng;
  readonly #byName = new Map<string, Machine>();
  readonly #byAddress = new Map<string, Machine>();
  readonly #blocked = new Set<number>();
  readonly #cloggedUntilUs = new Map<number, number>();
  readonly #stalled = new Set<Stalled>();

  constructor(options: { schedule: Schedule; prng: Prng; network: NetworkOptions }) {
    this.schedule = options.schedule;
    this.options = options.network;
    this.#latencies = options.prng.fork("latency");
    this.cuts = options.prng.fork("cuts");
    this.faults = options.prng.fork("faults");
  }

  addMachine(name: string): Machine {
    const index = this.machines.length;
    const address = `10.0.${(index + 1) >> 8}.${(index + 1) & 0xff}`;
    const machine: Machine = { index, name, address, on: true, boots: 1, listeners: new Map(), nextPort: 32_768 };
    this.machines.push(machine);
    this.#byName.set(name, machine);
    this.#byAddress.set(address, machine);
    return machine;
  }

  /** The address that `host` stands for on `from`, and its machine where there is one. Undefined: no such name. */
  resolve(from: Machine, host: string): { address: string; machine: Machine | undefined } | undefined {
    if (host === "localhost" || host === "0.0.0.0" || host === "::1" || host === "::" || host.startsWith("127.")) return { address: "127.0.0.1", machine: from };
    const named = this.#byName.get(host);
    if (named !== undefined) return { address: named.address, machine: named };
    if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return { address: host, machine: this.#byAddress.get(host) };
    return undefined;
  }

  reachable(from: Machine, to: Machine): boolean {
    return to.on && (from === to || !this.#blocked.has(roadKey(from, to)));
  }

  /** Until when the road carries nothing, in world time; 0 where it is free. */
  cloggedUntil(from: Machine, to: Machine): number {
    return this.#cloggedUntilUs.get(roadKey(from, to)) ?? 0;
  }

  /** How long the next delivery takes. */
  delayUs(from: Machine, to: Machine): number {
    if (from === to) return 1 + this.#latencies.below(loopbackUsMax);
    return drawDelayUs(this.#latencies, this.options.latencyMs, this.options);
  }

  stall(stalled: Stalled): void {
    this.#stalled.add(stalled);
  }

  unstall(stalled: Stalled): void {
    this.#stalled.delete(stalled);
  }

  /** After a road opened or a machine came back: each stalled sender tries again when its retransmission comes due. */
  retryStalled(): void {
    for (const stalled of this.#stalled) {
      const delayUs = 1 + this.#latencies.below(retransmitUsMax);
      this.schedule.at(this.schedule.nowUs + delayUs, eventKinds.world, 0, undefined, () => {
        if (this.#stalled.delete(stalled)) stalled.retry();
      });
    }
  }

  /** Cuts every road from a node of `from` to a node of `to`; the other direction too, unless `oneWay`. */
  partition(from: readonly Named[], to: readonly Named[], options: { oneWay?: boolean } = {}): void {
    for (const a of from) {
      for (const b of to) {
        const [source, target] = [this.#machine(a), this.#machine(b)];
        if (source === target) continue;
        this.#blocked.add(roadKey(source, target));
        if (options.oneWay !== true) this.#blocked.add(roadKey(target, source));
      }
    }
  }

  /** Cuts one node off from all others. */
  isolate(node: Named): void {
    this.partition([node], this.machines);
  }

  /** Opens every road. What was on its way is sent again. */
  heal(): void {
    this.#blocked.clear();
    this.#cloggedUntilUs.clear();
    this.retryStalled();
  }

  /** Nothing from one node arrives at the other for `ms`; then all of it does. */
  clog(from: Named, to: Named, ms: number): void {
    this.#cloggedUntilUs.set(roadKey(this.#machine(from), this.#machine(to)), this.schedule.nowUs + Math.round(ms * 1000));
  }

  /** Breaks every connection between the two nodes, in mid-stream: both ends see ECONNRESET. Returns how many broke. */
  resetConnections(a: Named, b: Named): number {
    const [one, other] = [this.#machine(a), this.#machine(b)];
    const doomed = [...this.ends].filter((end) => end.machine === one && end.peerMachine === other);
    for (const end of doomed) end.breakBoth();
    return doomed.length;
  }

  /** Breaks every connection between the two nodes for `a` alone; `b` learns of it when it writes. Returns how many broke. */
  halfOpen(a: Named, b: Named): number {
    const [one, other] = [this.#machine(a), this.#machine(b)];
    const doomed = [...this.ends].filter((end) => end.machine === one && end.peerMachine === other);
    for (const end of doomed) end.breakHere();
    return doomed.length;
  }

  #machine(named: Named): Machine {
    const name = typeof named === "string" ? named : named.name;
    const machine = this.#byName.get(name);
    if (machine === undefined) throw new OperationalError("ENOTFOUND", `no node is called ${name}`);
    return machine;
  }
}

/** A draw within `range`, and sometimes up to `spikeMs` more. Whole microseconds, at least 1. */
export function drawDelayUs(prng: Prng, range: readonly [number, number], spikes: { spikeMs: number; spikesPerMille: number }): number {
  const [least, most] = [Math.round(range[0] * 1000), Math.round(range[1] * 1000)];
  const spike = prng.chance(spikes.spikesPerMille, 1000) ? prng.below(Math.round(spikes.spikeMs * 1000) + 1) : 0;
  return Math.max(1, prng.between(least, most) + spike);
}

function roadKey(from: Machine, to: Machine): number {
  return from.index * 0x1_0000 + to.index;
}
