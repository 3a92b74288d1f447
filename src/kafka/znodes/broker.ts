import { badZnode, decodeJson, encodeJson, type ZnodeObject } from "./json.ts";
import { paths } from "./paths.ts";

/** The number of a security protocol on the wire is its place here. */
export const securityProtocols = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] as const;
export type SecurityProtocol = (typeof securityProtocols)[number];

export interface Endpoint {
  /** Upper case. */
  readonly listenerName: string;
  /** IPv6 without brackets; empty where the registration names none. */
  readonly host: string;
  readonly port: number;
  readonly securityProtocol: SecurityProtocol;
}

export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** What a broker says of itself in /brokers/ids/N. Its epoch is not data but the znode's czxid. */
export interface BrokerRegistration {
  readonly id: number;
  readonly endpoints: readonly Endpoint[];
  readonly rack: string | null;
  readonly jmxPort: number;
  /** Supported feature versions (KIP-584); no feature exists in 2.7.1. */
  readonly features: ReadonlyMap<string, VersionRange>;
}

const minVersion = "min_version";
const maxVersion = "max_version";

/** Version 5 of the registration. Source: ZkData.scala, BrokerIdZNode. */
export function encodeBrokerRegistration(broker: BrokerRegistration, timestampMs: number): Buffer {
  const plaintext = broker.endpoints.find((endpoint) => endpoint.securityProtocol === "PLAINTEXT");
  return encodeJson({
    listener_security_protocol_map: Object.fromEntries(broker.endpoints.map((endpoint) => [endpoint.listenerName, endpoint.securityProtocol])),
    endpoints: broker.endpoints.map(formatEndpoint),
    ...(broker.rack === null ? {} : { rack: broker.rack }),
    jmx_port: broker.jmxPort,
    features: encodeFeatures(broker.features, minVersion, maxVersion),
    host: plaintext?.host ?? null,
    timestamp: String(timestampMs),
    port: plaintext?.port ?? -1,
    version: 5,
  });
}

/** Versions 1 to 5 and whatever follows. Throws ERR_ZNODE. */
export function decodeBrokerRegistration(id: number, data: Buffer | null): BrokerRegistration {
  const path = paths.broker(id);
  const json = decodeJson(path, data);
  const version = json.int("version");
  if (version < 1) throw badZnode(path, `registration version ${version} is not known`);
  return {
    id,
    endpoints: version === 1 ? [{ listenerName: "PLAINTEXT", host: json.text("host"), port: json.int("port"), securityProtocol: "PLAINTEXT" }] : decodeEndpoints(path, json),
    rack: json.has("rack") ? json.text("rack") : null,
    jmxPort: json.has("jmx_port") ? json.int("jmx_port") : -1,
    features: json.has("features") ? decodeFeatures(json.object("features"), minVersion, maxVersion) : new Map(),
  };
}

function decodeEndpoints(path: string, json: ZnodeObject): Endpoint[] {
  const protocols = json.has("listener_security_protocol_map") ? json.object("listener_security_protocol_map") : undefined;
  return json.texts("endpoints").map((text) => {
    const match = /^(.*):\/\/\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$/.exec(text);
    if (match === null) throw badZnode(path, `"${text}" is not an endpoint`);
    const listenerName = (match[1] ?? "").toUpperCase();
    const protocolName = protocols?.text(listenerName) ?? listenerName;
    const securityProtocol = securityProtocols.find((known) => known === protocolName.toUpperCase());
    if (securityProtocol === undefined) throw badZnode(path, `${protocolName} of "${text}" is not a security protocol`);
    return { listenerName, host: match[2] ?? "", port: Number(match[3]), securityProtocol };
  });
}

function formatEndpoint(endpoint: Endpoint): string {
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.listenerName}://${host}:${endpoint.port}`;
}

export function encodeFeatures(features: ReadonlyMap<string, VersionRange>, min: string, max: string): Record<string, Record<string, number>> {
  return Object.fromEntries([...features].map(([name, range]) => [name, { [min]: range.min, [max]: range.max }]));
}

export function decodeFeatures(json: ZnodeObject, min: string, max: string): Map<string, VersionRange> {
  return new Map(json.keys().map((name) => [name, { min: json.object(name).int(min), max: json.object(name).int(max) }]));
}
