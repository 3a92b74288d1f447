import { repeated } from "../../lib/repeated.ts";
/** Endpoints as settings, znodes and answers spell them. Source: core/src/main/scala/kafka/cluster/EndPoint.scala. */
export interface Endpoint {
  /** Upper case. */
  readonly listenerName: string;
  /** Empty: the machine's own name. IPv6 without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly securityProtocol: SecurityProtocol;
}

export const securityProtocols = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] as const;
export type SecurityProtocol = (typeof securityProtocols)[number];

/** The protocols that this broker's listeners can speak today. */
export const servedProtocols: readonly SecurityProtocol[] = ["PLAINTEXT"];

/** What is wrong follows in `problems`, one sentence each. */
export interface Parsed<T> {
  readonly value: T;
  readonly problems: readonly string[];
}

/** `NAME:PROTOCOL,NAME:PROTOCOL`, names in any case. */
export function parseProtocolMap(text: string): Parsed<ReadonlyMap<string, SecurityProtocol>> {
  const map = new Map<string, SecurityProtocol>();
  const problems: string[] = [];
  for (const pair of splitList(text)) {
    const colon = pair.lastIndexOf(":");
    const protocol = securityProtocols.find((known) => known === pair.slice(colon + 1).trim().toUpperCase());
    if (colon < 1 || protocol === undefined) problems.push(`${pair} is not NAME:PROTOCOL with a protocol among ${securityProtocols.join(", ")}`);
    else map.set(pair.slice(0, colon).trim().toUpperCase(), protocol);
  }
  return { value: map, problems };
}

/** `NAME://host:port,NAME://[v6]:port`. Names must differ, and so must ports other than 0 where `distinctPorts`. */
export function parseEndpoints(
  text: string,
  protocols: ReadonlyMap<string, SecurityProtocol>,
  options: { readonly distinctPorts: boolean },
): Parsed<readonly Endpoint[]> {
  const endpoints: Endpoint[] = [];
  const problems: string[] = [];
  for (const part of splitList(text)) {
    const match = /^(.*):\/\/\[?([0-9a-zA-Z\-%._:]*)\]?:([0-9]{1,5})$/.exec(part);
    const listenerName = match?.[1]?.toUpperCase() ?? "";
    const port = Number(match?.[3] ?? Number.NaN);
    const securityProtocol = protocols.get(listenerName);
    if (match === null || port > 65_535) problems.push(`${part} is not NAME://host:port`);
    else if (securityProtocol === undefined) problems.push(`listener.security.protocol.map has no security protocol for ${listenerName}`);
    else endpoints.push({ listenerName, host: match[2] ?? "", port, securityProtocol });
  }
  for (const name of repeated(endpoints.map((endpoint) => endpoint.listenerName))) problems.push(`more than one listener is named ${name}`);
  if (options.distinctPorts) {
    for (const port of repeated(endpoints.map((endpoint) => endpoint.port))) {
      if (port !== 0) problems.push(`more than one listener has the port ${port}`);
    }
  }
  return { value: endpoints, problems };
}

export function formatEndpoint(endpoint: Endpoint): string {
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.listenerName}://${host}:${endpoint.port}`;
}

export function splitList(text: string): string[] {
  return text.trim().split(/\s*,\s*/).filter((item) => item !== "");
}
