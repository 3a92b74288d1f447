import { ErrorCode } from "../protocol/errors.ts";
import { OpCode } from "../protocol/op-codes.ts";
import type { Stat } from "../protocol/records.ts";
import type { SubTxnType, TxnBody, TxnHeader, TxnRecord, TxnType } from "../protocol/transactions.ts";
import type { Znode } from "./nodes.ts";
import { CONTAINER_OWNER, NO_OWNER, ttlOwner } from "./owner.ts";
import type { DataTree, NewNode } from "./tree.ts";

/** What transactions do to the tree. Source: DataTree.processTxn. */

/** What a reply is made of. */
export interface Applied {
  readonly type: TxnType;
  readonly err: ErrorCode;
  readonly path: string;
  /** As it was right after; undefined where no reply shows it, and after an error. */
  readonly stat: Stat | undefined;
  /** Of a multi. */
  readonly results: readonly Applied[] | undefined;
}

export type Apply<T extends TxnType> = (tree: DataTree, header: TxnHeader, record: TxnRecord<T>) => Applied;

function outcome(tree: DataTree, type: TxnType, path: string, node: Znode | ErrorCode): Applied {
  return typeof node === "number" ? failure(type, path, node) : { type, err: ErrorCode.ok, path, stat: tree.statOf(node), results: undefined };
}

function failure(type: TxnType, path: string, err: ErrorCode): Applied {
  return { type, err, path, stat: undefined, results: undefined };
}

function applyCreate(tree: DataTree, header: TxnHeader, type: TxnType, record: Omit<NewNode, "owner">, owner: bigint): Applied {
  return outcome(tree, type, record.path, tree.create({ path: record.path, data: record.data, acl: record.acl, owner, parentCVersion: record.parentCVersion }, header.zxid, header.time));
}

function applyDelete<T extends typeof OpCode.delete | typeof OpCode.deleteContainer>(type: T): Apply<T> {
  return (tree, header, record) => failure(type, record.path, tree.delete(record.path, header.zxid));
}

function applySetData<T extends typeof OpCode.setData | typeof OpCode.reconfig>(type: T): Apply<T> {
  return (tree, header, record) => outcome(tree, type, record.path, tree.setData(record.path, record.data, record.version, header.zxid, header.time));
}

function applyPlainCreate<T extends typeof OpCode.create | typeof OpCode.create2>(type: T): Apply<T> {
  return (tree, header, record) => applyCreate(tree, header, type, record, record.ephemeral ? header.clientId : NO_OWNER);
}

/** One entry a type; the operations' table takes them in. */
export const APPLY: { readonly [T in TxnType]: Apply<T> } = {
  [OpCode.create]: applyPlainCreate(OpCode.create),
  [OpCode.create2]: applyPlainCreate(OpCode.create2),
  [OpCode.createTTL]: (tree, header, record) => applyCreate(tree, header, OpCode.createTTL, record, ttlOwner(record.ttl)),
  [OpCode.createContainer]: (tree, header, record) => applyCreate(tree, header, OpCode.createContainer, record, CONTAINER_OWNER),
  [OpCode.delete]: applyDelete(OpCode.delete),
  [OpCode.deleteContainer]: applyDelete(OpCode.deleteContainer),
  [OpCode.setData]: applySetData(OpCode.setData),
  [OpCode.reconfig]: applySetData(OpCode.reconfig),
  [OpCode.setACL]: (tree, _header, record) => outcome(tree, OpCode.setACL, record.path, tree.setAcl(record.path, record.acl, record.version)),
  [OpCode.check]: (_tree, _header, record) => failure(OpCode.check, record.path, ErrorCode.ok),
  [OpCode.createSession]: (tree, header, record) => {
    tree.sessions.set(header.clientId, record.timeOut);
    return failure(OpCode.createSession, "", ErrorCode.ok);
  },
  [OpCode.closeSession]: (tree, header) => {
    tree.closeSession(header.clientId, header.zxid);
    return failure(OpCode.closeSession, "", ErrorCode.ok);
  },
  [OpCode.error]: (_tree, _header, record) => failure(OpCode.error, "", record.err as ErrorCode),
  [OpCode.multi]: (tree, header, record) => applyMulti(tree, header, record.txns),
};

/** All or nothing: with an error among them none is applied, and those before it count as done with code 0. */
function applyMulti(tree: DataTree, header: TxnHeader, txns: readonly TxnBody<SubTxnType>[]): Applied {
  const failed = txns.findIndex((txn) => txn.type === OpCode.error);
  const results = txns.map((txn, at) => {
    if (failed < 0) return applyBody(tree, header, txn);
    if (txn.type === OpCode.error) return applyBody(tree, header, txn);
    return failure(OpCode.error, "", at < failed ? ErrorCode.ok : ErrorCode.runtimeInconsistency);
  });
  const err = results.find((result) => result.err !== ErrorCode.ok)?.err ?? ErrorCode.ok;
  return { type: OpCode.multi, err, path: "", stat: undefined, results };
}

function applyBody<T extends TxnType>(tree: DataTree, header: TxnHeader, body: TxnBody<T>): Applied {
  const apply = APPLY[body.type] as Apply<T>;
  return apply(tree, header, body.record);
}

/**
 * Applies a committed transaction, or replays a logged one: a fuzzy snapshot may hold the effects of later ones,
 * so that NodeExists and NoNode are to be expected then and mean nothing.
 */
export function applyTransaction(tree: DataTree, transaction: { readonly header: TxnHeader; readonly body: TxnBody }): Applied {
  const applied = applyBody(tree, transaction.header, transaction.body);
  if (transaction.header.zxid > tree.lastZxid) tree.lastZxid = transaction.header.zxid;
  return applied;
}
