import { assert, must } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import type { Connection, ConnectionHandlers } from "../net.ts";
import type { Fabric, Machine, Stalled } from "./fabric.ts";
import type { Life } from "./life.ts";
import { eventKinds, type EventKind, type ScheduledEvent } from "./schedule.ts";

/** Node reads a socket in pieces of this size at most. */
const chunkBytesMax = 64 * 1024;

/** How long the kernel and the event loop take between two steps of one machine. */
const turnUsMax = 10;

/** As on a real host: how long `end` waits for the peer's half to end. */
const endLingerUs = 2_000_000;

type Segment = { readonly kind: "data"; readonly bytes: Buffer; readonly arrivalUs: number } | { readonly kind: "fin" | "reset"; readonly arrivalUs: number };

export interface EndOptions {
  readonly fabric: Fabric;
  readonly machine: Machine;
  readonly life: Life;
  readonly localHost: string;
  readonly localPort: number;
  readonly remoteHost: string;
  readonly remotePort: number;
}

/**
 * One end of a stream: the socket that a process holds, its kernel's buffers, and the wire to the other end.
 * `write` → queue → (one flush a turn) wire → the peer's inbox → `data`. The kernel's half works on while
 * the process is paused, and sends what is on the wire after the process has gone.
 */
export class SimConnection implements Connection, Stalled {
  readonly machine: Machine;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly localHost: string;
  readonly localPort: number;
  readonly #fabric: Fabric;
  readonly #life: Life;
  readonly #boot: number;
  #peer: SimConnection | undefined;

  // The process's side.
  #handlers: ConnectionHandlers | undefined;
  #paused = false;
  #ending = false;
  #closed = false;
  #closeError: Error | undefined;
  #closeTold = false;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  /** Of all that was ever written. */
  #writtenBytes = 0;
  /** Who is to hear that all up to there is on the wire, in order. */
  #takers: { readonly upTo: number; readonly taken: () => void }[] = [];
  #wantDrain = false;
  #flushEvent: ScheduledEvent | undefined;
  #deliverEvent: ScheduledEvent | undefined;

  // The kernel's side.
  #open = true;
  #finSent = false;
  #finTaken = false;
  #inbox: Buffer[] = [];
  #inboxBytes = 0;
  /** What follows the inbox. */
  #terminal: "fin" | Error | undefined;

  // The wire to the peer.
  #wire: Segment[] = [];
  /** On the wire or in the peer's inbox; with `#unackable`, read there but not known here. 0 ≤ unackable ≤ unacked. */
  #unackedBytes = 0;
  #unackableBytes = 0;
  #lastArrivalUs = 0;
  #arriveEvent: ScheduledEvent | undefined;
  #timeoutEvent: ScheduledEvent | undefined;

  constructor(options: EndOptions) {
    this.#fabric = options.fabric;
    this.machine = options.machine;
    this.#life = options.life;
    this.#boot = options.machine.boots;
    this.localHost = options.localHost;
    this.localPort = options.localPort;
    this.remoteHost = options.remoteHost;
    this.remotePort = options.remotePort;
    this.#fabric.ends.add(this);
  }

  static join(a: SimConnection, b: SimConnection): void {
    a.#peer = b;
    b.#peer = a;
  }

  get life(): Life {
    return this.#life;
  }

  get peerMachine(): Machine {
    return this.#other.machine;
  }

  get bufferedBytes(): number {
    return this.#queuedBytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  start(handlers: ConnectionHandlers): void {
    assert(this.#handlers === undefined, "a connection is started once");
    this.#handlers = handlers;
    if (this.#closed) this.#tellClosedSoon();
    else this.#wake();
  }

  write(bytes: Buffer, taken?: () => void): boolean {
    if (this.#closed || this.#ending || !this.#life.alive) return false;
    this.#fabric.schedule.note(eventKinds.netWrite, this.machine.index, bytes.length);
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#writtenBytes += bytes.length;
    if (taken !== undefined) this.#takers.push({ upTo: this.#writtenBytes, taken });
    this.#flushSoon();
    if (this.#queuedBytes < this.#fabric.options.highWaterBytes) return true;
    this.#wantDrain = true;
    return false;
  }

  pause(): void {
    if (!this.#ending) this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  end(): void {
    if (this.#closed || this.#ending || !this.#life.alive) return;
    this.#ending = true;
    this.#flushSoon();
    // From here on input is thrown away, but it has to be read to see its end.
    this.resume();
  }

  destroy(): void {
    if (this.#closed || !this.#life.alive) return;
    this.#closed = true;
    this.#leave(this.#inboxBytes > 0 ? "reset" : "fin");
    this.#tellClosedSoon();
  }

  reset(): void {
    if (this.#closed || !this.#life.alive) return;
    this.#closed = true;
    this.#leave("reset");
    this.#tellClosedSoon();
  }

  /** The process died: its kernel closes the socket. */
  processDied(): void {
    if (!this.#open) return;
    this.#closed = true;
    const { faults, options } = this.#fabric;
    this.#leave(this.#inboxBytes > 0 || faults.chance(options.killResetsPerMille, 1000) ? "reset" : "fin");
  }

  /** The machine died: nobody tells the peer. */
  powerLost(): void {
    this.#closed = true;
    this.#forget();
    this.#clearWire();
  }

  /** A fault of the network between the ends. */
  breakBoth(): void {
    this.#other.#break("ECONNRESET", `the connection from ${this.machine.name} broke`);
    this.breakHere();
  }

  /** This end alone is told; the other stays half open until it writes. */
  breakHere(): void {
    this.#break("ECONNRESET", `the connection to ${this.peerMachine.name} broke`);
  }

  /** Called by the fabric where the road may be open again. */
  retry(): void {
    this.#timeoutEvent?.cancel();
    this.#timeoutEvent = undefined;
    if (this.#unackableBytes > 0) this.#acknowledge(0);
    if (this.#wire.length > 0 && this.#arriveEvent === undefined) this.#arrive();
  }

  get #other(): SimConnection {
    return must(this.#peer, "the other end of a connection");
  }

  // From the process to the wire.

  #flushSoon(delayUs = 0): void {
    if (this.#flushEvent !== undefined) return;
    this.#flushEvent = this.#soon(eventKinds.flush, delayUs, () => {
      this.#flushEvent = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#open) return;
    if (this.#terminal instanceof Error) {
      // A paused socket learns of a reset when it writes.
      this.#finish(this.#terminal);
      return;
    }
    const { cuts, options } = this.#fabric;
    while (this.#queuedBytes > 0 && this.#unackedBytes < options.windowBytes) {
      const most = Math.min(this.#queuedBytes, options.windowBytes - this.#unackedBytes, chunkBytesMax);
      const length = cuts.chance(options.splitsPerMille, 1000) ? cuts.between(1, most) : most;
      const bytes = take(this.#queue, length);
      this.#queuedBytes -= length;
      this.#unackedBytes += length;
      this.#send({ kind: "data", bytes, arrivalUs: this.#nextArrivalUs() });
    }
    for (let first = this.#takers[0]; first !== undefined && first.upTo <= this.#writtenBytes - this.#queuedBytes; first = this.#takers[0]) {
      this.#takers.shift();
      first.taken();
    }
    if (this.#queuedBytes > 0) return;
    if (this.#ending) {
      if (!this.#finSent) this.#sendFin();
      if (this.#finTaken) this.#finish(undefined);
      else this.#soon(eventKinds.netTimeout, endLingerUs, () => this.destroy());
    } else if (this.#wantDrain) {
      this.#wantDrain = false;
      this.#handlers?.drain?.();
    }
  }

  #sendFin(): void {
    this.#finSent = true;
    this.#send({ kind: "fin", arrivalUs: this.#nextArrivalUs() });
  }

  #nextArrivalUs(): number {
    const { schedule } = this.#fabric;
    this.#lastArrivalUs = Math.max(this.#lastArrivalUs, schedule.nowUs + this.#fabric.delayUs(this.machine, this.peerMachine));
    return this.#lastArrivalUs;
  }

  // The wire.

  #send(segment: Segment): void {
    this.#wire.push(segment);
    if (this.#wire.length === 1) this.#awaitArrival(segment.arrivalUs);
  }

  #awaitArrival(atUs: number): void {
    const segment = must(this.#wire[0], "a segment on the wire");
    const size = segment.kind === "data" ? segment.bytes.length : 0;
    this.#arriveEvent = this.#fabric.schedule.at(atUs, eventKinds.arrive, this.peerMachine.index, undefined, () => this.#arrive(), size);
  }

  #arrive(): void {
    this.#arriveEvent = undefined;
    const fabric = this.#fabric;
    const peer = this.#other;
    if (!this.machine.on || this.machine.boots !== this.#boot) {
      this.#clearWire();
      return;
    }
    // Without a road back the sender could not be told that nobody holds the socket any more.
    if (!fabric.reachable(this.machine, peer.machine) || (!peer.#open && !fabric.reachable(peer.machine, this.machine))) {
      this.#stall();
      return;
    }
    const clearUs = fabric.cloggedUntil(this.machine, peer.machine);
    if (clearUs > fabric.schedule.nowUs) {
      this.#awaitArrival(clearUs + fabric.delayUs(this.machine, peer.machine));
      return;
    }
    if (fabric.faults.chance(fabric.options.resetsPerMillion, 1_000_000)) {
      this.breakBoth();
      return;
    }
    const segment = must(this.#wire.shift(), "a segment on the wire");
    const next = this.#wire[0];
    if (next !== undefined) this.#awaitArrival(next.arrivalUs);
    if (peer.#open) peer.#receive(segment);
    else if (this.#open && (segment.kind === "data" || (segment.kind === "fin" && !this.#finTaken))) this.#refuse();
  }

  /** What arrived found no socket: the kernel over there answers with a reset. */
  #refuse(): void {
    const fabric = this.#fabric;
    const atUs = fabric.schedule.nowUs + fabric.delayUs(this.peerMachine, this.machine);
    fabric.schedule.at(atUs, eventKinds.arrive, this.machine.index, undefined, () => this.#break("ECONNRESET", `${this.peerMachine.name} knows no such connection`));
  }

  #stall(): void {
    this.#fabric.stall(this);
    if (!this.#open || this.#timeoutEvent !== undefined) return;
    const { schedule, options } = this.#fabric;
    const atUs = schedule.nowUs + Math.round(options.ackTimeoutMs * 1000);
    this.#timeoutEvent = schedule.at(atUs, eventKinds.netTimeout, this.machine.index, undefined, () => this.#break("ETIMEDOUT", `${this.peerMachine.name} acknowledged nothing for ${options.ackTimeoutMs} ms`));
  }

  #clearWire(): void {
    this.#wire = [];
    this.#unackedBytes = 0;
    this.#unackableBytes = 0;
    this.#arriveEvent?.cancel();
    this.#arriveEvent = undefined;
    this.#timeoutEvent?.cancel();
    this.#timeoutEvent = undefined;
    this.#fabric.unstall(this);
  }

  /** The peer's process has read `length` of what this end sent. */
  #acknowledge(length: number): void {
    if (this.#unackedBytes === 0) return;
    this.#unackableBytes += length;
    if (!this.#fabric.reachable(this.peerMachine, this.machine)) {
      this.#stall();
      return;
    }
    this.#unackedBytes -= this.#unackableBytes;
    this.#unackableBytes = 0;
    if (this.#queuedBytes > 0 && this.#open && this.#life.alive) this.#flushSoon(this.#fabric.delayUs(this.peerMachine, this.machine));
  }

  // From the wire to the process.

  #receive(segment: Segment): void {
    if (this.#terminal instanceof Error) return;
    if (segment.kind === "data") {
      this.#inbox.push(segment.bytes);
      this.#inboxBytes += segment.bytes.length;
    } else if (segment.kind === "fin") this.#terminal = "fin";
    else return this.#break("ECONNRESET", `${this.peerMachine.name} reset the connection`);
    this.#deliverNow();
  }

  /** The end of this end, told after what the inbox holds. */
  #break(code: string, message: string): void {
    if (!this.#open || this.#terminal instanceof Error) return;
    this.#clearWire();
    this.#terminal = new OperationalError(code, `${this.localHost}:${this.localPort} to ${this.remoteHost}:${this.remotePort}: ${message}`);
    this.#deliverNow();
  }

  #deliverNow(): void {
    if (this.#life.held) this.#wake();
    else this.#life.turn(() => this.#deliver());
  }

  #wake(): void {
    if (this.#deliverEvent !== undefined || (this.#inboxBytes === 0 && this.#terminal === undefined)) return;
    this.#deliverEvent = this.#soon(eventKinds.deliver, 0, () => {
      this.#deliverEvent = undefined;
      this.#deliver();
    });
  }

  /** Hands over one chunk, or the end. */
  #deliver(): void {
    const handlers = this.#handlers;
    if (handlers === undefined || this.#closed || this.#paused) return;
    if (this.#inboxBytes > 0) {
      const chunk = this.#nextChunk();
      this.#inboxBytes -= chunk.length;
      this.#other.#acknowledge(chunk.length);
      this.#wake();
      if (!this.#ending) handlers.data(chunk);
      if (handlers.chunksAreLent === true) chunk.fill(POISON);
    } else if (this.#terminal === "fin") {
      this.#terminal = undefined;
      this.#finTaken = true;
      if (handlers.end === undefined) this.end();
      else handlers.end();
      if (this.#finSent) this.#finish(undefined);
    } else if (this.#terminal !== undefined) this.#finish(this.#terminal);
  }

  /** What was sent in one piece is memory of its own already; several are read as one. */
  #nextChunk(): Buffer {
    const [first] = this.#inbox;
    if (this.#inbox.length > 1 || first === undefined || first.length > chunkBytesMax) return take(this.#inbox, Math.min(this.#inboxBytes, chunkBytesMax));
    this.#inbox = [];
    return first;
  }

  // Closing.

  #finish(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeError = error;
    this.#forget();
    this.#tellClosed();
  }

  /** The process lets go; the kernel ends the stream in its own way. */
  #leave(how: "fin" | "reset"): void {
    this.#forget();
    if (this.#terminal instanceof Error) return;
    if (how === "reset") {
      // What was not sent yet never will be.
      const kept = this.#fabric.cuts.below(this.#wire.length + 1);
      const [first] = this.#wire;
      this.#wire.length = kept;
      if (kept === 0 && first !== undefined) {
        this.#arriveEvent?.cancel();
        this.#arriveEvent = undefined;
      }
      this.#send({ kind: "reset", arrivalUs: this.#nextArrivalUs() });
    } else if (!this.#finSent) this.#sendFin();
  }

  #forget(): void {
    this.#open = false;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#takers = [];
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.#fabric.ends.delete(this);
    this.#timeoutEvent?.cancel();
    this.#timeoutEvent = undefined;
  }

  #tellClosedSoon(): void {
    this.#soon(eventKinds.closed, 0, () => this.#tellClosed());
  }

  #tellClosed(): void {
    if (this.#closeTold || this.#handlers === undefined) return;
    this.#closeTold = true;
    this.#handlers.close(this.#closeError);
  }

  /** An event of this end's process. */
  #soon(kind: EventKind, delayUs: number, action: () => void): ScheduledEvent {
    return this.#life.after(delayUs + 1 + this.#fabric.cuts.below(turnUsMax), kind, action);
  }
}

/** What a lent chunk holds afterwards. */
const POISON = 0xdb;

/** Removes the first `length` bytes from `chunks` into memory of their own. */
function take(chunks: Buffer[], length: number): Buffer {
  const taken = Buffer.allocUnsafe(length);
  let at = 0;
  let used = 0;
  while (at < length) {
    const chunk = must(chunks[used], "queued bytes");
    const copied = chunk.copy(taken, at);
    at += copied;
    if (copied === chunk.length) used++;
    else chunks[used] = chunk.subarray(copied);
  }
  chunks.splice(0, used);
  return taken;
}
