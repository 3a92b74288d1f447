import type { TraceEntry } from "./schedule.ts";

/** Least and most, both included. Times in milliseconds, with fractions down to a microsecond. */
export type Range = readonly [least: number, most: number];

/** Rates are chances for each delivery. All may be changed while the world runs. */
export interface NetworkOptions {
  latencyMs: Range;
  /** Now and then a delivery takes up to `spikeMs` longer. */
  spikeMs: number;
  spikesPerMille: number;
  /** How often what one turn wrote is cut at an arbitrary byte. */
  splitsPerMille: number;
  /** Connections that break in mid-stream. */
  resetsPerMillion: number;
  /** How often the sockets of a killed process end with a reset rather than with a plain end. Unread input always resets. */
  killResetsPerMille: number;
  /** Bytes a direction holds between the sender's process and the receiver's. */
  windowBytes: number;
  /** `write` returns false from here on. */
  highWaterBytes: number;
  /** Bytes that went unacknowledged for so long end their connection with ETIMEDOUT. */
  ackTimeoutMs: number;
}

/** Rates are chances for each operation. All may be changed while the world runs. */
export interface DiskOptions {
  latencyMs: Range;
  syncMs: Range;
  /** Now and then an operation takes up to `spikeMs` longer. */
  spikeMs: number;
  spikesPerMille: number;
  readErrorsPerMillion: number;
  writeErrorsPerMillion: number;
  syncErrorsPerMillion: number;
  capacityBytes: number;
  /** After so long the system has written back by itself what nobody synced. */
  writebackMs: number;
  /** Whether a power loss may keep parts of a write only, and whether it may leave garbage in its place. */
  tearing: boolean;
  garbling: boolean;
}

export interface WorldOptions {
  /** 64 bits; reports print it in decimal. */
  readonly seed: bigint | number | string;
  /** A run that needs more has gone astray. */
  readonly eventsMax?: number;
  /** The wall clock's start, in milliseconds since the Unix epoch. */
  readonly epochMs?: number;
  /** Each machine's wall clock is off by up to this much, drawn. */
  readonly clockSkewMsMax?: number;
  /** Each machine's clock runs fast or slow by up to this much, drawn. */
  readonly clockDriftPpmMax?: number;
  /** Timers fire up to this much late, drawn. */
  readonly timerLateMsMax?: number;
  readonly net?: Partial<NetworkOptions>;
  readonly disk?: Partial<DiskOptions>;
  /** Log lines kept for each node. */
  readonly logLinesMax?: number;
  /** Prints each log line as it comes. */
  readonly print?: (line: string) => void;
  /** Whether a node may stop like this. Without it every `Host.fail`, and every error nobody caught, fails the run. */
  readonly expected?: (failure: NodeFailure) => boolean;
  /** Sees what goes into the rolling hash, to find where two runs part. */
  readonly onEvent?: (entry: TraceEntry) => void;
}

/** A life that stopped itself. */
export interface NodeFailure {
  readonly node: string;
  readonly life: number;
  readonly atMs: number;
  readonly reason: Error;
}

export const networkDefaults: Readonly<NetworkOptions> = {
  latencyMs: [0.1, 1],
  spikeMs: 50,
  spikesPerMille: 1,
  splitsPerMille: 100,
  resetsPerMillion: 0,
  killResetsPerMille: 500,
  windowBytes: 256 * 1024,
  highWaterBytes: 16 * 1024,
  ackTimeoutMs: 900_000,
};

export const diskDefaults: Readonly<DiskOptions> = {
  latencyMs: [0.02, 0.2],
  syncMs: [0.1, 2],
  spikeMs: 100,
  spikesPerMille: 1,
  readErrorsPerMillion: 0,
  writeErrorsPerMillion: 0,
  syncErrorsPerMillion: 0,
  capacityBytes: Infinity,
  writebackMs: 30_000,
  tearing: true,
  garbling: true,
};

export const worldDefaults = {
  eventsMax: 10_000_000,
  epochMs: 1_767_225_600_000,
  clockSkewMsMax: 0,
  clockDriftPpmMax: 0,
  timerLateMsMax: 0,
  logLinesMax: 100,
};
