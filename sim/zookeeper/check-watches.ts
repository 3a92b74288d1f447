import { must } from "../../src/lib/assert.ts";
import { ErrorCode } from "../../src/zookeeper/protocol/errors.ts";
import { toHex, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { EventType, OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import { readRequest, setWatches } from "../../src/zookeeper/protocol/records.ts";
import type { Event, Reply, Transcript } from "./client-tap.ts";
import { describe } from "./check-history.ts";
import type { Model, Trigger } from "./model.ts";
import type { Registration } from "./workload.ts";
import { Violation } from "./violation.ts";

/** What a setWatches had to tell at once, and what it left to be watched. */
interface Restored {
  readonly events: readonly Event[];
  readonly data: readonly string[];
  readonly child: readonly string[];
}

/**
 * Watches as each connection had them. Whoever watches hears of the first change after the answer that set the
 * watch, once, before any answer that can show the change, and of nothing else; whoever comes back hears with its
 * setWatches what it has missed.
 */
export class WatchCheck {
  readonly #restored = new Map<Reply, Restored>();
  events = 0;

  /** To be called with the tree of the reply's zxid. */
  reply(reply: Reply, model: Model): void {
    if (reply.call.type !== OpCode.setWatches) return;
    const lists = must(setWatches.decode(reply.call.body), "setWatches");
    const restored = { events: [] as Event[], data: [] as string[], child: [] as string[] };
    const tell = (type: EventType, path: string): number => restored.events.push({ kind: "event", type, path });
    for (const path of lists.dataWatches) {
      const stat = model.statOf(path);
      if (stat === undefined) tell(EventType.nodeDeleted, path);
      else if (stat.mzxid > lists.relativeZxid) tell(EventType.nodeDataChanged, path);
      else restored.data.push(path);
    }
    for (const path of lists.existWatches) {
      if (model.has(path)) tell(EventType.nodeCreated, path);
      else restored.data.push(path);
    }
    for (const path of lists.childWatches) {
      const stat = model.statOf(path);
      if (stat === undefined) tell(EventType.nodeDeleted, path);
      else if (stat.pzxid > lists.relativeZxid) tell(EventType.nodeChildrenChanged, path);
      else restored.child.push(path);
    }
    this.#restored.set(reply, restored);
  }

  /** After every reply was observed; `model` is the last. */
  check(transcripts: readonly Transcript[], model: Model): void {
    for (const transcript of transcripts) this.#checkConnection(transcript, model);
  }

  #checkConnection(transcript: Transcript, model: Model): void {
    const armed = new Armed(transcript, model);
    let heard: Event[] = [];
    for (const item of transcript.heard) {
      if (item.kind === "event") {
        heard.push(item);
        this.events += 1;
        continue;
      }
      const restored = this.#restored.get(item);
      if (restored !== undefined) heard = armed.without(heard, restored.events, item);
      for (const event of heard) armed.fire(event);
      heard = [];
      armed.pass(item);
      if (restored !== undefined) {
        for (const path of restored.data) armed.arm("data", path, item.zxid);
        for (const path of restored.child) armed.arm("child", path, item.zxid);
      }
      this.#armBy(item, armed);
    }
    // The connection ended before the answer that would tell the catching up of a setWatches from the rest.
    const asked = transcript.calls.filter((call) => call.type === OpCode.setWatches && call.reply === undefined);
    if (asked.length === 0) for (const event of heard) armed.fire(event);
  }

  #armBy({ call, err, zxid }: Reply, armed: Armed): void {
    if (call.type !== OpCode.exists && call.type !== OpCode.getData && call.type !== OpCode.getChildren2) return;
    const { path, watch } = must(readRequest.decode(call.body), "read");
    if (!watch) return;
    if (err === ErrorCode.ok) armed.arm(call.type === OpCode.getChildren2 ? "child" : "data", path, zxid);
    else if (err === ErrorCode.noNode && call.type === OpCode.exists) armed.arm("data", path, zxid);
  }
}

/** The watches of one connection, each with the change that will fire it. */
class Armed {
  readonly #transcript: Transcript;
  readonly #model: Model;
  readonly #watches = { data: new Map<string, Trigger | undefined>(), child: new Map<string, Trigger | undefined>() };
  /** The latest change that the connection has heard of. */
  #heardOf = 0 as Zxid;

  constructor(transcript: Transcript, model: Model) {
    this.#transcript = transcript;
    this.#model = model;
  }

  arm(kind: "data" | "child", path: string, zxid: Zxid): void {
    if (this.#watches[kind].has(path)) return;
    this.#watches[kind].set(path, firstTrigger(this.#model, kind, path, zxid));
  }

  fire(event: Event): void {
    const { type, path } = event;
    const kinds = type === EventType.nodeDeleted ? (["data", "child"] as const) : type === EventType.nodeChildrenChanged ? (["child"] as const) : (["data"] as const);
    let trigger: Trigger | undefined;
    for (const kind of kinds) {
      const due = this.#watches[kind].get(path);
      if (due?.type !== type || (trigger !== undefined && due.zxid !== trigger.zxid)) continue;
      trigger = due;
      this.#watches[kind].delete(path);
    }
    if (trigger === undefined) throw new Violation("watches", `${this.#who()} heard ${nameOf(event)}, which it did not wait for`);
    if (trigger.zxid > this.#heardOf) this.#heardOf = trigger.zxid;
  }

  /** An answer may show all up to its zxid, and not less than what events have told. */
  pass({ zxid, call }: Reply): void {
    if (zxid < this.#heardOf) throw new Violation("watches", `${describe(call)} was answered at zxid 0x${toHex(zxid)}, after an event of 0x${toHex(this.#heardOf)}`);
    for (const [kind, watches] of Object.entries(this.#watches)) {
      for (const [path, trigger] of watches) {
        if (trigger === undefined || trigger.zxid > zxid) continue;
        throw new Violation("watches", `${describe(call)} was answered at zxid 0x${toHex(zxid)} before the event ${trigger.type} of 0x${toHex(trigger.zxid)} for the ${kind} watch on ${path}`);
      }
    }
  }

  /** Takes those out that a setWatches had to tell. */
  without(heard: readonly Event[], told: readonly Event[], reply: Reply): Event[] {
    const rest = [...heard];
    for (const event of told) {
      const index = rest.findIndex(({ type, path }) => type === event.type && path === event.path);
      if (index < 0) throw new Violation("watches", `${describe(reply.call)} was answered at zxid 0x${toHex(reply.zxid)} without ${nameOf(event)}, which ${this.#transcript.client} had missed`);
      rest.splice(index, 1);
    }
    return rest;
  }

  #who(): string {
    const { client, server, openedMs } = this.#transcript;
    return `${client}, connected to ${server} since ${openedMs.toFixed(3)} ms,`;
  }
}

/**
 * Whoever waits still, with a session that lives, waits for something that has not happened. `model` is the present.
 * A znode that came and went while the client was away goes unnoticed, as it always has.
 */
export function checkRegistrations(registrations: readonly Registration[], model: Model): void {
  for (const { client, session, kind, path, zxid, fired } of registrations) {
    if (fired || model.sessions.get(session)?.closed !== undefined) continue;
    const trigger = firstTrigger(model, kind === "child" ? "child" : "data", path, zxid);
    if (trigger === undefined || (kind === "exist" && !model.has(path))) continue;
    throw new Violation("watches", `${client} has not heard of event ${trigger.type} of 0x${toHex(trigger.zxid)} on ${path}, which it waits for since 0x${toHex(zxid)}`);
  }
}

function firstTrigger(model: Model, kind: "data" | "child", path: string, after: Zxid): Trigger | undefined {
  const triggers = (kind === "data" ? model.dataTriggers : model.childTriggers).get(path) ?? [];
  let [low, high] = [0, triggers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (must(triggers[middle], "trigger").zxid > after) high = middle;
    else low = middle + 1;
  }
  return triggers[low];
}

function nameOf({ type, path }: Event): string {
  return `${Object.entries(EventType).find(([, code]) => code === type)?.[0] ?? type} of ${path}`;
}
