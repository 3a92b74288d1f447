import type { MultiOp } from "../protocol/multi.ts";
import { CreateFlag, OpCode, Perms } from "../protocol/op-codes.ts";
import type { AclEntry } from "../protocol/records.ts";

/** Operations of a multi. `version` -1 means any. */

export const OPEN_ACL: readonly AclEntry[] = [{ perms: Perms.all, id: { scheme: "world", id: "anyone" } }];

export function createOp(path: string, data: Buffer | null, flags: CreateFlag = CreateFlag.persistent): MultiOp {
  return { type: OpCode.create, record: { path, data, acl: [...OPEN_ACL], flags } };
}

export function setDataOp(path: string, data: Buffer | null, version = -1): MultiOp {
  return { type: OpCode.setData, record: { path, data, version } };
}

export function deleteOp(path: string, version = -1): MultiOp {
  return { type: OpCode.delete, record: { path, version } };
}

export function checkOp(path: string, version: number): MultiOp {
  return { type: OpCode.check, record: { path, version } };
}
