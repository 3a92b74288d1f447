import { connect, createServer, type Server, type Socket } from "node:net";
import { OperationalError } from "../../lib/error.ts";
import type { ConnectOptions, Connection, ConnectionHandlers, ListenOptions, Listener, Network } from "../net.ts";

const LISTEN_BACKLOG = 511;

/** How long, once all is sent, `end` waits for the peer's half to end. */
const END_LINGER_MS = 2000;

/** How long `end` takes at most, however slowly the peer reads. */
const END_MS_MAX = 30_000;

export const realNetwork: Network = {
  async listen(options: ListenOptions, onConnection) {
    const server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      // A connection that was reset before it was accepted has no address left.
      if (socket.remoteAddress === undefined) socket.destroy();
      else onConnection(new SocketConnection(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...(options.host === undefined ? {} : { host: options.host }), port: options.port, backlog: LISTEN_BACKLOG }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    // accept() can fail for want of descriptors; the server goes on when there are some again.
    server.on("error", () => undefined);
    return new ServerListener(server);
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
        reject(error);
      });
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.removeAllListeners("error");
        socket.pause();
        resolve(new SocketConnection(socket));
      });
    });
  },
};

class ServerListener implements Listener {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;

  constructor(server: Server) {
    const address = server.address();
    if (address === null || typeof address === "string") throw new TypeError("not a TCP server");
    this.host = plainAddress(address.address);
    this.port = address.port;
    this.#server = server;
  }

  close(): Promise<void> {
    // close() calls back only when the last connection has ended; the listening socket itself is shut at once.
    this.#server.close();
    return Promise.resolve();
  }
}

class SocketConnection implements Connection {
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly localHost: string;
  readonly localPort: number;
  readonly #socket: Socket;
  #corked = false;
  #ending = false;
  #error: Error | undefined;

  constructor(socket: Socket) {
    this.remoteHost = plainAddress(socket.remoteAddress ?? "");
    this.remotePort = socket.remotePort ?? 0;
    this.localHost = plainAddress(socket.localAddress ?? "");
    this.localPort = socket.localPort ?? 0;
    this.#socket = socket;
    socket.on("error", (error) => {
      this.#error = error;
    });
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  start(handlers: ConnectionHandlers): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => {
      if (!this.#ending) handlers.data(chunk);
    });
    socket.on("drain", () => handlers.drain?.());
    socket.on("end", () => (handlers.end === undefined ? socket.end() : handlers.end()));
    socket.on("close", () => handlers.close(this.#error));
    if (socket.destroyed) process.nextTick(() => handlers.close(this.#error));
    socket.resume();
  }

  write(bytes: Buffer): boolean {
    const socket = this.#socket;
    if (socket.destroyed || this.#ending) return false;
    if (!this.#corked) {
      // What one turn writes leaves in one writev.
      this.#corked = true;
      socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    return socket.write(bytes);
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
    const socket = this.#socket;
    // Closing at once, with input unread, would reset the connection and take the last reply from the peer.
    socket.end(() => {
      setTimeout(() => socket.destroy(), END_LINGER_MS).unref();
    });
    // A peer that does not read must not keep its socket, and what is queued for it, for ever.
    setTimeout(() => socket.destroy(), END_MS_MAX).unref();
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
