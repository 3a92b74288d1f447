import { toError } from "../../lib/error.ts";
import type { EventKind, EventOwner, Schedule, ScheduledEvent } from "./schedule.ts";

/** Whose turn it is: what is thrown by nobody's callback, such as an unhandled rejection, is blamed on this life. */
export interface CurrentTurn {
  life: Life | undefined;
}

/** One process of a node, from its start to its end. Nothing of it runs, fires or settles afterwards. */
export class Life implements EventOwner {
  readonly node: number;
  readonly nodeName: string;
  /** The first life of a node is 1. */
  readonly number: number;
  readonly schedule: Schedule;
  alive = true;
  held = false;
  readonly #current: CurrentTurn;
  readonly #onFail: (life: Life, reason: Error) => void;
  #waiting: ScheduledEvent[] = [];

  constructor(options: { node: number; nodeName: string; number: number; schedule: Schedule; current: CurrentTurn; onFail: (life: Life, reason: Error) => void }) {
    this.node = options.node;
    this.nodeName = options.nodeName;
    this.number = options.number;
    this.schedule = options.schedule;
    this.#current = options.current;
    this.#onFail = options.onFail;
  }

  hold(event: ScheduledEvent): void {
    this.#waiting.push(event);
  }

  resume(): void {
    this.held = false;
    this.schedule.release(this.#waiting);
    this.#waiting = [];
  }

  turn(action: () => void): void {
    if (!this.alive) return;
    this.#current.life = this;
    try {
      action();
    } catch (thrown) {
      this.fail(toError(thrown));
    }
  }

  fail(reason: Error): void {
    if (this.alive) this.#onFail(this, reason);
  }

  /** An event of this life, `delayUs` from now. */
  after(delayUs: number, kind: EventKind, action: () => void, size = 0): ScheduledEvent {
    return this.schedule.at(this.schedule.nowUs + delayUs, kind, this.node, this, action, size);
  }

  /** Settles with what `effect` returns or throws `delayUs` from now, or never where the life ends before. */
  later<T>(delayUs: number, kind: EventKind, effect: () => T, size = 0): Promise<T> {
    if (!this.alive) return never();
    return new Promise<T>((resolve, reject) => {
      this.after(
        delayUs,
        kind,
        () => {
          try {
            resolve(effect());
          } catch (thrown) {
            reject(toError(thrown));
          }
        },
        size,
      );
    });
  }
}

/** What a call gets that comes from a life that is over. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
