import { Reader } from "../../src/codec/reader.ts";
import type { Decoded } from "../../src/codec/schema.ts";
import { Writer } from "../../src/codec/writer.ts";
import type { Network, Connection } from "../../src/host/net.ts";
import { FrameDecoder } from "../../src/lib/frames.ts";
import { NO_SESSION, ZXID_ZERO, type SessionId, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { connectRequest, connectResponse, replyHeader, requestHeader, watcherEvent } from "../../src/zookeeper/protocol/records.ts";

export interface Reply {
  readonly xid: number;
  readonly zxid: number;
  readonly err: number;
  readonly body: Buffer;
}

export interface ConnectOptions {
  readonly lastZxidSeen?: number;
  readonly timeOut?: number;
  readonly sessionId?: SessionId;
  readonly passwd?: Buffer | null;
  /** Undefined: as an old client, without the byte. */
  readonly readOnly?: boolean | undefined;
}

/** A ZooKeeper client that is nothing but a socket: it sends what it is told to and shows every byte that comes. */
export class Wire {
  readonly #connection: Connection;
  readonly #decoder = new FrameDecoder({ frameBytesMax: 0x3fff_ffff });
  readonly bytes: Buffer[] = [];
  readonly frames: Buffer[] = [];
  closed = false;
  /** Why, where it was not a plain end. */
  error: Error | undefined;

  private constructor(connection: Connection) {
    this.#connection = connection;
    connection.start({
      data: (chunk) => {
        this.bytes.push(chunk);
        this.#decoder.push(chunk, (frame) => this.frames.push(frame));
      },
      close: (error) => {
        this.closed = true;
        this.error = error;
      },
    });
  }

  static async open(net: Network, host: string, port: number): Promise<Wire> {
    return new Wire(await net.connect({ host, port, timeoutMs: 5000 }));
  }

  /** Bytes as they are. */
  raw(bytes: Buffer | string): void {
    this.#connection.write(Buffer.from(bytes));
  }

  frame(body: Buffer): void {
    const head = Buffer.alloc(4);
    head.writeInt32BE(body.length);
    this.raw(Buffer.concat([head, body]));
  }

  connect(options: ConnectOptions = {}): void {
    const writer = new Writer();
    connectRequest.write(writer, {
      protocolVersion: 0,
      lastZxidSeen: (options.lastZxidSeen ?? ZXID_ZERO) as Zxid,
      timeOut: options.timeOut ?? 10_000,
      sessionId: options.sessionId ?? NO_SESSION,
      passwd: options.passwd === undefined ? Buffer.alloc(16) : options.passwd,
    });
    if (!("readOnly" in options) || options.readOnly !== undefined) writer.bool(options.readOnly ?? false);
    this.frame(writer.finishBuffer());
  }

  request(xid: number, type: number, body: Buffer = Buffer.alloc(0)): void {
    this.frame(Buffer.concat([requestHeader.encode({ xid, type }), body]));
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  /** Everything that came, as text. */
  get text(): string {
    return Buffer.concat(this.bytes).toString("latin1");
  }

  get connected(): (Decoded<typeof connectResponse> & { readonly frameBytes: number; readonly readOnly: number | undefined }) | undefined {
    const frame = this.frames[0];
    if (frame === undefined) return undefined;
    const reader = new Reader(frame);
    const response = connectResponse.read(reader);
    return { ...response, frameBytes: frame.length, readOnly: reader.remaining > 0 ? reader.int8() : undefined };
  }

  /** All but the answer to the ConnectRequest. */
  get replies(): Reply[] {
    return this.frames.slice(1).map((frame) => {
      const reader = new Reader(frame);
      return { ...replyHeader.read(reader), body: frame.subarray(reader.position) };
    });
  }

  reply(xid: number): Reply | undefined {
    return this.replies.find((reply) => reply.xid === xid);
  }

  get events(): string[] {
    return this.replies.filter(({ xid }) => xid === -1).map(({ body }) => describeEvent(body));
  }
}

export function describeEvent(body: Buffer): string {
  const event = watcherEvent.decode(body);
  return `${event?.type} ${event?.path}`;
}
