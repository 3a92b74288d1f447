import type { Input } from "../../codec/schema.ts";
import { ErrorCode } from "../protocol/errors.ts";
import type { SessionId } from "../protocol/ids.ts";
import { AddWatchMode, EventType, Perms, WatcherType } from "../protocol/op-codes.ts";
import type { getACLResponse, getAllChildrenNumberResponse, getChildren2Response, getDataResponse, getEphemeralsResponse, Id, ReadRequest, setWatches, setWatches2, statResponse, whoAmIResponse } from "../protocol/records.ts";
import { hideDigests, permits, type AclPolicy } from "./acl.ts";
import type { Znode } from "./nodes.ts";
import type { DataTree } from "./tree.ts";
import { WatchMode, type WatcherId } from "./watches.ts";

/** What is answered from the member's own tree. Source: FinalRequestProcessor. */

export interface ReadContext {
  readonly tree: DataTree;
  readonly policy: AclPolicy;
  readonly session: SessionId;
  /** The ids that the connection holds. */
  readonly ids: readonly Id[];
  /** The connection, for watches. */
  readonly watcher: WatcherId;
}

/** A reply's body, or why there is none. */
export type Answer<Body> = Body | ErrorCode;

/** The watch is set though the node is missing; 3.5.9 asks for no permission. */
export function exists(context: ReadContext, { path, watch }: ReadRequest): Answer<Input<typeof statResponse>> {
  const { tree, watcher } = context;
  if (path.includes("\0")) return ErrorCode.badArguments;
  if (watch) tree.watches.data.add(path, watcher, WatchMode.once);
  const node = tree.find(path);
  return node === undefined ? ErrorCode.noNode : { stat: tree.statOf(node) };
}

export function getData(context: ReadContext, { path, watch }: ReadRequest): Answer<Input<typeof getDataResponse>> {
  const { tree, watcher } = context;
  const node = readable(context, path, Perms.read);
  if (typeof node === "number") return node;
  if (watch) tree.watches.data.add(path, watcher, WatchMode.once);
  return { data: tree.dataOf(node), stat: tree.statOf(node) };
}

/** For getChildren, which sends the names only, and getChildren2. */
export function getChildren(context: ReadContext, { path, watch }: ReadRequest): Answer<Input<typeof getChildren2Response>> {
  const { tree, watcher } = context;
  const node = readable(context, path, Perms.read);
  if (typeof node === "number") return node;
  if (watch) tree.watches.child.add(path, watcher, WatchMode.once);
  return { children: tree.childrenOf(node), stat: tree.statOf(node) };
}

/** Those who may read but not administer see no digests. */
export function getAcl(context: ReadContext, path: string): Answer<Input<typeof getACLResponse>> {
  const { tree, policy, ids } = context;
  const node = readable(context, path, Perms.read | Perms.admin);
  if (typeof node === "number") return node;
  const { entries } = node.acl;
  return { acl: permits(policy, entries, Perms.admin, ids) ? entries : hideDigests(entries), stat: tree.statOf(node) };
}

export function getAllChildrenNumber(context: ReadContext, path: string): Answer<Input<typeof getAllChildrenNumberResponse>> {
  const node = readable(context, path, Perms.read);
  return typeof node === "number" ? node : { totalNumber: context.tree.countDescendants(node) };
}

export function getEphemerals({ tree, session }: ReadContext, prefix: string | null): Input<typeof getEphemeralsResponse> {
  const all = tree.ephemeralsOf(session);
  const trimmed = prefix === null ? "" : prefix.trim();
  return { ephemerals: prefix === null || trimmed === "" || trimmed === "/" ? all : all.filter((path) => path.startsWith(prefix)) };
}

export function whoAmI({ policy, ids }: ReadContext): Input<typeof whoAmIResponse> {
  return {
    clientInfo: ids.map(({ scheme, id }) => ({
      authScheme: scheme ?? "",
      user: scheme === null || id === null ? "" : (policy.providers.get(scheme)?.userName(id) ?? ""),
    })),
  };
}

function readable({ tree, policy, ids }: ReadContext, path: string, perm: number): Znode | ErrorCode {
  const node = tree.find(path);
  if (node === undefined) return ErrorCode.noNode;
  return permits(policy, node.acl.entries, perm, ids) ? node : ErrorCode.noAuth;
}

/** What a client that was away has missed is told at once, in the order of its lists; the rest is watched again. */
export function restoreWatches(context: ReadContext, lists: Input<typeof setWatches>): void {
  const { tree, watcher } = context;
  const { data, child } = tree.watches;
  const { relativeZxid } = lists;
  for (const path of lists.dataWatches) {
    const node = tree.find(path);
    if (node === undefined) tell(context, EventType.nodeDeleted, path);
    else if (tree.stats.mzxid(node.row) > relativeZxid) tell(context, EventType.nodeDataChanged, path, node);
    else data.add(path, watcher, WatchMode.once);
  }
  for (const path of lists.existWatches) {
    const node = tree.find(path);
    if (node === undefined) data.add(path, watcher, WatchMode.once);
    else tell(context, EventType.nodeCreated, path, node);
  }
  for (const path of lists.childWatches) {
    const node = tree.find(path);
    if (node === undefined) tell(context, EventType.nodeDeleted, path);
    else if (tree.stats.pzxid(node.row) > relativeZxid) tell(context, EventType.nodeChildrenChanged, path, node);
    else child.add(path, watcher, WatchMode.once);
  }
}

/** The persistent ones are set without looking back. */
export function restoreAllWatches(context: ReadContext, lists: Input<typeof setWatches2>): void {
  restoreWatches(context, lists);
  for (const path of lists.persistentWatches) watchPersistently(context, path, WatchMode.persistent);
  for (const path of lists.persistentRecursiveWatches) watchPersistently(context, path, WatchMode.recursive);
}

function tell({ tree, watcher }: ReadContext, type: EventType, path: string, node?: Znode): void {
  tree.watches.tell(watcher, { type, path, zxid: tree.lastZxid, acl: node?.acl.entries ?? [] });
}

export function addWatch(context: ReadContext, path: string, mode: number): ErrorCode {
  if (mode !== AddWatchMode.persistent && mode !== AddWatchMode.persistentRecursive) return ErrorCode.marshallingError;
  watchPersistently(context, path, mode === AddWatchMode.persistent ? WatchMode.persistent : WatchMode.recursive);
  return ErrorCode.ok;
}

/** A recursive watch never hears of changed children, so it stands in the data table alone. */
function watchPersistently({ tree, watcher }: ReadContext, path: string, mode: WatchMode): void {
  tree.watches.data.add(path, watcher, mode);
  if (mode === WatchMode.persistent) tree.watches.child.add(path, watcher, mode);
}

/** Which modes in which table each type of watcher means. */
const WATCHER_MODES: Readonly<Record<WatcherType, { readonly data: number; readonly child: number }>> = {
  [WatcherType.children]: { data: 0, child: WatchMode.once },
  [WatcherType.data]: { data: WatchMode.once, child: 0 },
  [WatcherType.any]: { data: -1, child: -1 },
  [WatcherType.persistent]: { data: WatchMode.persistent, child: WatchMode.persistent },
  [WatcherType.persistentRecursive]: { data: WatchMode.recursive, child: 0 },
};

function isWatcherType(type: number): type is WatcherType {
  return Object.hasOwn(WATCHER_MODES, type);
}

export function checkWatches({ tree, watcher }: ReadContext, path: string, type: number): ErrorCode {
  if (!isWatcherType(type)) return ErrorCode.marshallingError;
  const { data, child } = tree.watches;
  const modes = WATCHER_MODES[type];
  return data.has(path, watcher, modes.data) || child.has(path, watcher, modes.child) ? ErrorCode.ok : ErrorCode.noWatcher;
}

export function removeWatches({ tree, watcher }: ReadContext, path: string, type: number): ErrorCode {
  if (!isWatcherType(type)) return ErrorCode.marshallingError;
  const { data, child } = tree.watches;
  const modes = WATCHER_MODES[type];
  const inData = data.remove(path, watcher, modes.data);
  const inChild = child.remove(path, watcher, modes.child);
  return inData || inChild ? ErrorCode.ok : ErrorCode.noWatcher;
}

