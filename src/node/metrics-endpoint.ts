import type { RealHost } from "../host/real/host.ts";
import { serveHttp, type HttpServer, type Page } from "../host/real/http.ts";
import { loopFamilies, processFamilies } from "../host/real/process-metrics.ts";
import { OperationalError, toError } from "../lib/error.ts";
import { METRICS_CONTENT_TYPE, renderMetrics, type Family } from "../lib/metrics.ts";

/** One part of a node at one time. */
export interface Observation {
  /** Why it is of no use to clients, in words; undefined where it is. */
  readonly unready: string | undefined;
  readonly families: readonly Family[];
}

/** `broker` or `member`, and how to look at it, wherever it runs. */
export interface Observed {
  readonly name: string;
  observe(): Observation | Promise<Observation>;
}

export interface EndpointAddress {
  /** Every address where undefined. */
  readonly host: string | undefined;
  readonly port: number;
  /** The setting that chose the port. */
  readonly setting: string;
}

/** A part that runs in this thread, with its event loop. `current` is undefined until it has started. */
export function observed(host: RealHost, name: "broker" | "member", current: () => Observation | undefined): Observed {
  const loop = loopFamilies(name, host.callbacks);
  return {
    name,
    observe() {
      const part = current();
      return part === undefined ? { unready: "it does not run yet", families: loop } : { unready: part.unready, families: [...part.families, ...loop] };
    },
  };
}

/**
 * /metrics and /ready of a process: all that its parts measure, and whether each of them serves. Rejects with
 * ERR_METRICS_PORT where the port can't be had.
 */
export async function serveMetrics({ host, port, setting }: EndpointAddress, parts: readonly Observed[]): Promise<HttpServer> {
  const own = processFamilies();
  const look = (): Promise<readonly { readonly name: string; readonly observation: Observation }[]> =>
    Promise.all(parts.map(async (part) => ({ name: part.name, observation: await part.observe() })));
  const metrics = async (): Promise<Page> => {
    const seen = await look();
    return { status: 200, contentType: METRICS_CONTENT_TYPE, chunks: renderMetrics([...seen.flatMap(({ observation }) => observation.families), ...own]) };
  };
  const ready = async (): Promise<Page> => {
    const reasons = (await look()).flatMap(({ name, observation: { unready } }) => (unready === undefined ? [] : [`the ${name} is not ready: ${unready}\n`]));
    return { status: reasons.length === 0 ? 200 : 503, contentType: "text/plain; charset=utf-8", chunks: reasons.length === 0 ? ["ready\n"] : reasons };
  };
  try {
    // The first look makes each part begin to measure.
    const [server] = await Promise.all([serveHttp({ host, port, pages: { "/metrics": metrics, "/ready": ready } }), look()]);
    return server;
  } catch (error) {
    const cause = toError(error);
    throw new OperationalError("ERR_METRICS_PORT", `metrics can't be served on port ${port}: ${cause.message}. Choose another with ${setting}`, { cause });
  }
}
