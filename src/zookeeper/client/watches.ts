import { EventType } from "../protocol/op-codes.ts";

export interface WatchEvent {
  readonly type: EventType;
  readonly path: string;
}

/** Called once: a watch is gone when it has fired. A new session has none of the old one's. */
export type Watcher = (event: WatchEvent) => void;

export type WatchKind = "data" | "exist" | "child";

/**
 * The one-shot watches of a session, by the server's paths, so that they can be set again on another member.
 * Source: ZooKeeper.ZKWatchManager.
 */
export class WatchTable {
  readonly #watchers: Readonly<Record<WatchKind, Map<string, Set<Watcher>>>> = { data: new Map(), exist: new Map(), child: new Map() };

  add(kind: WatchKind, path: string, watcher: Watcher): void {
    const watchers = this.#watchers[kind].get(path) ?? new Set();
    this.#watchers[kind].set(path, watchers);
    watchers.add(watcher);
  }

  /** Takes out whoever waits for such an event. */
  take(type: EventType, path: string): Watcher[] {
    const fired = new Set<Watcher>();
    for (const kind of FIRED_BY[type] ?? []) {
      for (const watcher of this.#watchers[kind].get(path) ?? []) fired.add(watcher);
      this.#watchers[kind].delete(path);
    }
    return [...fired];
  }

  paths(kind: WatchKind): string[] {
    return [...this.#watchers[kind].keys()];
  }

  clear(): void {
    for (const watchers of Object.values(this.#watchers)) watchers.clear();
  }
}

const FIRED_BY: Readonly<Partial<Record<EventType, readonly WatchKind[]>>> = {
  [EventType.nodeCreated]: ["data", "exist"],
  [EventType.nodeDataChanged]: ["data", "exist"],
  [EventType.nodeChildrenChanged]: ["child"],
  [EventType.nodeDeleted]: ["data", "exist", "child"],
};
