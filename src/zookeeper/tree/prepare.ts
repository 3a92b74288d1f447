import { ErrorCode } from "../protocol/errors.ts";
import type { SessionId, Zxid } from "../protocol/ids.ts";
import { CreateFlag, OpCode, Perms } from "../protocol/op-codes.ts";
import type { CheckVersionRequest, CreateRequest, DeleteRequest, Id, ReconfigRequest, SetACLRequest, SetDataRequest } from "../protocol/records.ts";
import type { TxnBody } from "../protocol/transactions.ts";
import { fixAcl, permits, type AclExpansion, type AclPolicy } from "./acl.ts";
import { CONTAINER_OWNER, NO_OWNER, ownershipOf, TTL_MS_MAX, ttlOwner, type OwnerOptions } from "./owner.ts";
import { CONFIG_PATH, isReservedPath, isValidPath, parentPath, sequenceSuffix } from "./paths.ts";
import type { PreparedNode, PreparedState } from "./prepared.ts";

/** Checks of writes, each in the reference's order, and what is to be done. Source: PrepRequestProcessor. */

/** Who may act for a session: the tracker of a leader or a standalone member. */
export interface SessionAuthority {
  /** ok, sessionExpired or sessionMoved. `owner` is where the request came from, opaque here. */
  check(session: SessionId, owner: unknown): ErrorCode;
  /** As `check`; a session that only one member knows may not own ephemerals: ephemeralOnLocalSession. */
  checkGlobal(session: SessionId, owner: unknown): ErrorCode;
  /** A session's creation is under way. */
  opening(session: SessionId, timeoutMs: number, owner: unknown): void;
  /** A session's end is under way: its requests are refused from here on. */
  closing(session: SessionId): void;
}

/** What prepares for one leadership, or for a standalone member. */
export interface PrepareEnvironment {
  readonly state: PreparedState;
  readonly policy: AclPolicy;
  readonly sessions: SessionAuthority;
  readonly owners: OwnerOptions;
  /** The text of the configuration asked for, or why not; its version will be `zxid`. */
  reconfigure(request: ReconfigRequest, origin: Origin, zxid: Zxid): Buffer | ErrorCode;
}

/** Who asks. */
export interface Origin {
  readonly sessionId: SessionId;
  /** For `SessionAuthority.check`. */
  readonly owner: unknown;
  /** The ids that the connection holds. */
  readonly ids: readonly Id[];
}

export interface PrepareContext {
  readonly environment: PrepareEnvironment;
  readonly origin: Origin;
  readonly zxid: Zxid;
  readonly expansion: AclExpansion;
}

type Prepared<T extends TxnBody["type"]> = TxnBody<T> | ErrorCode;

interface CreateMode {
  readonly ephemeral: boolean;
  readonly sequential: boolean;
  readonly ttl: boolean;
}

const PLAIN: CreateMode = { ephemeral: false, sequential: false, ttl: false };
const MODES: Readonly<Record<CreateFlag, CreateMode>> = {
  [CreateFlag.persistent]: PLAIN,
  [CreateFlag.ephemeral]: { ...PLAIN, ephemeral: true },
  [CreateFlag.persistentSequential]: { ...PLAIN, sequential: true },
  [CreateFlag.ephemeralSequential]: { ...PLAIN, ephemeral: true, sequential: true },
  [CreateFlag.container]: PLAIN,
  [CreateFlag.persistentWithTtl]: { ...PLAIN, ttl: true },
  [CreateFlag.persistentSequentialWithTtl]: { ...PLAIN, sequential: true, ttl: true },
};

export type CreateOp = typeof OpCode.create | typeof OpCode.create2 | typeof OpCode.createContainer | typeof OpCode.createTTL;

/** The op code decides what transaction is made, the flag what is checked. */
export function prepareCreate(context: PrepareContext, type: CreateOp, request: CreateRequest, ttl: number): Prepared<CreateOp> {
  const { environment, origin, zxid } = context;
  const { state, policy, owners, sessions } = environment;
  const mode = isCreateFlag(request.flags) ? MODES[request.flags] : undefined;
  if (mode === undefined) return ErrorCode.badArguments;
  if (mode.ttl && !owners.extendedTypes) return ErrorCode.unimplemented;
  if (mode.ttl ? ttl <= 0 || ttl > TTL_MS_MAX : ttl >= 0) return ErrorCode.badArguments;
  // A createTTL that asks for another mode would be logged with a TTL of -1, which no member can apply.
  if (type === OpCode.createTTL && !mode.ttl) return ErrorCode.badArguments;
  const session = mode.ephemeral ? sessions.checkGlobal(origin.sessionId, origin.owner) : sessions.check(origin.sessionId, origin.owner);
  if (session !== ErrorCode.ok) return session;
  if (!hasSlashAndNoNul(request.path)) return ErrorCode.badArguments;
  const acl = fixAcl(policy, origin.ids, request.acl, context.expansion);
  if (typeof acl === "number") return acl;
  const parent = state.find(parentPath(request.path));
  if (parent === undefined) return ErrorCode.noNode;
  if (!permits(policy, parent.acl, Perms.create, origin.ids)) return ErrorCode.noAuth;
  const path = mode.sequential ? request.path + sequenceSuffix(parent.cversion) : request.path;
  if (!isValidPath(path)) return ErrorCode.badArguments;
  if (state.find(path) !== undefined) return ErrorCode.nodeExists;
  if (ownershipOf(parent.owner, owners) === "session") return ErrorCode.noChildrenForEphemerals;

  const parentCVersion = (parent.cversion + 1) | 0;
  state.put({ ...parent, zxid, childCount: parent.childCount + 1, cversion: parentCVersion });
  const owner = ownerOf(type, mode, origin.sessionId, ttl);
  state.put({ path, zxid, deleted: false, version: 0, cversion: 0, aversion: 0, owner, childCount: 0, acl });
  const { data } = request;
  if (type === OpCode.createContainer) return { type, record: { path, data, acl, parentCVersion } };
  if (type === OpCode.createTTL) return { type, record: { path, data, acl, parentCVersion, ttl } };
  return { type, record: { path, data, acl, ephemeral: mode.ephemeral, parentCVersion } };
}

function ownerOf(type: CreateOp, mode: CreateMode, session: SessionId, ttl: number): bigint {
  if (type === OpCode.createContainer) return CONTAINER_OWNER;
  if (type === OpCode.createTTL) return ttlOwner(ttl);
  return mode.ephemeral ? session : NO_OWNER;
}

function isCreateFlag(flags: number): flags is CreateFlag {
  return Object.hasOwn(MODES, flags);
}

/** In a multi the flag decides the op code, whatever the client's header says; the TTL counts in a createTTL only. Source: Op.Create. */
export function createOpOfFlags(flags: number): CreateOp {
  if (flags === CreateFlag.container) return OpCode.createContainer;
  return isCreateFlag(flags) && MODES[flags].ttl ? OpCode.createTTL : OpCode.create;
}

export function prepareDelete(context: PrepareContext, request: DeleteRequest): Prepared<typeof OpCode.delete> {
  const { environment, origin, zxid } = context;
  const { state, policy, sessions } = environment;
  const session = sessions.check(origin.sessionId, origin.owner);
  if (session !== ErrorCode.ok) return session;
  const { path } = request;
  if (!hasSlashAndNoNul(path) || isReservedPath(path)) return ErrorCode.badArguments;
  const parent = state.find(parentPath(path));
  if (parent === undefined) return ErrorCode.noNode;
  const node = state.find(path);
  if (node === undefined) return ErrorCode.noNode;
  if (!permits(policy, parent.acl, Perms.delete, origin.ids)) return ErrorCode.noAuth;
  if (!isExpected(request.version, node.version)) return ErrorCode.badVersion;
  if (node.childCount > 0) return ErrorCode.notEmpty;
  removeFrom(state, parent, path, zxid);
  return { type: OpCode.delete, record: { path } };
}

/** From the reaper: a container or TTL node that is empty still. */
export function prepareDeleteContainer(context: PrepareContext, path: string): Prepared<typeof OpCode.deleteContainer> {
  const { environment, zxid } = context;
  const { state } = environment;
  if (!hasSlashAndNoNul(path) || isReservedPath(path)) return ErrorCode.badArguments;
  const parent = state.find(parentPath(path));
  const node = state.find(path);
  if (parent === undefined || node === undefined) return ErrorCode.noNode;
  if (node.childCount > 0) return ErrorCode.notEmpty;
  if (ownershipOf(node.owner, environment.owners) === "session") return ErrorCode.badVersion;
  removeFrom(state, parent, path, zxid);
  return { type: OpCode.deleteContainer, record: { path } };
}

export function prepareSetData(context: PrepareContext, request: SetDataRequest): Prepared<typeof OpCode.setData> {
  const { environment, zxid } = context;
  const node = checkNode(context, request.path);
  if (typeof node === "number") return node;
  if (!permits(environment.policy, node.acl, Perms.write, context.origin.ids)) return ErrorCode.noAuth;
  if (!isExpected(request.version, node.version)) return ErrorCode.badVersion;
  const version = (node.version + 1) | 0;
  environment.state.put({ ...node, zxid, version });
  return { type: OpCode.setData, record: { path: request.path, data: request.data, version } };
}

export function prepareSetAcl(context: PrepareContext, request: SetACLRequest): Prepared<typeof OpCode.setACL> {
  const { environment, origin, zxid } = context;
  const { state, policy, sessions } = environment;
  const session = sessions.check(origin.sessionId, origin.owner);
  if (session !== ErrorCode.ok) return session;
  if (!isValidPath(request.path)) return ErrorCode.badArguments;
  const acl = fixAcl(policy, origin.ids, request.acl, context.expansion);
  if (typeof acl === "number") return acl;
  const node = state.find(request.path);
  if (node === undefined) return ErrorCode.noNode;
  if (!permits(policy, node.acl, Perms.admin, origin.ids)) return ErrorCode.noAuth;
  if (!isExpected(request.version, node.aversion)) return ErrorCode.badVersion;
  const aversion = (node.aversion + 1) | 0;
  state.put({ ...node, zxid, aversion, acl });
  return { type: OpCode.setACL, record: { path: request.path, acl, version: aversion } };
}

export function prepareCheck(context: PrepareContext, request: CheckVersionRequest): Prepared<typeof OpCode.check> {
  const node = checkNode(context, request.path);
  if (typeof node === "number") return node;
  if (!permits(context.environment.policy, node.acl, Perms.read, context.origin.ids)) return ErrorCode.noAuth;
  if (!isExpected(request.version, node.version)) return ErrorCode.badVersion;
  return { type: OpCode.check, record: { path: request.path, version: (node.version + 1) | 0 } };
}

export function prepareReconfig(context: PrepareContext, request: ReconfigRequest): Prepared<typeof OpCode.reconfig> {
  const { environment, origin, zxid } = context;
  const { state, policy } = environment;
  const config = environment.reconfigure(request, origin, zxid);
  if (typeof config === "number") return config;
  const node = state.find(CONFIG_PATH);
  if (node === undefined) return ErrorCode.noNode;
  if (!permits(policy, node.acl, Perms.write, origin.ids)) return ErrorCode.noAuth;
  state.put({ ...node, zxid, version: -1 });
  return { type: OpCode.reconfig, record: { path: CONFIG_PATH, data: config, version: -1 } };
}

export function prepareCreateSession(context: PrepareContext, timeOut: number): TxnBody<typeof OpCode.createSession> {
  const { sessionId, owner } = context.origin;
  context.environment.sessions.opening(sessionId, timeOut, owner);
  return { type: OpCode.createSession, record: { timeOut } };
}

/** Not checked: the expiry of a session asks for this without owning it. The ephemerals go in the shadow only; applying lists its own. */
export function prepareCloseSession(context: PrepareContext): TxnBody<typeof OpCode.closeSession> {
  const { environment, origin, zxid } = context;
  const { state, sessions } = environment;
  for (const path of state.ephemeralsOf(origin.sessionId)) {
    const parent = state.find(parentPath(path));
    if (parent !== undefined) removeFrom(state, parent, path, zxid);
  }
  sessions.closing(origin.sessionId);
  return { type: OpCode.closeSession, record: {} };
}

/** What setData and check begin with. */
function checkNode(context: PrepareContext, path: string): PreparedNode | ErrorCode {
  const { environment, origin } = context;
  const session = environment.sessions.check(origin.sessionId, origin.owner);
  if (session !== ErrorCode.ok) return session;
  if (!isValidPath(path)) return ErrorCode.badArguments;
  return environment.state.find(path) ?? ErrorCode.noNode;
}

function removeFrom(state: PreparedState, parent: PreparedNode, path: string, zxid: Zxid): void {
  state.put({ ...parent, zxid, childCount: parent.childCount - 1 });
  state.delete(path, zxid);
}

function hasSlashAndNoNul(path: string): boolean {
  return path.includes("/") && !path.includes("\0");
}

/** -1 expects any version. */
function isExpected(expected: number, actual: number): boolean {
  return expected === -1 || expected === actual;
}

