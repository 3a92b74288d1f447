import type { Timers } from "../../../host/clock.ts";
import type { Connection } from "../../../host/net.ts";
import { errorCode, OperationalError } from "../../../lib/error.ts";
import { TaskGroup } from "../../../lib/task-group.ts";
import type { JuteLimits } from "../../jute/limits.ts";
import { PacketStream, type LearnerPacket } from "./packets.ts";

export interface LearnerLinkOptions {
  readonly timers: Timers;
  readonly limits: JuteLimits;
  received(packet: LearnerPacket): void;
  /** The connection has taken more of a stream, and has room for the next of it. */
  streamed(): void;
  /** Once, and last, unless this end closes. */
  closed(reason: string): void;
  /** Something unforeseen in a stream. */
  failed(error: Error): void;
}

/** What may wait for a learner, beyond which it is cut off: to send it a snapshot will cost less. */
const UNSENT_BYTES_MAX = 256 * 1024 * 1024;

/** Writes to the learner, and comes back when it has room for more. Rejects with ECANCELED once the link is closed. */
export type Output = (chunks: readonly Buffer[]) => Promise<void>;

/**
 * A learner's connection at its leader. What goes out keeps its order: behind a stream (a snapshot, or a part of the
 * log) packets wait until it is through. Source: LearnerHandler.
 */
export class LearnerLink {
  readonly #options: LearnerLinkOptions;
  readonly #connection: Connection;
  readonly #packets: PacketStream<LearnerPacket>;
  readonly #tasks: TaskGroup;
  #streaming = false;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Of a stream that waits for the connection to take more. */
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(connection: Connection, options: LearnerLinkOptions) {
    this.#options = options;
    this.#connection = connection;
    this.#packets = PacketStream.ofLearner(options.limits);
    this.#tasks = new TaskGroup((error) => options.failed(error));
    connection.start({
      data: (chunk) => this.#received(chunk),
      drain: () => this.#continue(),
      close: (error) => this.#lost(error === undefined ? "it has closed the connection" : error.message),
    });
  }

  get remoteHost(): string {
    return this.#connection.remoteHost;
  }

  send(packet: readonly Buffer[]): void {
    if (this.#closed) return;
    if (this.#streaming) {
      for (const chunk of packet) this.#waitingBytes += chunk.length;
      this.#waiting.push(...packet);
    } else for (const chunk of packet) this.#connection.write(chunk);
    if (this.#waitingBytes + this.#connection.bufferedBytes > UNSENT_BYTES_MAX) this.#lost("it does not take in what it is sent");
  }

  /** What the stream writes goes out next, and everything sent from here on after its end. */
  stream(write: (output: Output) => Promise<void>): void {
    this.#streaming = true;
    this.#tasks.run(async () => {
      try {
        await write((chunks) => this.#output(chunks));
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        this.#lost(error instanceof Error ? error.message : String(error));
        return;
      }
      this.#streaming = false;
      for (const chunk of this.#waiting) this.#connection.write(chunk);
      this.#waiting = [];
      this.#waitingBytes = 0;
    });
  }

  /** Nothing is heard or sent any more; a stream under way ends by itself. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#connection.destroy();
    this.#continue();
  }

  settled(): Promise<void> {
    return this.#tasks.settled();
  }

  async #output(chunks: readonly Buffer[]): Promise<void> {
    let room = true;
    for (const chunk of chunks) room = this.#connection.write(chunk);
    await new Promise<void>((resolve) => {
      if (room || this.#closed) this.#options.timers.soon(resolve);
      else this.#wake = resolve;
    });
    if (this.#closed) throw new OperationalError("ECANCELED", "the learner's connection is closed");
    this.#options.streamed();
  }

  #continue(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #received(chunk: Buffer): void {
    this.#packets.push(chunk);
    try {
      while (!this.#closed) {
        const packet = this.#packets.next();
        if (packet === undefined) return;
        this.#options.received(packet);
      }
    } catch (error) {
      if (errorCode(error) !== "ZK_PACKET") throw error;
      this.#lost(error instanceof Error ? error.message : String(error));
    }
  }

  #lost(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#options.closed(reason);
  }
}
