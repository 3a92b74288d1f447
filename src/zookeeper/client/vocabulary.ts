/** What users of the client need of ZooKeeper's protocol: they import nothing else of ZooKeeper. */
export { ErrorCode } from "../protocol/errors.ts";
export { toHex } from "../protocol/ids.ts";
export type { SessionId, Zxid } from "../protocol/ids.ts";
export type { MultiOp, MultiResult } from "../protocol/multi.ts";
export { CreateFlag, EventType, OpCode } from "../protocol/op-codes.ts";
export type { Stat } from "../protocol/records.ts";
