import { must } from "../../lib/assert.ts";
import type { AclEntry } from "../protocol/records.ts";
import { OPEN_ACL } from "./acl.ts";

/**
 * Every distinct ACL of the tree once, counted. Ids are given in order and never again: what a snapshot has
 * listed keeps its meaning while it is written. Source: ReferenceCountedACLCache.
 */
export interface Acl {
  readonly id: number;
  readonly entries: readonly AclEntry[];
}

const OPEN_ID = -1;
/** World may do everything; never listed in a snapshot. */
export const OPEN: Acl = { id: OPEN_ID, entries: OPEN_ACL };
/** For ids that a snapshot uses without listing them: nobody but the super user, until replay tells. */
export const UNKNOWN_ACL: readonly AclEntry[] = [{ perms: 0, id: OPEN_ACL[0]?.id ?? { scheme: null, id: null } }];

interface Counted extends Acl {
  readonly key: string;
  uses: number;
}

export class AclTable {
  readonly #byKey = new Map<string, Counted>();
  readonly #byId = new Map<number, Counted>();
  #lastId = 0;

  get size(): number {
    return this.#byKey.size;
  }

  /** The shared ACL of these entries, with one more use; null means open. */
  intern(entries: readonly AclEntry[] | null): Acl {
    if (entries === null || isOpen(entries)) return OPEN;
    const key = keyOf(entries);
    const known = this.#byKey.get(key) ?? this.#add(this.#lastId + 1, key, entries);
    known.uses += 1;
    return known;
  }

  release(acl: Acl): void {
    if (acl.id === OPEN_ID) return;
    const counted = must(this.#byId.get(acl.id), `ACL ${acl.id}`);
    counted.uses -= 1;
    if (counted.uses > 0) return;
    this.#byId.delete(counted.id);
    this.#byKey.delete(counted.key);
  }

  /** All but the open one. */
  list(): Acl[] {
    return [...this.#byId.values()];
  }

  #add(id: number, key: string, entries: readonly AclEntry[]): Counted {
    const counted = { id, entries, key, uses: 0 };
    this.#byKey.set(key, counted);
    this.#byId.set(id, counted);
    this.#lastId = id;
    return counted;
  }
}

function isOpen(entries: readonly AclEntry[]): boolean {
  const only = entries[0];
  return entries.length === 1 && only !== undefined && only.perms === OPEN_ACL[0]?.perms && only.id.scheme === "world" && only.id.id === "anyone";
}

function keyOf(entries: readonly AclEntry[]): string {
  return JSON.stringify(entries.map(({ perms, id }) => [perms, id.scheme, id.id]));
}
