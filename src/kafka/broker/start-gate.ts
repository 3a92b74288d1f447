import type { Decoded } from "../../codec/schema.ts";
import type { Timers } from "../../host/clock.ts";
import type { Api } from "../protocol/api.ts";
import type { Route } from "../network/request.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { offsetForLeaderEpoch } from "../protocol/messages/offset-for-leader-epoch.ts";
import { replicaIdOf } from "./handlers/fetch.ts";
import type { MetadataCache } from "./metadata-cache.ts";

/** Where no controller speaks up for so long, clients are told what is known: nothing. */
const WAIT_MS_MAX = 10_000;

/** A follower must reach its leader at once: its fetches are what the leader's clients wait for. */
export function isFromReplica(api: Api, request: unknown): boolean {
  switch (api.key) {
    case fetch.key:
      return replicaIdOf(request as Decoded<typeof fetch.request>) >= 0;
    case listOffsets.key:
      return (request as Decoded<typeof listOffsets.request>).replicaId >= 0;
    case offsetForLeaderEpoch.key:
      return (request as Decoded<typeof offsetForLeaderEpoch.request>).replicaId >= 0;
    default:
      return false;
  }
}

export interface GateOptions {
  readonly metadata: MetadataCache;
  readonly timers: Timers;
  /** Those of ZooKeeper. */
  readonly topics: readonly string[];
  /** Requests that do not wait. */
  passes(api: Api, request: unknown): boolean;
}

/**
 * Makes clients wait, at a broker's start, until the controller has told it of the cluster: of a broker, and of every
 * topic in `topics`, those that ZooKeeper held then. Apache's broker would
 * answer them before, that there are no brokers and no topics: the first request of many a client to a broker that
 * has just come back. Deliberate; docs/compat.md.
 */
export function gateUntilMetadata(routes: readonly Route[], options: GateOptions): { readonly routes: Route[]; isOpen(): boolean; close(): void } {
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
  const gated = routes.map((route): Route => ({
    ...route,
    handle: (request, context) => (open || options.passes(route.api, request) ? route.handle(request, context) : opened.then(() => route.handle(request, context))),
  }));
  return { routes: gated, isOpen: () => open, close: () => void close() };
}
