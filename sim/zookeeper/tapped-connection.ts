import type { Connection, ConnectionHandlers } from "../../src/host/net.ts";

/** Hears the bytes of a connection before they go their way. */
export interface Listener {
  sent(bytes: Buffer): void;
  received(bytes: Buffer): void;
}

export class TappedConnection implements Connection {
  readonly #inner: Connection;
  readonly #listener: Listener;

  constructor(inner: Connection, listener: Listener) {
    this.#inner = inner;
    this.#listener = listener;
  }

  get remoteHost(): string {
    return this.#inner.remoteHost;
  }

  get remotePort(): number {
    return this.#inner.remotePort;
  }

  get localHost(): string {
    return this.#inner.localHost;
  }

  get localPort(): number {
    return this.#inner.localPort;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  get closed(): boolean {
    return this.#inner.closed;
  }

  start(handlers: ConnectionHandlers): void {
    this.#inner.start({
      ...handlers,
      data: (chunk) => {
        this.#listener.received(chunk);
        handlers.data(chunk);
      },
    });
  }

  write(bytes: Buffer, taken?: () => void): boolean {
    this.#listener.sent(bytes);
    return this.#inner.write(bytes, taken);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(): void {
    this.#inner.destroy();
  }

  reset(): void {
    this.#inner.reset();
  }
}
