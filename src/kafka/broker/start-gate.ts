import type { Timers } from "../../host/clock.ts";
import type { Route } from "../network/request.ts";
import type { MetadataCache } from "./metadata-cache.ts";

/** Where no controller speaks up for so long, clients are told what is known: nothing. */
const WAIT_MS_MAX = 10_000;

/**
 * Makes clients wait, at a broker's start, until the controller has told it of the cluster. Apache's broker would
 * answer them before, that there are no brokers and no topics: the first request of many a client to a broker that
 * has just come back. Deliberate; docs/compat.md.
 */
export function gateUntilMetadata(routes: readonly Route[], metadata: MetadataCache, timers: Timers): Route[] {
  let open = false;
  const opened = new Promise<void>((resolve) => {
    const openUp = (): boolean => {
      open = true;
      timer.cancel();
      resolve();
      return true;
    };
    const stop = metadata.watch(() => metadata.brokers.length > 0 && openUp());
    const timer = timers.after(WAIT_MS_MAX, () => {
      stop();
      openUp();
    });
  });
  return routes.map((route) => ({ ...route, handle: (request, context) => (open ? route.handle(request, context) : opened.then(() => route.handle(request, context))) }));
}
