import type { Zxid } from "../protocol/ids.ts";
import type { EventType } from "../protocol/op-codes.ts";
import { EventType as Event } from "../protocol/op-codes.ts";
import type { AclEntry } from "../protocol/records.ts";
import { parentPath, ROOT_PATH } from "./paths.ts";

/**
 * Who wants to hear of which path. Sources: WatchManager (3.5.9 for one-shot watches, 3.9.5 for the persistent
 * ones, whose modes stand side by side).
 */

/** Opaque: the server gives each connection a number. */
export type WatcherId = number;

export const WatchMode = { once: 1, persistent: 2, recursive: 4 } as const;
export type WatchMode = (typeof WatchMode)[keyof typeof WatchMode];

/** One object for all watchers of one trigger, so that its encoding can be shared. */
export interface WatchEvent {
  readonly type: EventType;
  readonly path: string;
  readonly zxid: Zxid;
  /** Of the node, or of what it was: 3.9.5 keeps events from those who may not read it. */
  readonly acl: readonly AclEntry[];
}

export class WatchTable {
  /** Modes by watcher by path. */
  readonly #byPath = new Map<string, Map<WatcherId, number>>();
  readonly #byWatcher = new Map<WatcherId, Set<string>>();
  #recursive = 0;
  #size = 0;

  /** Pairs of path and watcher. */
  get size(): number {
    return this.#size;
  }

  get pathCount(): number {
    return this.#byPath.size;
  }

  get watcherCount(): number {
    return this.#byWatcher.size;
  }

  *paths(): Iterable<readonly [path: string, watchers: Iterable<WatcherId>]> {
    for (const [path, watchers] of this.#byPath) yield [path, watchers.keys()];
  }

  watchers(): Iterable<readonly [watcher: WatcherId, paths: ReadonlySet<string>]> {
    return this.#byWatcher;
  }

  add(path: string, watcher: WatcherId, mode: WatchMode): void {
    const watchers = this.#byPath.get(path);
    const modes = watchers?.get(watcher) ?? 0;
    if (watchers === undefined) this.#byPath.set(path, new Map([[watcher, mode]]));
    else watchers.set(watcher, modes | mode);
    if (mode === WatchMode.recursive && (modes & mode) === 0) this.#recursive += 1;
    if (modes !== 0) return;
    this.#size += 1;
    const paths = this.#byWatcher.get(watcher);
    if (paths === undefined) this.#byWatcher.set(watcher, new Set([path]));
    else paths.add(path);
  }

  has(path: string, watcher: WatcherId, modes: number): boolean {
    return ((this.#byPath.get(path)?.get(watcher) ?? 0) & modes) !== 0;
  }

  /** Whether there was one of these modes to remove. */
  remove(path: string, watcher: WatcherId, modes: number): boolean {
    const watchers = this.#byPath.get(path);
    const before = watchers?.get(watcher) ?? 0;
    if (watchers === undefined || (before & modes) === 0) return false;
    this.#keep(path, watchers, watcher, before, before & ~modes);
    return true;
  }

  /** At the close of its connection. */
  removeWatcher(watcher: WatcherId): void {
    for (const path of this.#byWatcher.get(watcher) ?? []) {
      const watchers = this.#byPath.get(path);
      if (watchers !== undefined) this.#keep(path, watchers, watcher, watchers.get(watcher) ?? 0, 0);
    }
  }

  /** Those who hear of an event on `path`, in the order in which they came; one-shot watches on it are used up. */
  fire(path: string): Set<WatcherId> | undefined {
    let fired: Set<WatcherId> | undefined;
    const here = this.#byPath.get(path);
    if (here !== undefined) {
      fired = new Set(here.keys());
      for (const [watcher, modes] of here) if ((modes & WatchMode.once) !== 0) this.#keep(path, here, watcher, modes, modes & ~WatchMode.once);
    }
    if (this.#recursive === 0) return fired;
    for (let above = path; above !== ROOT_PATH; ) {
      above = parentPath(above);
      for (const [watcher, modes] of this.#byPath.get(above) ?? []) if ((modes & WatchMode.recursive) !== 0) (fired ??= new Set()).add(watcher);
    }
    return fired;
  }

  #keep(path: string, watchers: Map<WatcherId, number>, watcher: WatcherId, before: number, after: number): void {
    if ((before & ~after & WatchMode.recursive) !== 0) this.#recursive -= 1;
    if (after !== 0) {
      watchers.set(watcher, after);
      return;
    }
    this.#size -= 1;
    watchers.delete(watcher);
    if (watchers.size === 0) this.#byPath.delete(path);
    const paths = this.#byWatcher.get(watcher);
    paths?.delete(path);
    if (paths?.size === 0) this.#byWatcher.delete(watcher);
  }
}

export class Watches {
  /** Set by exists and getData, and by persistent watches. */
  readonly data = new WatchTable();
  /** Set by getChildren and by persistent watches. */
  readonly child = new WatchTable();
  readonly #deliver: (watcher: WatcherId, event: WatchEvent) => void;

  constructor(deliver: (watcher: WatcherId, event: WatchEvent) => void) {
    this.#deliver = deliver;
  }

  created(path: string, zxid: Zxid, acl: readonly AclEntry[], parentAcl: readonly AclEntry[]): void {
    this.#send(this.data.fire(path), { type: Event.nodeCreated, path, zxid, acl });
    this.#childrenChanged(parentPath(path), zxid, parentAcl);
  }

  /** A watcher of both tables hears once. */
  deleted(path: string, zxid: Zxid, acl: readonly AclEntry[], parentAcl: readonly AclEntry[]): void {
    const event: WatchEvent = { type: Event.nodeDeleted, path, zxid, acl };
    const told = this.data.fire(path);
    this.#send(told, event);
    const others = this.child.fire(path);
    if (others !== undefined && told !== undefined) for (const watcher of told) others.delete(watcher);
    this.#send(others, event);
    this.#childrenChanged(parentPath(path), zxid, parentAcl);
  }

  changed(path: string, zxid: Zxid, acl: readonly AclEntry[]): void {
    this.#send(this.data.fire(path), { type: Event.nodeDataChanged, path, zxid, acl });
  }

  /** To one watcher, past the tables: what it missed while it was away. */
  tell(watcher: WatcherId, event: WatchEvent): void {
    this.#deliver(watcher, event);
  }

  removeWatcher(watcher: WatcherId): void {
    this.data.removeWatcher(watcher);
    this.child.removeWatcher(watcher);
  }

  #childrenChanged(path: string, zxid: Zxid, acl: readonly AclEntry[]): void {
    this.#send(this.child.fire(path), { type: Event.nodeChildrenChanged, path, zxid, acl });
  }

  #send(watchers: Set<WatcherId> | undefined, event: WatchEvent): void {
    if (watchers === undefined) return;
    for (const watcher of watchers) this.#deliver(watcher, event);
  }
}
