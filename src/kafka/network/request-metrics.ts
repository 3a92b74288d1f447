import { fineBounds, Histogram } from "../../lib/metrics.ts";
import type { Api } from "../protocol/api.ts";

/** When what happened to a request, in ms of the monotonic clock. */
export interface RequestTimes {
  readonly version: number;
  readonly receivedMs: number;
  readonly begunMs: number;
  readonly handledMs: number;
  readonly completedMs: number;
}

/** From a microsecond to a minute and more. */
const BOUNDS_MS = { least: 0.001, most: 65_000 };

/**
 * Requests of one API, and where their time goes, in ms. Source of the parts: RequestChannel.scala, updateRequestMetrics.
 * What they are on one event loop: `queue` is from a frame's arrival to its decoding, while it waits for requests before
 * it; `local` is decoding and the handler up to its first wait; `remote` is what the handler waits for, other brokers,
 * records to come, or this broker's disk; `responseQueue` is the wait for answers before it; `responseSend` is encoding and
 * handing the answer to the socket, not the network's time.
 */
export class ApiMetrics {
  /** By version. */
  readonly requests: Float64Array;
  readonly total: Histogram;
  readonly queue: Histogram;
  readonly local: Histogram;
  readonly remote: Histogram;
  readonly responseQueue: Histogram;
  readonly responseSend: Histogram;
  /** Counts the same requests under a wider name. */
  readonly #also: ApiMetrics | undefined;

  constructor(versionLast: number, bounds: Float64Array, also: ApiMetrics | undefined) {
    this.requests = new Float64Array(versionLast + 1);
    this.total = new Histogram(bounds);
    this.queue = new Histogram(bounds);
    this.local = new Histogram(bounds);
    this.remote = new Histogram(bounds);
    this.responseQueue = new Histogram(bounds);
    this.responseSend = new Histogram(bounds);
    this.#also = also;
  }

  /** The answer begins to be sent, and has been handed over. */
  answered(times: RequestTimes, sendingMs: number, sentMs: number): void {
    const { version, receivedMs, begunMs, handledMs, completedMs } = times;
    const at = Math.min(version, this.requests.length - 1);
    this.requests[at] = (this.requests[at] as number) + 1;
    this.queue.observe(begunMs - receivedMs);
    this.local.observe(handledMs - begunMs);
    this.remote.observe(completedMs - handledMs);
    this.responseQueue.observe(sendingMs - completedMs);
    this.responseSend.observe(sentMs - sendingMs);
    this.total.observe(sentMs - receivedMs);
    this.#also?.answered(times, sendingMs, sentMs);
  }
}

/** All requests of a broker, whatever their listener. */
export class RequestMetrics {
  readonly #bounds = fineBounds(BOUNDS_MS.least, BOUNDS_MS.most);
  readonly #byName = new Map<string, ApiMetrics>();

  /** `purpose` is a narrower name that the request is counted under too. */
  of(api: Api, purpose: string | undefined): ApiMetrics {
    const name = purpose ?? api.name;
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const made = new ApiMetrics(api.request.versions.last, this.#bounds, purpose === undefined ? undefined : this.of(api, undefined));
    this.#byName.set(name, made);
    return made;
  }

  get byName(): ReadonlyMap<string, ApiMetrics> {
    return this.#byName;
  }
}
