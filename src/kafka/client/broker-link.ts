import type { Decoded, Input } from "../../codec/schema.ts";
import type { Host } from "../../host/host.ts";
import { OperationalError } from "../../lib/error.ts";
import type { Api } from "../protocol/api.ts";
import { BrokerConnection, type BrokerConnectionOptions } from "./broker-connection.ts";

/** A way to one broker: connected when it is first needed, and again after a failure. */
export class BrokerLink {
  readonly #host: Host;
  readonly #options: BrokerConnectionOptions;
  #connection: BrokerConnection | undefined;
  #connecting: Promise<BrokerConnection> | undefined;
  /** Gives up a connection that is being made. */
  #abandon: ((error: Error) => void) | undefined;
  #closed = false;

  constructor(host: Host, options: BrokerConnectionOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Rejects where the broker can't be reached or does not answer in time. */
  async send<A extends Api>(api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]>> {
    const connection = await this.#connect();
    return connection.send(api, version, request);
  }

  /** What is under way rejects, now. */
  close(): void {
    this.#closed = true;
    this.#connection?.close();
    this.#abandon?.(closedHere());
  }

  async #connect(): Promise<BrokerConnection> {
    if (this.#closed) throw closedHere();
    if (this.#connection?.closed === false) return this.#connection;
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined;
      this.#abandon = undefined;
    });
    return this.#connecting;
  }

  #open(): Promise<BrokerConnection> {
    const connecting = BrokerConnection.connect(this.#host, this.#options).then((connection) => {
      if (this.#closed) connection.close();
      else this.#connection = connection;
      return connection;
    });
    return new Promise((resolve, reject) => {
      this.#abandon = reject;
      connecting.then(resolve, reject);
    });
  }
}

function closedHere(): OperationalError {
  return new OperationalError("ECONNABORTED", "the link was closed from this side");
}
