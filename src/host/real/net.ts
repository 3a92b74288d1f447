import { lookup } from "node:dns/promises";
import { connect, createServer, isIP, Socket, type Server, type SocketConstructorOpts } from "node:net";
import { must } from "../../lib/assert.ts";
import { errorCode, OperationalError } from "../../lib/error.ts";
import type { ConnectOptions, Connection, ConnectionHandlers, ListenOptions, Listener, Network } from "../net.ts";

const LISTEN_BACKLOG = 511;

/** How long, once all is sent, `end` waits for the peer's half to end. */
const END_LINGER_MS = 2000;

/** How long `end` takes at most, however slowly the peer reads. */
const END_MS_MAX = 30_000;

/** How many free ports of a name's first address are tried at its others. */
const FREE_PORT_TRIES = 20;

export const realNetwork: Network = networkOf(() => undefined);

/** `enter` is called first when bytes arrive on a connection, or may be sent again. */
export function networkOf(enter: () => void): Network {
  const shared: Shared = { enter, lent: undefined };
  return {
    /** A name is listened on at each address that it has and this machine can open. */
    async listen(options: ListenOptions, onConnection) {
      const { host, port } = options;
      const accept = (socket: Socket): void => onConnection(new SocketConnection(socket, shared));
      if (host === undefined || isIP(host) !== 0) return new ServerListener([await listenAt(host, port, accept)]);
      const addresses = await addressesOf(host);
      for (let tries = 1; ; tries++) {
        try {
          return new ServerListener(await listenAtAll(addresses, port, accept));
        } catch (error) {
          // The port that the system chose at the first address belongs to somebody else at another.
          if (port !== 0 || errorCode(error) !== "EADDRINUSE" || tries === FREE_PORT_TRIES) throw error;
        }
      }
    },

    connect(options: ConnectOptions) {
      return new Promise<Connection>((resolve, reject) => {
        const socket = connect({ host: options.host, port: options.port, noDelay: true, keepAlive: true, allowHalfOpen: true });
        const timer = setTimeout(() => {
          socket.destroy();
          reject(new OperationalError("ETIMEDOUT", `no answer from ${options.host}:${options.port} within ${options.timeoutMs} ms`));
        }, options.timeoutMs);
        socket.once("error", (error) => {
          clearTimeout(timer);
          // Where a name has several addresses, each failed in its own way, and the error that holds them says nothing.
          reject(error instanceof AggregateError ? new OperationalError(errorCode(error) ?? "ECONNREFUSED", error.errors.map((one: Error) => one.message).join("; "), { cause: error }) : error);
        });
        socket.once("connect", () => {
          clearTimeout(timer);
          socket.removeAllListeners("error");
          socket.pause();
          resolve(new SocketConnection(socket, shared));
        });
      });
    },
  };
}

async function listenAt(host: string | undefined, port: number, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    // A connection that was reset before it was accepted has no address left.
    if (socket.remoteAddress === undefined) socket.destroy();
    else accept(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...(host === undefined ? {} : { host }), port, backlog: LISTEN_BACKLOG }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // accept() can fail for want of descriptors; the server goes on when there are some again.
  server.on("error", () => undefined);
  return server;
}

/** On one port at all of the addresses, or nowhere. Those that this machine lacks are left out as long as one is had. */
async function listenAtAll(addresses: readonly string[], port: number, accept: (socket: Socket) => void): Promise<Server[]> {
  const servers: Server[] = [];
  let missing: unknown;
  try {
    for (const address of addresses) {
      try {
        servers.push(await listenAt(address, portOf(servers) ?? port, accept));
      } catch (error) {
        const code = errorCode(error);
        if (code !== "EADDRNOTAVAIL" && code !== "EAFNOSUPPORT") throw error;
        missing = error;
      }
    }
    if (servers.length === 0) throw missing;
    return servers;
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
}

/** Those of IPv4 first: the first one names the listener. localhost means both loopbacks whatever the machine's files say (RFC 6761). */
async function addressesOf(name: string): Promise<string[]> {
  if (name.toLowerCase() === "localhost") return ["127.0.0.1", "::1"];
  const found = await lookup(name, { all: true });
  return [...new Set(found.toSorted((a, b) => a.family - b.family).map(({ address }) => address))];
}

function portOf(servers: readonly Server[]): number | undefined {
  const [first] = servers;
  return first === undefined ? undefined : addressOf(first).port;
}

function addressOf(server: Server): { readonly address: string; readonly port: number } {
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("not a TCP server");
  return address;
}

class ServerListener implements Listener {
  readonly host: string;
  readonly port: number;
  readonly #servers: readonly Server[];

  constructor(servers: readonly Server[]) {
    const { address, port } = addressOf(must(servers[0], "a server"));
    this.host = plainAddress(address);
    this.port = port;
    this.#servers = servers;
  }

  close(): Promise<void> {
    // close() calls back only when the last connection has ended; the listening sockets themselves are shut at once.
    for (const server of this.#servers) server.close();
    return Promise.resolve();
  }
}

/** Smaller pieces are put together before they are written: each costs Node more than copying it. */
const GATHERED_BYTES_MIN = 2048;
/** What is put together in one piece. */
const GATHERED_BYTES_MAX = 64 * 1024;

/** How much is read at once into memory that is lent. */
const LENT_BYTES = 256 * 1024;

interface Piece {
  readonly bytes: Buffer;
  readonly taken: (() => void) | undefined;
}

/** The same bytes in fewer pieces. */
function gathered(pieces: readonly Piece[]): readonly Piece[] {
  if (pieces.length === 1) return pieces;
  const fewer: Piece[] = [];
  let small: Buffer[] = [];
  let smallBytes = 0;
  const closeSmall = (): void => {
    if (small.length > 0) fewer.push({ bytes: small.length === 1 ? (small[0] as Buffer) : Buffer.concat(small, smallBytes), taken: undefined });
    small = [];
    smallBytes = 0;
  };
  for (const piece of pieces) {
    const { bytes, taken } = piece;
    const alone = taken !== undefined || bytes.length >= GATHERED_BYTES_MIN;
    if (alone || smallBytes + bytes.length > GATHERED_BYTES_MAX) closeSmall();
    if (alone) fewer.push(piece);
    else {
      small.push(bytes);
      smallBytes += bytes.length;
    }
  }
  closeSmall();
  return fewer;
}

/** What the connections of one host have in common. */
interface Shared {
  readonly enter: () => void;
  /** One for all: whatever is read is looked at in the same call. */
  lent: Buffer | undefined;
}

class SocketConnection implements Connection {
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly localHost: string;
  readonly localPort: number;
  readonly #shared: Shared;
  #socket: Socket;
  /** What this turn has written. */
  #pieces: Piece[] = [];
  #pieceBytes = 0;
  /** `write` has returned false, and `drain` is to come. */
  #full = false;
  #drain: (() => void) | undefined;
  #ending = false;
  #error: Error | undefined;

  constructor(socket: Socket, shared: Shared) {
    this.remoteHost = plainAddress(socket.remoteAddress ?? "");
    this.remotePort = socket.remotePort ?? 0;
    this.localHost = plainAddress(socket.localAddress ?? "");
    this.localPort = socket.localPort ?? 0;
    this.#socket = socket;
    this.#shared = shared;
    this.#noteErrors();
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength + this.#pieceBytes;
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  start(handlers: ConnectionHandlers): void {
    const received = (chunk: Buffer): void => {
      this.#shared.enter();
      if (!this.#ending) handlers.data(chunk);
    };
    if (handlers.chunksAreLent === true) this.#readInto((this.#shared.lent ??= Buffer.allocUnsafeSlow(LENT_BYTES)), received);
    else this.#socket.on("data", received);
    const socket = this.#socket;
    this.#drain = handlers.drain?.bind(handlers);
    socket.on("drain", () => {
      // What this turn has written since leaves at its end, and may fill the buffer again.
      if (this.#pieces.length === 0) this.#drained();
    });
    socket.on("end", () => (handlers.end === undefined ? this.end() : handlers.end()));
    socket.on("close", () => handlers.close(this.#error));
    if (socket.destroyed) process.nextTick(() => handlers.close(this.#error));
    socket.resume();
  }

  #noteErrors(): void {
    this.#socket.on("error", (error) => {
      this.#error = error;
    });
  }

  /**
   * From now on the socket reads into `memory`, which Node allows only to one that is made for it: a new one takes the
   * handle over. Nothing has been read yet.
   */
  #readInto(memory: Buffer, received: (chunk: Buffer) => void): void {
    const old = this.#socket as unknown as { _handle: unknown };
    const handle = old._handle;
    if (this.#socket.destroyed || handle === null || handle === undefined) return;
    old._handle = null;
    const onread = {
      buffer: memory,
      callback: (bytes: number) => {
        received(memory.subarray(0, bytes));
        return true;
      },
    };
    this.#socket = new Socket({ handle, allowHalfOpen: true, pauseOnCreate: true, onread } as SocketConstructorOpts);
    this.#noteErrors();
  }

  write(bytes: Buffer, taken?: () => void): boolean {
    const socket = this.#socket;
    if (socket.destroyed || this.#ending) return false;
    if (this.#pieces.length === 0) process.nextTick(this.#flush);
    this.#pieces.push({ bytes, taken });
    this.#pieceBytes += bytes.length;
    if (this.bufferedBytes >= socket.writableHighWaterMark) this.#full = true;
    return !this.#full;
  }

  readonly #flush = (): void => {
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    this.#pieceBytes = 0;
    const socket = this.#socket;
    if (socket.destroyed) return;
    // What one turn writes leaves in one writev.
    socket.cork();
    let room = true;
    for (const { bytes, taken } of gathered(pieces)) room = socket.write(bytes, taken);
    socket.uncork();
    // Who was told to wait may have been told so by what has left since.
    if (room && this.#full) this.#drained();
  };

  #drained(): void {
    if (!this.#full || this.#ending) return;
    this.#full = false;
    this.#shared.enter();
    this.#drain?.();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#flush();
    const socket = this.#socket;
    // A peer that does not read must not keep its socket, and what is queued for it, for ever.
    let timer = setTimeout(() => socket.destroy(), END_MS_MAX).unref();
    // Closing at once, with input unread, would reset the connection and take the last reply from the peer.
    socket.end(() => {
      clearTimeout(timer);
      if (!socket.destroyed) timer = setTimeout(() => socket.destroy(), END_LINGER_MS).unref();
    });
    // A timer that waits on would keep what has gone long before.
    socket.on("close", () => clearTimeout(timer));
    socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }
}

/** IPv4-mapped IPv6 addresses in their IPv4 form. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}
