import { int16, int32, message, string } from "../../codec/notation.ts";
import type { Api } from "./api.ts";

export const requestHeader = message("RequestHeader", { versions: "0-2", flexible: "2+" }, {
  requestApiKey: int16("0+"),
  requestApiVersion: int16("0+"),
  correlationId: int32("0+"),
  clientId: string("1+", { nullable: "1+", flexible: "none", default: null }),
});

export const responseHeader = message("ResponseHeader", { versions: "0-1", flexible: "1+" }, {
  correlationId: int32("0+"),
});

const API_VERSIONS = 18;
const CONTROLLED_SHUTDOWN = 7;

/** Source: generator/ApiMessageTypeGenerator.java: version 0 of ControlledShutdown has no client id. */
export function requestHeaderVersion(api: Pick<Api, "key" | "request">, version: number): number {
  if (api.key === CONTROLLED_SHUTDOWN && version === 0) return 0;
  return api.request.isFlexible(version) ? 2 : 1;
}

/** An ApiVersions response keeps the old header in every version, so that a client that knows none can read it (KIP-511). */
export function responseHeaderVersion(api: Pick<Api, "key" | "response">, version: number): number {
  return api.key !== API_VERSIONS && api.response.isFlexible(version) ? 1 : 0;
}
