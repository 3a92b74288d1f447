import type { VersionRange } from "../../codec/model.ts";
import type { Decoded, Input } from "../../codec/schema.ts";
import type { Host } from "../../host/host.ts";
import { errorCode, OperationalError } from "../../lib/error.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import { apiVersions } from "../protocol/messages/api-versions.ts";
import { BrokerConnection, type BrokerConnectionOptions } from "./broker-connection.ts";

/** What a broker serves, by API key. */
export type ServedVersions = ReadonlyMap<number, VersionRange>;

/** Bounds of the caller's own, beside those of the messages and of the broker. */
export interface VersionBounds {
  readonly first?: number;
  readonly last?: number;
}

export interface Answer<A extends Api> {
  /** In which the request went. */
  readonly version: number;
  readonly response: Decoded<A["response"]>;
}

/** The highest version that all sides have. Throws ERR_UNSUPPORTED_VERSION where there is none. */
export function commonVersion(api: Pick<Api, "key" | "name" | "request">, served: ServedVersions, { first = 0, last = Infinity }: VersionBounds = {}): number {
  const range = served.get(api.key);
  const own = api.request.versions;
  const version = Math.min(own.last, last, range?.last ?? -1);
  if (range !== undefined && version >= Math.max(own.first, first, range.first)) return version;
  const theirs = range === undefined ? "does not serve it" : `serves its versions ${range.first} to ${range.last}`;
  throw new OperationalError("ERR_UNSUPPORTED_VERSION", `${api.name} can't be asked: this client has its versions ${Math.max(own.first, first)} to ${Math.min(own.last, last)}, and the broker ${theirs}`);
}

/**
 * A connection to a broker that has said what it serves: ApiVersions 3 is asked first; a broker that does not have it
 * answers as version 0 does, which can't be read as version 3 (KIP-511), and is asked for version 0 over another connection.
 */
export class NegotiatedConnection {
  readonly served: ServedVersions;
  readonly #connection: BrokerConnection;

  constructor(connection: BrokerConnection, served: ServedVersions) {
    this.#connection = connection;
    this.served = served;
  }

  /** Rejects as `BrokerConnection.connect` and `send` do, or with ERR_UNSUPPORTED_VERSION. */
  static async connect(host: Host, options: BrokerConnectionOptions): Promise<NegotiatedConnection> {
    try {
      return await open(host, options, NEWEST);
    } catch (error) {
      if (errorCode(error) !== "EPROTO") throw error;
      return open(host, options, OLDEST);
    }
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  /** `request` builds it for the version in which it goes. */
  async send<A extends Api>(api: A, request: (version: number) => Input<A["request"]>, options: { readonly versions?: VersionBounds | undefined; readonly timeoutMs: number }): Promise<Answer<A>> {
    const version = commonVersion(api, this.served, options.versions);
    return { version, response: await this.#connection.send(api, version, request(version), options.timeoutMs) };
  }

  /** As `send`, of a request that is never answered; returns the version in which it went. */
  post<A extends Api>(api: A, request: (version: number) => Input<A["request"]>, versions?: VersionBounds): number {
    const version = commonVersion(api, this.served, versions);
    this.#connection.post(api, version, request(version));
    return version;
  }

  close(): void {
    this.#connection.close();
  }
}

const NEWEST = apiVersions.request.versions.last;
const OLDEST = 0;
/** As Apache's clients say where they do not know. */
const SOFTWARE_VERSION = "unknown";

async function open(host: Host, options: BrokerConnectionOptions, version: number): Promise<NegotiatedConnection> {
  const connection = await BrokerConnection.connect(host, options);
  try {
    const { errorCode: code, apiKeys } = await connection.send(apiVersions, version, { clientSoftwareName: "odradek", clientSoftwareVersion: SOFTWARE_VERSION });
    if (code !== ErrorCode.NONE) throw new OperationalError("ERR_UNSUPPORTED_VERSION", `${options.host}:${options.port} answers ${errorName(code)} to ApiVersions ${version}`);
    return new NegotiatedConnection(connection, new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, { first: minVersion, last: maxVersion }])));
  } catch (error) {
    connection.close();
    throw error;
  }
}
