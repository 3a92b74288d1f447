import type { VersionRange } from "../../codec/model.ts";
import type { Decoded, Input } from "../../codec/schema.ts";
import type { Api } from "../protocol/api.ts";

/** Who asks, and how: what a handler may know beside the request itself. */
export interface RequestContext {
  readonly listenerName: string;
  readonly clientHost: string;
  readonly clientId: string | null;
  readonly apiVersion: number;
  /** Names the connection in logs: local address, remote address and a number. */
  readonly connectionId: string;
  /** Of two connections to one listener, the later has the higher. */
  readonly connectionNumber: number;
}

/** A request that is not answered: Produce with acks=0. */
export const noResponse = Symbol("no response");
/** A request that can only be answered by closing the connection. */
export const closeConnection = Symbol("close the connection");

export type Reply<A extends Api> = Input<A["response"]> | typeof noResponse | typeof closeConnection;

/** What of an answer was lent for it is given back: called once the answer has left, or never. */
export type Returns<A extends Api> = (answer: Input<A["response"]>, apiVersion: number) => void;

export type Handler<A extends Api> = (request: Decoded<A["request"]>, context: RequestContext) => Reply<A> | Promise<Reply<A>>;

/** What a request is for, where its API serves several purposes: the name that it is measured under too. */
export type Purpose<A extends Api> = (request: Decoded<A["request"]>) => string;

/** One served API, its types erased: what the network needs to know. */
export interface Route {
  readonly api: Api;
  /** Those of the API that are served. */
  readonly versions: VersionRange;
  /** From this version on, requests on one connection are begun without waiting for the answers of those before them. */
  readonly pipelinedFrom: number;
  readonly handle: Handler<Api>;
  readonly purposeOf: Purpose<Api> | undefined;
  /** Nothing reads the request any more once it is answered, but what holds its part of the frame itself (BufferPool). */
  readonly returnsFrame: boolean;
  readonly returns: Returns<Api> | undefined;
}

interface RouteOptions<A extends Api> {
  readonly pipelinedFrom?: number;
  readonly firstVersion?: number;
  readonly purposeOf?: Purpose<A>;
  readonly returnsFrame?: boolean;
  readonly returns?: Returns<A>;
}

export function route<A extends Api>(api: A, handle: Handler<A>, options: RouteOptions<A> = {}): Route {
  const { first, last } = api.request.versions;
  return {
    api,
    versions: { first: options.firstVersion ?? first, last },
    pipelinedFrom: options.pipelinedFrom ?? Infinity,
    handle,
    purposeOf: options.purposeOf,
    returnsFrame: options.returnsFrame ?? false,
    returns: options.returns,
  };
}
