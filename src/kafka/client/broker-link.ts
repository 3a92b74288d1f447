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

  /** What is under way rejects. */
  close(): void {
    this.#closed = true;
    this.#connection?.close();
  }

  async #connect(): Promise<BrokerConnection> {
    if (this.#connection?.closed === false) return this.#connection;
    this.#connecting ??= BrokerConnection.connect(this.#host, this.#options).finally(() => {
      this.#connecting = undefined;
    });
    const connection = await this.#connecting;
    this.#connection = connection;
    if (this.#closed) {
      connection.close();
      throw new OperationalError("ECONNABORTED", "the link was closed from this side");
    }
    return connection;
  }
}
