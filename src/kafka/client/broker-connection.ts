import { Reader } from "../../codec/reader.ts";
import type { Decoded, Input } from "../../codec/schema.ts";
import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import type { Connection } from "../../host/net.ts";
import { OperationalError } from "../../lib/error.ts";
import { FrameDecoder } from "../../lib/frames.ts";
import type { Api } from "../protocol/api.ts";
import { encodeFrame } from "../protocol/frame.ts";
import { requestHeader, requestHeaderVersion, responseHeader, responseHeaderVersion } from "../protocol/header.ts";

/** A response larger than any that a broker sends is a stream out of step. */
const RESPONSE_BYTES_MAX = 0x7fff_ffff;

export interface BrokerConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** Large responses lie in buffers of the host's pool: who is done with one may release it, by any view of it. */
  readonly lendsResponses?: boolean;
}

interface Waiting {
  readonly api: Api;
  readonly version: number;
  readonly correlationId: number;
  readonly timer: Timer;
  resolve(response: unknown): void;
  reject(error: Error): void;
}

/**
 * One connection to one broker: requests go out as they are sent, responses come back in the same order. A request
 * that is not answered in time, or out of order, ends the connection and every request that waits on it.
 */
export class BrokerConnection {
  readonly #host: Host;
  readonly #options: BrokerConnectionOptions;
  readonly #connection: Connection;
  readonly #decoder: FrameDecoder;
  readonly #waiting: Waiting[] = [];
  #correlationId = 0;
  #failure: Error | undefined;

  private constructor(host: Host, options: BrokerConnectionOptions, connection: Connection) {
    this.#host = host;
    this.#options = options;
    this.#connection = connection;
    this.#decoder = new FrameDecoder({ frameBytesMax: RESPONSE_BYTES_MAX, ...(options.lendsResponses === true && { buffers: host.buffers }) });
    connection.start({
      data: (chunk) => this.#receive(chunk),
      chunksAreLent: options.lendsResponses === true,
      close: (error) => this.#end(error ?? new OperationalError("ECONNRESET", `${options.host}:${options.port} closed the connection`)),
    });
  }

  /** Rejects with ECONNREFUSED, ETIMEDOUT, ENOTFOUND, … */
  static async connect(host: Host, options: BrokerConnectionOptions): Promise<BrokerConnection> {
    const connection = await host.net.connect({ host: options.host, port: options.port, timeoutMs: options.connectTimeoutMs });
    return new BrokerConnection(host, options, connection);
  }

  get closed(): boolean {
    return this.#failure !== undefined;
  }

  /** Rejects where the connection ends, or no answer comes within `timeoutMs` (REQUEST_TIMED_OUT); an error code in the response is a value. */
  send<A extends Api>(api: A, version: number, request: Input<A["request"]>, timeoutMs = this.#options.requestTimeoutMs): Promise<Decoded<A["response"]>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { correlationId, chunks } = this.#encode(api, version, request);
    return new Promise((resolve, reject) => {
      const timer = this.#host.timers.after(timeoutMs, () => {
        // What is given up, and may be sent again, should not be delivered all the same.
        this.#connection.reset();
        this.#end(new OperationalError("REQUEST_TIMED_OUT", `${this.#options.host}:${this.#options.port} did not answer ${api.name} within ${timeoutMs} ms`));
      });
      this.#waiting.push({ api, version, correlationId, timer, resolve, reject });
      for (const chunk of chunks) this.#connection.write(chunk);
    });
  }

  /** A request that is never answered: Produce with acks 0. Throws where the connection has ended. */
  post<A extends Api>(api: A, version: number, request: Input<A["request"]>): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (const chunk of this.#encode(api, version, request).chunks) this.#connection.write(chunk);
  }

  close(): void {
    this.#end(new OperationalError("ECONNABORTED", "the connection was closed from this side"));
  }

  #encode<A extends Api>(api: A, version: number, request: Input<A["request"]>): { readonly correlationId: number; readonly chunks: readonly Buffer[] } {
    const correlationId = this.#correlationId;
    this.#correlationId = (correlationId + 1) & 0x7fff_ffff;
    const chunks = encodeFrame(
      { schema: requestHeader, version: requestHeaderVersion(api, version), value: { requestApiKey: api.key, requestApiVersion: version, correlationId, clientId: this.#options.clientId } },
      { schema: api.request, version, value: request },
    );
    return { correlationId, chunks };
  }

  #receive(chunk: Buffer): void {
    const readable = this.#decoder.push(chunk, (frame) => this.#answer(frame));
    if (!readable) this.#end(new OperationalError("EPROTO", `${this.#options.host}:${this.#options.port} sent a frame of ${this.#decoder.refusedLength} bytes`));
  }

  #answer(frame: Buffer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#outOfStep("a response that nothing waits for");
      return;
    }
    waiting.timer.cancel();
    const reader = new Reader(frame);
    const header = responseHeader.read(reader, responseHeaderVersion(waiting.api, waiting.version));
    if (header.correlationId === waiting.correlationId) {
      const response = waiting.api.response.read(reader, waiting.version);
      if (!reader.bad) {
        waiting.resolve(response);
        return;
      }
    }
    const what = reader.bad ? `a ${waiting.api.name} response that can't be read` : `response ${header.correlationId} in the place of ${waiting.correlationId}`;
    waiting.reject(this.#outOfStep(what));
  }

  #outOfStep(what: string): Error {
    const error = new OperationalError("EPROTO", `${this.#options.host}:${this.#options.port} sent ${what}`);
    this.#end(error);
    return error;
  }

  #end(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#connection.destroy();
    for (const waiting of this.#waiting.splice(0)) {
      waiting.timer.cancel();
      waiting.reject(error);
    }
  }
}
