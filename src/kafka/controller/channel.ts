import type { Timer, Timers } from "../../host/clock.ts";
import type { Logger } from "../../host/log.ts";
import { assertNever } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { leaderAndIsr } from "../protocol/messages/leader-and-isr.ts";
import { stopReplica } from "../protocol/messages/stop-replica.ts";
import { updateMetadata } from "../protocol/messages/update-metadata.ts";
import type { ControlExchange, ControlRequest } from "./effects.ts";
import { MetadataUpdates, type UpdateMetadataBody } from "./metadata-updates.ts";
import type { BrokerLink } from "./ports.ts";

const retryMs = 100;

/** What inter.broker.protocol.version 2.7 uses. */
const versions = { leaderAndIsr: 4, updateMetadata: 6, stopReplica: 3 } as const;

/**
 * The controller's requests to one broker, one at a time and in order. A request is repeated until the broker answers
 * or the channel is closed, which happens when the broker leaves the cluster. Meanwhile UpdateMetadata requests that
 * follow each other become one, so that a broker that does not answer costs no memory for each change of an ISR;
 * LeaderAndIsr and StopReplica are kept one by one, for elections and deletions depend on their order. Source: ControllerChannelManager.scala,
 * RequestSendThread.
 */
export class BrokerChannel {
  readonly #timers: Timers;
  readonly #log: Logger;
  readonly #link: BrokerLink;
  readonly #onResponse: (exchange: ControlExchange) => void;
  /** The first is under way. */
  readonly #queue: (ControlRequest | MetadataUpdates)[] = [];
  /** Who waits until so many requests are answered, in order. */
  readonly #waiting: { readonly answered: number; readonly resolve: () => void }[] = [];
  #answered = 0;
  #closed = false;
  #running = false;
  /** The last attempt failed, which has been said. */
  #silent = false;
  #wake: (() => void) | undefined;

  constructor(timers: Timers, log: Logger, link: BrokerLink, onResponse: (exchange: ControlExchange) => void) {
    this.#timers = timers;
    this.#log = log;
    this.#link = link;
    this.#onResponse = onResponse;
  }

  /** True: `run` must be called. */
  push(request: ControlRequest): boolean {
    if (request.api !== "updateMetadata" || !this.#merge(request.body)) this.#queue.push(request);
    return !this.#running;
  }

  /** Resolves when the broker has answered all that it is to be told by now, or the channel is closed. */
  told(): Promise<void> {
    if (this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ answered: this.#answered + this.#queue.length, resolve }));
  }

  /** Ends when the queue is empty or the channel closed. */
  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let first = this.#queue[0]; first !== undefined && !this.#closed; first = this.#queue[0]) {
      const request: ControlRequest = first instanceof MetadataUpdates ? { api: "updateMetadata", body: first.body() } : first;
      try {
        const exchange = await exchangeOver(this.#link, request);
        if (this.#closed) break;
        this.#queue.shift();
        this.#answered++;
        while ((this.#waiting[0]?.answered ?? Infinity) <= this.#answered) this.#waiting.shift()?.resolve();
        if (this.#silent) this.#log.info("the broker answers the controller again", { api: request.api, queued: this.#queue.length });
        this.#silent = false;
        this.#onResponse(exchange);
      } catch (thrown) {
        if (this.#closed) break;
        if (!this.#silent) this.#log.warn("a broker does not answer the controller, trying again", { api: request.api, queued: this.#queue.length, error: toError(thrown) });
        this.#silent = true;
        await this.#pause();
      }
    }
    this.#running = false;
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    this.#link.close();
    this.#wake?.();
  }

  #merge(body: UpdateMetadataBody): boolean {
    const last = this.#queue.length - 1;
    const previous = this.#queue[last];
    if (last < 1 || previous === undefined) return false;
    if (previous instanceof MetadataUpdates) return previous.add(body);
    if (previous.api !== "updateMetadata") return false;
    const updates = new MetadataUpdates(previous.body);
    if (!updates.add(body)) return false;
    this.#queue[last] = updates;
    return true;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer: Timer = this.#timers.after(retryMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

async function exchangeOver(link: BrokerLink, request: ControlRequest): Promise<ControlExchange> {
  switch (request.api) {
    case "leaderAndIsr":
      return { ...request, response: await link.send(leaderAndIsr, versions.leaderAndIsr, request.body) };
    case "updateMetadata":
      return { ...request, response: await link.send(updateMetadata, versions.updateMetadata, request.body) };
    case "stopReplica":
      return { ...request, response: await link.send(stopReplica, versions.stopReplica, request.body) };
    default:
      return assertNever(request);
  }
}
