import { must } from "../../lib/assert.ts";
import type { Properties, Property } from "../../lib/properties.ts";

/** Who belongs to an ensemble and who of them makes a quorum. Sources: server/quorum/{QuorumPeer,flexible/QuorumMaj,flexible/QuorumHierarchical}.java. */
export interface Ensemble {
  /** In ascending order of id. */
  readonly members: readonly Member[];
  /** Undefined: more than half of the voters are a quorum. */
  readonly groups: Groups | undefined;
  /** 0 for what a file says; otherwise the zxid of the reconfig that made it. */
  readonly version: number;
}

export interface Member {
  readonly id: number;
  readonly host: string;
  readonly quorumPort: number;
  readonly electionPort: number;
  readonly role: "participant" | "observer";
  readonly clientAddress: Address | undefined;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Voters by group, and the weight of each that has another than 1. */
export interface Groups {
  readonly members: ReadonlyMap<number, readonly number[]>;
  readonly weights: ReadonlyMap<number, number>;
}

export function voters(ensemble: Ensemble): readonly Member[] {
  return ensemble.members.filter((member) => member.role === "participant");
}

/**
 * Whether these members, of which only voters count, are a quorum: more than half of the voters; with groups, more
 * than half of the groups, each by more than half of its weight, where groups without weight don't count.
 */
export function isQuorum(ensemble: Ensemble, ids: ReadonlySet<number>): boolean {
  const voting = voters(ensemble);
  const { groups } = ensemble;
  if (groups === undefined) return voting.filter((member) => ids.has(member.id)).length > Math.floor(voting.length / 2);
  const weigh = (members: readonly number[]): number => members.reduce((sum, id) => sum + (groups.weights.get(id) ?? 1), 0);
  const weighty = [...groups.members.values()].filter((members) => weigh(members) > 0);
  const won = weighty.filter((members) => weigh(members.filter((id) => ids.has(id))) > Math.floor(weigh(members) / 2));
  return won.length > Math.floor(weighty.length / 2);
}

/** `host:quorumPort:electionPort[:role][;[clientHost:]clientPort]`, IPv6 in brackets; a sentence where it is not. */
export function parseMember(id: number, text: string): Member | string {
  const match = /^(?:\[([^\]]+)\]|([^:;[\]]+)):([0-9]+):([0-9]+)(?::([a-zA-Z]+))?(?:;(?:(?:\[([^\]]+)\]|([^:;[\]]+)):)?([0-9]+))?$/.exec(text.trim());
  if (match === null) return "expected host:port:port, then :participant or :observer and ;clientHost:clientPort or ;clientPort if wanted";
  const [, hostInBrackets, plainHost, quorum, election, roleText = "participant", clientInBrackets, plainClient, clientPort] = match;
  const role = roleText.toLowerCase();
  if (role !== "participant" && role !== "observer") return `${roleText} is no role: expected participant or observer`;
  const member: Member = {
    id,
    host: must(hostInBrackets ?? plainHost, "host"),
    quorumPort: Number(quorum),
    electionPort: Number(election),
    role,
    clientAddress: clientPort === undefined ? undefined : { host: clientInBrackets ?? plainClient ?? "0.0.0.0", port: Number(clientPort) },
  };
  if (Math.max(member.quorumPort, member.electionPort, member.clientAddress?.port ?? 0) > 65_535) return "a port is at most 65535";
  if (member.quorumPort === member.electionPort) return "the quorum's port and the election's must differ";
  return member;
}

export function formatMember(member: Member): string {
  const { clientAddress } = member;
  const client = clientAddress === undefined ? "" : `;${bracketed(clientAddress.host)}:${clientAddress.port}`;
  return `${bracketed(member.host)}:${member.quorumPort}:${member.electionPort}:${member.role}${client}`;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * The text that members exchange and that /zookeeper/config holds: a line for each member, group and weight, and the
 * version last, without a newline. Parses as properties with `readEnsemble`.
 */
export function formatEnsemble(ensemble: Ensemble): string {
  const lines = ensemble.members.map((member) => `server.${member.id}=${formatMember(member)}\n`);
  if (ensemble.groups !== undefined) {
    for (const [group, members] of ensemble.groups.members) lines.push(`group.${group}=${members.join(":")}\n`);
    for (const { id } of voters(ensemble)) lines.push(`weight.${id}=${ensemble.groups.weights.get(id) ?? 1}\n`);
  }
  return `${lines.join("")}version=${ensemble.version.toString(16)}`;
}

export interface EnsembleReading {
  readonly ensemble: Ensemble;
  readonly problems: readonly { readonly property: Property; readonly message: string }[];
}

/** Whether a key speaks of the ensemble rather than of this member. */
export function isEnsembleKey(key: string): boolean {
  return /^(server|group|weight)\./.test(key);
}

/** The `server.N`, `group.N`, `weight.N` and `version` lines among `properties`; the others are left alone. */
export function readEnsemble(properties: Properties): EnsembleReading {
  const problems: { property: Property; message: string }[] = [];
  const members: Member[] = [];
  const grouped = new Map<number, number[]>();
  const weights = new Map<number, number>();
  let version = 0;
  for (const property of properties.values()) {
    const fault = (message: string): number => problems.push({ property, message });
    if (property.key === "version") {
      version = Number.parseInt(property.value, 16);
      if (!/^[0-9a-fA-F]{1,16}$/.test(property.value) || !Number.isSafeInteger(version)) fault("expected a hexadecimal number");
    }
    if (!isEnsembleKey(property.key)) continue;
    const [kind = "", number = ""] = property.key.split(/\.(.*)/s);
    const id = Number(number);
    const { value } = property;
    if (!/^[0-9]{1,15}$/.test(number)) {
      fault(`expected a whole number after ${kind}.`);
    } else if (kind === "server") {
      const member = parseMember(id, value);
      if (typeof member === "string") fault(member);
      else members.push(member);
    } else if (kind === "group") {
      if (/^[0-9]{1,15}(:[0-9]{1,15})*$/.test(value)) grouped.set(id, value.split(":").map(Number));
      else fault("expected members' numbers separated by colons");
    } else if (/^[0-9]{1,9}$/.test(value)) {
      weights.set(id, Number(value));
    } else {
      fault("expected a whole number");
    }
  }
  members.sort((a, b) => a.id - b.id);
  if (grouped.size === 0 && weights.size === 0) return { ensemble: { members, groups: undefined, version }, problems };
  for (const property of properties.values()) {
    const group = /^group\.([0-9]+)$/.exec(property.key);
    const strangers = group === null ? [] : (grouped.get(Number(group[1])) ?? []).filter((id) => countIn(grouped, id) > 1);
    if (strangers.length > 0) problems.push({ property, message: `${strangers.join(", ")} is in more than one group` });
    const server = /^server\.([0-9]+)$/.exec(property.key);
    const member = members.find(({ id }) => server !== null && id === Number(server[1]));
    if (member?.role === "participant" && countIn(grouped, member.id) === 0) problems.push({ property, message: "is in no group, and all voters must be once there is any group or weight" });
  }
  return { ensemble: { members, groups: { members: grouped, weights }, version }, problems };
}

function countIn(groups: ReadonlyMap<number, readonly number[]>, id: number): number {
  return [...groups.values()].flat().filter((other) => other === id).length;
}
