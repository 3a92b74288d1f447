import type { Timers } from "../../host/clock.ts";
import type { Route } from "../network/request.ts";
import type { MetadataCache } from "./metadata-cache.ts";

/** Where no controller speaks up for so long, clients are told what is known: nothing. */
const WAIT_MS_MAX = 10_000;

/**
 * Makes clients wait, at a broker's start, until the controller has told it of the cluster: of a broker, and of every
 * topic in `topics`, those that ZooKeeper held then. Apache's broker would
 * answer them before, that there are no brokers and no topics: the first request of many a client to a broker that
 * has just come back. Deliberate; docs/compat.md.
 */
export function gateUntilMetadata(routes: readonly Route[], options: { readonly metadata: MetadataCache; readonly timers: Timers; readonly topics: readonly string[] }): { readonly routes: Route[]; close(): void } {
  const { metadata, timers, topics } = options;
  let open = false;
  let close: () => unknown = () => undefined;
  const opened = new Promise<void>((resolve) => {
    const openUp = (): boolean => {
      open = true;
      timer.cancel();
      resolve();
      return true;
    };
    // A new controller first tells of brokers, and of topics only when it has settled their leaders.
    const stop = metadata.watch(() => metadata.brokers.length > 0 && topics.every((topic) => metadata.hasTopic(topic)) && openUp());
    const timer = timers.after(WAIT_MS_MAX, () => {
      stop();
      openUp();
    });
    close = openUp;
  });
  const gated = routes.map((route): Route => ({ ...route, handle: (request, context) => (open ? route.handle(request, context) : opened.then(() => route.handle(request, context))) }));
  return { routes: gated, close: () => void close() };
}
