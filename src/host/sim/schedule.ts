import { assert } from "../../lib/assert.ts";
import { Heap } from "../../lib/heap.ts";
import type { Prng } from "../../lib/prng.ts";
import type { Timer } from "../clock.ts";
import { RollingHash } from "./hash.ts";

/** What an event is, as the rolling hash and a trace see it. */
export const eventKinds = {
  world: 1,
  timer: 2,
  soon: 3,
  disk: 4,
  diskSync: 5,
  lookup: 6,
  syn: 7,
  connected: 8,
  accept: 9,
  refuse: 10,
  flush: 11,
  arrive: 12,
  deliver: 13,
  closed: 14,
  netTimeout: 15,
  netWrite: 16,
  life: 17,
  mark: 18,
} as const;

export type EventKind = (typeof eventKinds)[keyof typeof eventKinds];

/** Whom an event belongs to: the events of an owner that is not alive are dropped, those of a held one wait. */
export interface EventOwner {
  readonly alive: boolean;
  readonly held: boolean;
  hold(event: ScheduledEvent): void;
  /** Runs the action as a turn of this owner: what it throws is the owner's end, not the world's. */
  turn(action: () => void): void;
}

export class ScheduledEvent implements Timer {
  timeUs: number;
  priority: number;
  sequence: number;
  readonly kind: EventKind;
  readonly node: number;
  readonly owner: EventOwner | undefined;
  readonly size: number;
  /** In the heap; a held event is not. */
  queued = true;
  /** Undefined once it has run or was cancelled. */
  action: (() => void) | undefined;
  readonly #schedule: Schedule;

  constructor(schedule: Schedule, timeUs: number, priority: number, sequence: number, kind: EventKind, node: number, owner: EventOwner | undefined, size: number, action: () => void) {
    this.#schedule = schedule;
    this.timeUs = timeUs;
    this.priority = priority;
    this.sequence = sequence;
    this.kind = kind;
    this.node = node;
    this.owner = owner;
    this.size = size;
    this.action = action;
  }

  cancel(): void {
    if (this.action === undefined) return;
    this.action = undefined;
    if (this.queued) this.#schedule.noteCancelled();
  }
}

/** One step of a run: whole microseconds since the world began, the kind, the node's index, bytes or a count. */
export interface TraceEntry {
  readonly timeUs: number;
  readonly kind: EventKind;
  readonly node: number;
  readonly size: number;
}

/** The least number of cancelled events worth a sweep. */
const sweepLeast = 1024;

/** All that is still to happen, ordered by (time, drawn priority, sequence); and the hash of all that happened. */
export class Schedule {
  nowUs = 0;
  ran = 0;
  readonly hash = new RollingHash();
  readonly #heap = new Heap<ScheduledEvent>(before);
  readonly #priorities: Prng;
  readonly #onEvent: ((entry: TraceEntry) => void) | undefined;
  #sequence = 0;
  #cancelled = 0;

  constructor(options: { priorities: Prng; onEvent: ((entry: TraceEntry) => void) | undefined }) {
    this.#priorities = options.priorities;
    this.#onEvent = options.onEvent;
  }

  get pending(): number {
    return this.#heap.size - this.#cancelled;
  }

  at(timeUs: number, kind: EventKind, node: number, owner: EventOwner | undefined, action: () => void, size = 0): ScheduledEvent {
    assert(Number.isSafeInteger(timeUs), `an event at ${timeUs} µs`);
    const event = new ScheduledEvent(this, Math.max(timeUs, this.nowUs), this.#priorities.next(), this.#sequence++, kind, node, owner, size, action);
    this.#heap.push(event);
    return event;
  }

  /** Puts events that had come due while their owner was held back, to run now, ahead of others and in their order. */
  release(events: readonly ScheduledEvent[]): void {
    for (const event of events) {
      if (event.action === undefined) continue;
      event.timeUs = this.nowUs;
      event.priority = 0;
      event.sequence = this.#sequence++;
      event.queued = true;
      this.#heap.push(event);
    }
  }

  /** Runs the next event due at or before `limitUs`; false where there is none. */
  runNext(limitUs: number): boolean {
    for (;;) {
      const event = this.#heap.peek();
      if (event === undefined) return false;
      const { owner, action } = event;
      if (action === undefined || owner?.alive === false) {
        this.#heap.pop();
        if (action === undefined) this.#cancelled--;
        continue;
      }
      if (event.timeUs > limitUs) return false;
      this.#heap.pop();
      if (owner?.held === true) {
        event.queued = false;
        owner.hold(event);
        continue;
      }
      this.nowUs = event.timeUs;
      this.ran++;
      this.note(event.kind, event.node, event.size);
      event.action = undefined;
      if (owner === undefined) action();
      else owner.turn(action);
      return true;
    }
  }

  /** Something worth a place in the hash that is no event of its own, such as a synchronous write. */
  note(kind: EventKind, node: number, size: number): void {
    this.hash.word(this.nowUs);
    this.hash.word(Math.floor(this.nowUs / 0x1_0000_0000) ^ (kind << 24) ^ node);
    this.hash.word(size);
    this.#onEvent?.({ timeUs: this.nowUs, kind, node, size });
  }

  noteCancelled(): void {
    this.#cancelled++;
    if (this.#cancelled < sweepLeast || this.#cancelled * 2 < this.#heap.size) return;
    this.#heap.retain((event) => event.action !== undefined && event.owner?.alive !== false);
    this.#cancelled = 0;
  }
}

function before(a: ScheduledEvent, b: ScheduledEvent): boolean {
  if (a.timeUs !== b.timeUs) return a.timeUs < b.timeUs;
  if (a.priority !== b.priority) return a.priority < b.priority;
  return a.sequence < b.sequence;
}
