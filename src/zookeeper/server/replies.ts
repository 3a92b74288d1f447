import { Writer } from "../../codec/writer.ts";
import { FRAME_HEADER_BYTES, writeConnectResponse } from "../protocol/connect.ts";
import type { ErrorCode } from "../protocol/errors.ts";
import { NO_ZXID, type Zxid } from "../protocol/ids.ts";
import { EVENT_STATE_CONNECTED, Xid } from "../protocol/op-codes.ts";
import { replyHeader, watcherEvent, type connectResponse } from "../protocol/records.ts";
import type { Input } from "../../codec/schema.ts";
import type { WatchEvent } from "../tree/watches.ts";

/** Frames to clients: each a list of chunks for one gathered write. */

/** Where a reply header's error stands: after the frame's length, the xid and the zxid. */
const ERROR_AT = FRAME_HEADER_BYTES + 4 + 8;

/** A reply's frame up to its body; `finishReply` puts in the length and the error. */
export function beginReply(xid: number, zxid: Zxid): Writer {
  const writer = new Writer();
  writer.int32(0);
  replyHeader.write(writer, { xid, zxid, err: 0 });
  return writer;
}

export function finishReply(writer: Writer, err: ErrorCode): Buffer[] {
  const frame = finishFrame(writer);
  if (err !== 0) Writer.patchInt32(frame, ERROR_AT, err);
  return frame;
}

/** One without a body. */
export function plainReply(xid: number, zxid: Zxid, err: ErrorCode): Buffer[] {
  return finishReply(beginReply(xid, zxid), err);
}

/** `readOnly` undefined leaves the byte out, for clients that sent none. */
export function connectReply(response: Input<typeof connectResponse>, readOnly: boolean | undefined): Buffer[] {
  const writer = new Writer();
  writer.int32(0);
  writeConnectResponse(writer, response, readOnly);
  return finishFrame(writer);
}

export function notification(event: WatchEvent): Buffer[] {
  const writer = beginReply(Xid.notification, NO_ZXID);
  watcherEvent.write(writer, { type: event.type, state: EVENT_STATE_CONNECTED, path: event.path });
  return finishFrame(writer);
}

function finishFrame(writer: Writer): Buffer[] {
  const length = writer.length - FRAME_HEADER_BYTES;
  const chunks = writer.finish();
  Writer.patchInt32(chunks, 0, length);
  return chunks;
}
