import { fineBounds, Histogram } from "../../lib/metrics.ts";

/** Whole ms from a request's arrival to its reply. */
export class Latency {
  #min = Number.MAX_SAFE_INTEGER;
  #total = 0;
  max = 0;
  count = 0;

  add(elapsedMs: number): void {
    this.#total += elapsedMs;
    this.count += 1;
    if (elapsedMs < this.#min) this.#min = elapsedMs;
    if (elapsedMs > this.max) this.max = elapsedMs;
  }

  get min(): number {
    return this.count === 0 ? 0 : this.#min;
  }

  get average(): number {
    return this.count === 0 ? 0 : Math.floor(this.#total / this.count);
  }

  reset(): void {
    this.#min = Number.MAX_SAFE_INTEGER;
    this.#total = 0;
    this.max = 0;
    this.count = 0;
  }
}

const LATENCY_BOUNDS_MS = { least: 0.01, most: 65_000 };

/** What srvr and mntr count, and beside it what no word resets. Sources: ServerStats; of the rest, ServerMetrics at 3.6. */
export class ServerStats {
  readonly latency = new Latency();
  packetsReceived = 0;
  packetsSent = 0;
  connectionsAccepted = 0;
  connectionsRejected = 0;
  commits = 0;
  proposals = 0;
  /** Elections begun. */
  elections = 0;
  /** ms, as are the next two. */
  readonly electionTimes = new Histogram(fineBounds(1, 65_000));
  readonly readLatency = new Histogram(fineBounds(LATENCY_BOUNDS_MS.least, LATENCY_BOUNDS_MS.most));
  readonly updateLatency = new Histogram(fineBounds(LATENCY_BOUNDS_MS.least, LATENCY_BOUNDS_MS.most));

  reset(): void {
    this.latency.reset();
    this.packetsReceived = 0;
    this.packetsSent = 0;
  }
}

/** What cons shows of one connection. Source: ServerCnxn. */
export class ConnectionStats {
  readonly latency = new Latency();
  packetsReceived = 0;
  packetsSent = 0;
  lastOperation = "NA";
  lastCxid = -1;
  lastZxid = -1;
  /** ms of the monotonic clock. */
  lastResponseAt = 0;
  lastLatency = 0;

  answered(operation: string, cxid: number, zxid: number, now: number, elapsedMs: number): void {
    if (cxid >= 0) this.lastCxid = cxid;
    this.lastZxid = zxid;
    this.lastOperation = operation;
    this.lastResponseAt = Math.floor(now);
    this.lastLatency = elapsedMs;
    this.latency.add(elapsedMs);
  }

  reset(): void {
    this.latency.reset();
    this.packetsReceived = 0;
    this.packetsSent = 0;
    this.lastOperation = "NA";
    this.lastCxid = -1;
    this.lastZxid = -1;
    this.lastResponseAt = 0;
    this.lastLatency = 0;
  }
}
