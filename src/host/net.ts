/** Stream sockets. Errors are operational: an `Error` with a Node-style `code` (ECONNREFUSED, ECONNRESET, EADDRINUSE, ETIMEDOUT, …). */
export interface Network {
  /**
   * Rejects with EADDRINUSE, EACCES, EADDRNOTAVAIL or ENOTFOUND. `host` undefined means every address, a name all the
   * addresses that it has (of which the listener gives the first), port 0 any port that is free on all of them.
   */
  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<Listener>;
  /** Rejects with ECONNREFUSED, ETIMEDOUT, ENOTFOUND, … The connection delivers nothing until `start`. */
  connect(options: ConnectOptions): Promise<Connection>;
}

export interface ListenOptions {
  readonly host?: string | undefined;
  readonly port: number;
}

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Stops accepting. Connections already accepted live on. */
  close(): Promise<void>;
}

export interface ConnectionHandlers {
  /** Bytes in arrival order, split anywhere. The chunk belongs to the receiver, but for `chunksAreLent`. */
  data(chunk: Buffer): void;
  /** A chunk is lent for the call alone: its memory is used for the next one. */
  readonly chunksAreLent?: boolean;
  /** The write buffer has emptied after a `write` that returned false. */
  drain?(): void;
  /** The peer has finished writing (half-close). Without this handler the connection ends its own side too. */
  end?(): void;
  /** Exactly once, last: the connection is gone. `error` tells why where it was not a plain close. */
  close(error: Error | undefined): void;
}

export interface Connection {
  /** Textual addresses without an IPv4-mapped prefix: `127.0.0.1`, never `::ffff:127.0.0.1`. */
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly localHost: string;
  readonly localPort: number;
  /** Bytes accepted by `write` that the system has not taken yet. */
  readonly bufferedBytes: number;
  readonly closed: boolean;
  /** Begins delivery. Call once, in the turn that received the connection. */
  start(handlers: ConnectionHandlers): void;
  /**
   * Queues bytes, in order; the caller must not change them afterwards. What one turn writes leaves in one
   * system call. False: over the high-water mark, wait for `drain` (the bytes are queued all the same).
   * Writing to a closed connection is ignored and returns false. `taken` is called once the system has the bytes, and
   * may never be called where the connection ends before.
   */
  write(bytes: Buffer, taken?: () => void): boolean;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes now; queued bytes may be lost. */
  destroy(): void;
  /** Closes now with a reset, so that the peer sees ECONNRESET. */
  reset(): void;
}
