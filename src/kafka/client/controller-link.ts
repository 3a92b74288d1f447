import type { Decoded, Input } from "../../codec/schema.ts";
import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import { errorCode, OperationalError, toError } from "../../lib/error.ts";
import type { Api } from "../protocol/api.ts";
import type { BrokerLink } from "./broker-link.ts";

const RETRY_MS = 100;

/** Where a broker listens for others. */
export interface BrokerEndpoint {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

type Way = Pick<BrokerLink, "send" | "close">;

export interface ControllerLinkOptions {
  readonly host: Pick<Host, "timers" | "log">;
  /** The controller, as far as this broker knows. */
  endpoint(): BrokerEndpoint | undefined;
  open(endpoint: BrokerEndpoint): Way;
}

/**
 * The way from a broker to whichever broker is the controller: requests one after the other, in the order of `send`,
 * each repeated until a controller has answered it. Source: kafka/server/BrokerToControllerChannelManagerImpl.scala;
 * beyond it, a controller that is known to have moved is not asked any more.
 */
export class ControllerLink {
  readonly #options: ControllerLinkOptions;
  readonly #log: Logger;
  #last: Promise<unknown> = Promise.resolve();
  #open: { readonly endpoint: BrokerEndpoint; readonly way: Way } | undefined;
  #closed = false;
  #wake: (() => void) | undefined;
  /** Said once for each row of failures. */
  #complained = false;

  constructor(options: ControllerLinkOptions) {
    this.#options = options;
    this.#log = options.host.log.child("to controller");
  }

  /** `isElsewhere`: the answer is not a controller's. Rejects (ECONNABORTED) only when the link is closed. */
  send<A extends Api>(api: A, version: number, request: Input<A["request"]>, isElsewhere: (response: Decoded<A["response"]>) => boolean): Promise<Decoded<A["response"]>> {
    const answered = this.#last.then(() => this.#exchange(api, version, request, isElsewhere));
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  /** What is under way, and what waits behind it, rejects. */
  close(): void {
    this.#closed = true;
    this.#open?.way.close();
    this.#wake?.();
  }

  async #exchange<A extends Api>(api: A, version: number, request: Input<A["request"]>, isElsewhere: (response: Decoded<A["response"]>) => boolean): Promise<Decoded<A["response"]>> {
    for (;;) {
      if (this.#closed) throw new OperationalError("ECONNABORTED", `the way to the controller was closed before ${api.name} was answered`);
      const way = this.#wayToController();
      if (way !== undefined) {
        const response = await this.#ask(way, api, version, request);
        if (response !== undefined && !isElsewhere(response)) {
          this.#complained = false;
          return response;
        }
        this.#leave();
      }
      await this.#pause();
    }
  }

  #wayToController(): Way | undefined {
    const endpoint = this.#options.endpoint();
    const open = this.#open;
    if (endpoint === undefined) {
      this.#leave();
      return undefined;
    }
    if (open?.endpoint.host === endpoint.host && open.endpoint.port === endpoint.port) return open.way;
    this.#leave();
    const way = this.#options.open(endpoint);
    this.#open = { endpoint, way };
    return way;
  }

  async #ask<A extends Api>(way: Way, api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]> | undefined> {
    try {
      return await way.send(api, version, request);
    } catch (thrown) {
      if (errorCode(thrown) === undefined) throw thrown;
      if (!this.#closed && !this.#complained) this.#log.warn("the controller does not answer, trying again", { api: api.name, controller: this.#open?.endpoint.id, error: toError(thrown) });
      this.#complained = true;
      return undefined;
    }
  }

  #leave(): void {
    this.#open?.way.close();
    this.#open = undefined;
  }

  #pause(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer: Timer = this.#options.host.timers.after(RETRY_MS, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
