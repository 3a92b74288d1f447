import { createHash } from "node:crypto";
import { ErrorCode } from "../protocol/errors.ts";
import { Perms } from "../protocol/op-codes.ts";
import type { AclEntry, Id } from "../protocol/records.ts";

/** Who may do what. Sources: PrepRequestProcessor.checkACL and fixupACL, server/auth/*AuthenticationProvider. */

export interface AuthProvider {
  /** Whether a held id of this scheme stands in for `auth` in an ACL. */
  readonly authenticated: boolean;
  /** Whether the text may be the id of an ACL entry. */
  accepts(id: string): boolean;
  matches(held: string, wanted: string): boolean;
  /** What whoAmI shows. */
  userName(held: string): string;
}

export interface AclPolicy {
  /** `zookeeper.skipACL`. */
  readonly skipAcl: boolean;
  readonly providers: ReadonlyMap<string, AuthProvider>;
}

export const WORLD: Id = { scheme: "world", id: "anyone" };
export const OPEN_ACL: readonly AclEntry[] = [{ perms: Perms.all, id: WORLD }];
export const READ_ONLY_ACL: readonly AclEntry[] = [{ perms: Perms.read, id: WORLD }];

function isWorld(id: Id): boolean {
  return id.scheme === WORLD.scheme && id.id === WORLD.id;
}

export function permits(policy: AclPolicy, acl: readonly AclEntry[], perm: number, held: readonly Id[]): boolean {
  if (policy.skipAcl || acl.length === 0) return true;
  if (held.some((own) => own.scheme === "super")) return true;
  return acl.some(({ perms, id }) => (perms & perm) !== 0 && (isWorld(id) || matchesAny(policy, id, held)));
}

function matchesAny(policy: AclPolicy, wanted: Id, held: readonly Id[]): boolean {
  const provider = wanted.scheme === null ? undefined : policy.providers.get(wanted.scheme);
  const { id } = wanted;
  return provider !== undefined && id !== null && held.some((own) => own.scheme === wanted.scheme && own.id !== null && provider.matches(own.id, id));
}

/**
 * What `auth` may expand to in one request: without a bound a small multi of a connection that holds many ids
 * would become a transaction of gigabytes.
 */
export class AclExpansion {
  #charsLeft = 128 * 1024;

  /** False where there is no room. */
  take(id: Id): boolean {
    this.#charsLeft -= (id.scheme?.length ?? 0) + (id.id?.length ?? 0) + 1;
    return this.#charsLeft >= 0;
  }
}

/** The ACL as it is stored: duplicates dropped, `auth` replaced by the ids held; or why it may not be stored. */
export function fixAcl(policy: AclPolicy, held: readonly Id[], asked: readonly AclEntry[], expansion: AclExpansion): readonly AclEntry[] | ErrorCode {
  const fixed: AclEntry[] = [];
  for (const entry of dropDuplicates(asked)) {
    const { scheme, id } = entry.id;
    if (scheme === null) return ErrorCode.invalidACL;
    if (isWorld(entry.id)) fixed.push(entry);
    else if (scheme === "auth") {
      const own = held.filter((candidate) => candidate.scheme !== null && policy.providers.get(candidate.scheme)?.authenticated === true);
      if (own.length === 0 || !own.every((heldId) => expansion.take(heldId))) return ErrorCode.invalidACL;
      for (const heldId of own) fixed.push({ perms: entry.perms, id: heldId });
    } else {
      if (id === null || policy.providers.get(scheme)?.accepts(id) !== true) return ErrorCode.invalidACL;
      fixed.push(entry);
    }
  }
  return fixed.length === 0 ? ErrorCode.invalidACL : fixed;
}

function dropDuplicates(entries: readonly AclEntry[]): readonly AclEntry[] {
  if (entries.length < 2) return entries;
  return entries.filter((entry, at) => at === entries.findIndex((other) => sameEntry(entry, other)));
}

function sameEntry(a: AclEntry, b: AclEntry): boolean {
  return a.perms === b.perms && a.id.scheme === b.id.scheme && a.id.id === b.id.id;
}

/** `user:base64(sha1("user:password"))`. */
export function digestOf(userAndPassword: string): string {
  const user = userAndPassword.split(":", 1)[0] ?? "";
  return `${user}:${createHash("sha1").update(userAndPassword).digest("base64")}`;
}

/** As getACL shows it to those who may not administer the node. */
export function hideDigests(acl: readonly AclEntry[]): AclEntry[] {
  return acl.map((entry) => (entry.id.scheme === "digest" ? { perms: entry.perms, id: { scheme: "digest", id: entry.id.id?.replace(/:.*/, ":x") ?? null } } : entry));
}

export const digestProvider: AuthProvider = {
  authenticated: true,
  accepts: (id) => /^[^:]*:[^:]+:*$/.test(id),
  matches: (held, wanted) => held === wanted,
  userName: (held) => held.split(":", 1)[0] ?? "",
};

/** IPv4 addresses, with or without `/bits`. */
export const ipProvider: AuthProvider = {
  authenticated: false,
  accepts: (id) => parseNetwork(id) !== undefined,
  matches: (held, wanted) => {
    const network = parseNetwork(wanted);
    const address = parseIpv4(held);
    if (network === undefined || address === undefined) return false;
    const mask = network.bits === 0 ? 0 : -1 << (32 - network.bits);
    return (network.address & mask) === (address & mask);
  },
  userName: (held) => held,
};

/** The schemes that need no configuration. */
export const BUILT_IN_PROVIDERS: ReadonlyMap<string, AuthProvider> = new Map([
  ["ip", ipProvider],
  ["digest", digestProvider],
]);

const WHOLE_NUMBER = /^\+?\d+$/;

function parseNetwork(text: string): { address: number; bits: number } | undefined {
  const slash = text.indexOf("/");
  const address = parseIpv4(slash < 0 ? text : text.slice(0, slash));
  const bitsText = slash < 0 ? "32" : text.slice(slash + 1);
  if (address === undefined || !WHOLE_NUMBER.test(bitsText) || Number(bitsText) > 32) return undefined;
  return { address, bits: Number(bitsText) };
}

function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => WHOLE_NUMBER.test(part) && Number(part) <= 255)) return undefined;
  return parts.reduce((value, part) => (value << 8) | Number(part), 0);
}
