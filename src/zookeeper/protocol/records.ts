import { boolean, buffer, int, juteRecord, juteScalar, long, longExact, nested, time, ustring, vector, vectorOf } from "../../codec/jute.ts";
import type { Decoded, Input } from "../../codec/schema.ts";
import type { SessionId, Zxid } from "./ids.ts";

/**
 * The records between clients and servers. Source: zookeeper.jute, modules org.apache.zookeeper.data and .proto
 * (3.5.9, with the additions up to 3.9). A field that Java's server would stumble over when null is not nullable
 * here: such a body does not decode, which answers the same MarshallingError.
 */

export const zxidField = juteScalar<Zxid>("int64");
export const sessionIdField = juteScalar<SessionId>("int64Exact");

const nullable = { nullable: true } as const;

export const noFields = juteRecord("NoFields", {});
export type NoFields = Readonly<Record<string, never>>;

export const id = juteRecord("Id", { scheme: ustring(nullable), id: ustring(nullable) });
/** What a connection holds, and what an ACL entry names. */
export type Id = Readonly<Decoded<typeof id>>;

export const acl = juteRecord("ACL", { perms: int(), id: nested(id) });
export interface AclEntry {
  readonly perms: number;
  readonly id: Id;
}

export const stat = juteRecord("Stat", {
  czxid: zxidField(),
  mzxid: zxidField(),
  ctime: time(),
  mtime: time(),
  version: int(),
  cversion: int(),
  aversion: int(),
  ephemeralOwner: longExact(),
  dataLength: int(),
  numChildren: int(),
  pzxid: zxidField(),
});
export type Stat = Readonly<Decoded<typeof stat>>;

export const clientInfo = juteRecord("ClientInfo", { authScheme: ustring(), user: ustring() });

/** The optional readOnly byte stands after the record: see `readConnectRequest`. */
export const connectRequest = juteRecord("ConnectRequest", {
  protocolVersion: int(),
  lastZxidSeen: zxidField(),
  timeOut: int(),
  sessionId: sessionIdField(),
  passwd: buffer(nullable),
});
export const connectResponse = juteRecord("ConnectResponse", { protocolVersion: int(), timeOut: int(), sessionId: sessionIdField(), passwd: buffer() });
export const requestHeader = juteRecord("RequestHeader", { xid: int(), type: int() });
export const replyHeader = juteRecord("ReplyHeader", { xid: int(), zxid: zxidField(), err: int() });
export const multiHeader = juteRecord("MultiHeader", { type: int(), done: boolean(), err: int() });
export const authPacket = juteRecord("AuthPacket", { type: int(), scheme: ustring(), auth: buffer(nullable) });
export const watcherEvent = juteRecord("WatcherEvent", { type: int(), state: int(), path: ustring() });

export const setWatches = juteRecord("SetWatches", {
  relativeZxid: zxidField(),
  dataWatches: vectorOf(ustring),
  existWatches: vectorOf(ustring),
  childWatches: vectorOf(ustring),
});
export const setWatches2 = juteRecord("SetWatches2", {
  ...setWatches.fields,
  persistentWatches: vectorOf(ustring),
  persistentRecursiveWatches: vectorOf(ustring),
});
export const addWatchRequest = juteRecord("AddWatchRequest", { path: ustring(), mode: int() });
export const checkWatchesRequest = juteRecord("CheckWatchesRequest", { path: ustring(), type: int() });
export const removeWatchesRequest = juteRecord("RemoveWatchesRequest", { path: ustring(), type: int() });

export const createRequest = juteRecord("CreateRequest", { path: ustring(), data: buffer(nullable), acl: vector(acl), flags: int() });
export type CreateRequest = Input<typeof createRequest>;
export const createTTLRequest = juteRecord("CreateTTLRequest", { ...createRequest.fields, ttl: long() });
export type CreateTTLRequest = Input<typeof createTTLRequest>;
export const deleteRequest = juteRecord("DeleteRequest", { path: ustring(), version: int() });
export type DeleteRequest = Input<typeof deleteRequest>;
export const checkVersionRequest = juteRecord("CheckVersionRequest", { path: ustring(), version: int() });
export type CheckVersionRequest = Input<typeof checkVersionRequest>;
export const setDataRequest = juteRecord("SetDataRequest", { path: ustring(), data: buffer(nullable), version: int() });
export type SetDataRequest = Input<typeof setDataRequest>;
export const setACLRequest = juteRecord("SetACLRequest", { path: ustring(), acl: vector(acl), version: int() });
export type SetACLRequest = Input<typeof setACLRequest>;
export const reconfigRequest = juteRecord("ReconfigRequest", {
  joiningServers: ustring(nullable),
  leavingServers: ustring(nullable),
  newMembers: ustring(nullable),
  curConfigId: long(),
});
export type ReconfigRequest = Decoded<typeof reconfigRequest>;

/** ExistsRequest, GetDataRequest, GetChildrenRequest and GetChildren2Request are alike. */
export const readRequest = juteRecord("ReadRequest", { path: ustring(), watch: boolean() });
export type ReadRequest = Decoded<typeof readRequest>;
/** GetACLRequest, SyncRequest, SyncResponse, CreateResponse and GetAllChildrenNumberRequest are alike. */
export const pathRecord = juteRecord("Path", { path: ustring() });
export const getEphemeralsRequest = juteRecord("GetEphemeralsRequest", { prefixPath: ustring(nullable) });

/** ExistsResponse, SetDataResponse and SetACLResponse are alike. */
export const statResponse = juteRecord("StatResponse", { stat: nested(stat) });
export const create2Response = juteRecord("Create2Response", { path: ustring(), stat: nested(stat) });
export const getDataResponse = juteRecord("GetDataResponse", { data: buffer(nullable), stat: nested(stat) });
export const getChildrenResponse = juteRecord("GetChildrenResponse", { children: vectorOf(ustring) });
export const getChildren2Response = juteRecord("GetChildren2Response", { children: vectorOf(ustring), stat: nested(stat) });
export const getACLResponse = juteRecord("GetACLResponse", { acl: vector(acl), stat: nested(stat) });
export const errorResponse = juteRecord("ErrorResponse", { err: int() });
export const getAllChildrenNumberResponse = juteRecord("GetAllChildrenNumberResponse", { totalNumber: int() });
export const getEphemeralsResponse = juteRecord("GetEphemeralsResponse", { ephemerals: vectorOf(ustring) });
export const whoAmIResponse = juteRecord("WhoAmIResponse", { clientInfo: vector(clientInfo) });
/** GetSASLRequest, SetSASLRequest and SetSASLResponse are alike. */
export const saslToken = juteRecord("SaslToken", { token: buffer(nullable) });
