import { OperationalError } from "../../lib/error.ts";
import type { ConnectOptions, Connection, ListenOptions, Listener, Network } from "../net.ts";
import { SimConnection } from "./connection.ts";
import type { Fabric, ListeningSocket, Machine, Stalled } from "./fabric.ts";
import { never, type Life } from "./life.ts";
import { eventKinds } from "./schedule.ts";

/** Asking for a name or binding a port is a call into the machine itself. */
const localCallUs = 20;

/** The network as one life of a node sees it. */
export class SimNetwork implements Network {
  readonly #fabric: Fabric;
  readonly #machine: Machine;
  readonly #life: Life;

  constructor(options: { fabric: Fabric; machine: Machine; life: Life }) {
    this.#fabric = options.fabric;
    this.#machine = options.machine;
    this.#life = options.life;
  }

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<Listener> {
    return this.#life.later(localCallUs, eventKinds.lookup, () => this.#bind(options, onConnection));
  }

  connect(options: ConnectOptions): Promise<Connection> {
    if (!this.#life.alive) return never();
    return new Promise<Connection>((resolve, reject) => {
      const attempt = new Attempt({ fabric: this.#fabric, machine: this.#machine, life: this.#life, target: options, resolve, reject });
      attempt.begin();
    });
  }

  #bind(options: ListenOptions, onConnection: (connection: Connection) => void): Listener {
    const machine = this.#machine;
    const anywhere = options.host === undefined || options.host === "0.0.0.0" || options.host === "::";
    const resolved = anywhere ? undefined : this.#fabric.resolve(machine, options.host);
    if (!anywhere && resolved?.machine !== machine) throw new OperationalError("EADDRNOTAVAIL", `listen on ${options.host}:${options.port}: not an address of ${machine.name}`);
    const address = resolved?.address;
    const port = options.port === 0 ? freePort(machine) : options.port;
    const others = machine.listeners.get(port) ?? [];
    if (others.some((other) => other.address === undefined || address === undefined || other.address === address)) {
      throw new OperationalError("EADDRINUSE", `listen on ${options.host ?? "0.0.0.0"}:${port}: ${machine.name} listens there already`);
    }
    const socket: ListeningSocket = { address, life: this.#life, accept: onConnection };
    machine.listeners.set(port, [...others, socket]);
    return {
      host: address ?? "0.0.0.0",
      port,
      close: () => {
        unbind(machine, port, socket);
        return Promise.resolve();
      },
    };
  }
}

/** Ends everything that a life held on the network. */
export function endNetwork(fabric: Fabric, machine: Machine, life: Life, how: "process" | "power"): void {
  machine.listeners.clear();
  for (const end of fabric.ends) {
    if (end.life !== life) continue;
    if (how === "process") end.processDied();
    else end.powerLost();
  }
}

function unbind(machine: Machine, port: number, socket: ListeningSocket): void {
  const left = (machine.listeners.get(port) ?? []).filter((other) => other !== socket);
  if (left.length > 0) machine.listeners.set(port, left);
  else machine.listeners.delete(port);
}

function freePort(machine: Machine): number {
  do {
    machine.nextPort = machine.nextPort >= 60_999 ? 32_768 : machine.nextPort + 1;
  } while (machine.listeners.has(machine.nextPort));
  return machine.nextPort;
}

/** A handshake: lookup, SYN there, answer back, accept. */
class Attempt implements Stalled {
  readonly #fabric: Fabric;
  readonly #machine: Machine;
  readonly #life: Life;
  readonly #target: ConnectOptions;
  readonly #resolve: (connection: Connection) => void;
  readonly #reject: (error: Error) => void;
  #settled = false;
  #connection: SimConnection | undefined;

  constructor(options: { fabric: Fabric; machine: Machine; life: Life; target: ConnectOptions; resolve: (connection: Connection) => void; reject: (error: Error) => void }) {
    this.#fabric = options.fabric;
    this.#machine = options.machine;
    this.#life = options.life;
    this.#target = options.target;
    this.#resolve = options.resolve;
    this.#reject = options.reject;
  }

  begin(): void {
    const { host, timeoutMs } = this.#target;
    this.#life.after(Math.ceil(timeoutMs * 1000), eventKinds.netTimeout, () => this.#fail("ETIMEDOUT", `no answer within ${timeoutMs} ms`));
    this.#life.after(localCallUs, eventKinds.lookup, () => {
      const resolved = this.#fabric.resolve(this.#machine, host);
      if (resolved === undefined) this.#fail("ENOTFOUND", "no such name");
      // An address that nobody has answers nothing: the time runs out.
      else if (resolved.machine !== undefined) this.#sendSyn(resolved.machine, resolved.address);
    });
  }

  /** The road is open again: the handshake starts over. */
  retry(): void {
    const resolved = this.#fabric.resolve(this.#machine, this.#target.host);
    if (!this.#settled && this.#life.alive && resolved?.machine !== undefined) this.#sendSyn(resolved.machine, resolved.address);
  }

  #sendSyn(to: Machine, address: string): void {
    const fabric = this.#fabric;
    const clearUs = Math.max(fabric.schedule.nowUs, fabric.cloggedUntil(this.#machine, to));
    fabric.schedule.at(clearUs + fabric.delayUs(this.#machine, to), eventKinds.syn, to.index, undefined, () => {
      if (this.#settled || !this.#life.alive) return;
      if (fabric.reachable(this.#machine, to) && fabric.reachable(to, this.#machine)) this.#answer(to, address);
      else fabric.stall(this);
    });
  }

  #answer(to: Machine, address: string): void {
    const fabric = this.#fabric;
    const { port } = this.#target;
    const backUs = fabric.delayUs(to, this.#machine);
    const listener = to.listeners.get(port)?.find((socket) => socket.address === undefined || socket.address === address);
    if (listener === undefined) {
      this.#life.after(backUs, eventKinds.refuse, () => this.#fail("ECONNREFUSED", `nobody listens there on ${to.name}`));
      return;
    }
    const from = { host: to === this.#machine ? address : this.#machine.address, port: freePort(this.#machine) };
    const client = new SimConnection({ fabric, machine: this.#machine, life: this.#life, localHost: from.host, localPort: from.port, remoteHost: address, remotePort: port });
    const server = new SimConnection({ fabric, machine: to, life: listener.life, localHost: address, localPort: port, remoteHost: from.host, remotePort: from.port });
    SimConnection.join(client, server);
    this.#connection = client;
    this.#life.after(backUs, eventKinds.connected, () => this.#succeed());
    listener.life.after(backUs + fabric.delayUs(this.#machine, to), eventKinds.accept, () => {
      if (to.listeners.get(port)?.includes(listener) === true) listener.accept(server);
      else server.reset();
    });
  }

  #succeed(): void {
    const connection = this.#connection;
    if (this.#settled || connection === undefined) return;
    this.#settled = true;
    this.#resolve(connection);
  }

  #fail(code: string, what: string): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#fabric.unstall(this);
    this.#connection?.reset();
    this.#reject(new OperationalError(code, `connect ${this.#target.host}:${this.#target.port} from ${this.#machine.name}: ${what}`));
  }
}
