import { expect } from "vitest";
import type { BrokersView } from "../brokers-view.ts";
import { eventually } from "../processes.ts";
import type { ClientUnderTest, Codec, Consumer, MemberOptions, Message } from "./client.ts";
import { Observer } from "./observer.ts";

/** A session, and the time that the members that are left need to hear of its end. */
const SESSION_MS = 6000;
export const TAKEOVER_MS_MAX = SESSION_MS + 5000;

/** Who leaves says so: the others must not wait for its session. */
export const LEAVE_MS_MAX = SESSION_MS - 1000;

/** One topic, all that was written to it, and one group that reads it. */
export class GroupUnderTest {
  readonly topic: string;
  readonly group: string;
  readonly partitions: number;
  readonly observer: Observer;
  readonly sent: Message[] = [];
  /** Those that run. */
  readonly members: Consumer[] = [];
  readonly #everyone: Consumer[] = [];
  readonly #repeatable = new Set<string>();

  constructor(cluster: BrokersView, { name, partitions }: { readonly name: string; readonly partitions: number }) {
    this.topic = `${name}-topic`;
    this.group = `${name}-group`;
    this.partitions = partitions;
    this.observer = new Observer(cluster);
  }

  join(client: ClientUnderTest, options: MemberOptions = {}): Consumer {
    const member = client.consumer(this.topic, this.group, options);
    this.members.push(member);
    this.#everyone.push(member);
    return member;
  }

  /** So many records with keys of their own, spread over the partitions. `repeatable`: in times when neither produce nor commit may get an answer, so that they may be seen again. */
  async produce(client: ClientUnderTest, count: number, { codec = "none", repeatable = false }: { readonly codec?: Codec; readonly repeatable?: boolean } = {}): Promise<void> {
    const from = this.sent.length;
    const messages = Array.from({ length: count }, (_, index) => ({ key: `key-${from + index}`, value: `${codec}-${from + index}-${"x".repeat(index)}` }));
    this.sent.push(...messages);
    if (repeatable) for (const { value } of messages) this.#repeatable.add(value);
    await client.produce(this.topic, messages, codec);
  }

  /** Until every partition has one owner among the members, and every member one or more. */
  async shared(withinMs?: number): Promise<void> {
    const shared = (): boolean => {
      const owned = this.members.flatMap(({ assigned }) => [...assigned]);
      return owned.length === this.partitions && new Set(owned).size === owned.length && this.members.every(({ assigned }) => assigned.size > 0);
    };
    await this.#until(`${this.members.length} members share ${this.partitions} partitions`, shared, withinMs);
  }

  /** Until everything that was sent has been seen; nothing may have been seen twice but what may be repeated. */
  async seenOnce(): Promise<void> {
    await this.#until("all records are seen", () => new Set(this.#seen()).size === this.sent.length);
    const once = (values: readonly string[]): string[] => values.filter((value) => !this.#repeatable.has(value)).toSorted();
    expect(once(this.#seen())).toEqual(once(this.sent.map(({ value }) => value)));
  }

  /** Until everything is committed. */
  async committed(): Promise<ReadonlyMap<number, number>> {
    const ends = await this.observer.ends(this.topic, this.partitions);
    // More where a producer that lost its leader has sent again.
    expect([...ends.values()].reduce((sum, end) => sum + end, 0)).toBeGreaterThanOrEqual(this.sent.length);
    let last: ReadonlyMap<number, number> = new Map();
    const all = async (): Promise<boolean> => {
      last = await this.observer.committed(this.group, this.topic, this.partitions);
      return [...ends].every(([partition, end]) => end === 0 || last.get(partition) === end);
    };
    await this.#until("all is committed", all).catch((error: unknown) => {
      throw new Error(`${String(error)}\ncommitted: ${JSON.stringify([...last])}, ends: ${JSON.stringify([...ends])}`);
    });
    return last;
  }

  /** kill -9 */
  async kill(member: Consumer): Promise<void> {
    this.#forget(member);
    await member.kill();
  }

  /** It leaves. */
  async stop(member: Consumer): Promise<void> {
    this.#forget(member);
    await member.stop();
  }

  /** Ends all processes. */
  async close(): Promise<void> {
    await Promise.all(this.#everyone.map((member) => member.kill()));
  }

  #forget(member: Consumer): void {
    this.members.splice(this.members.indexOf(member), 1);
  }

  #seen(): string[] {
    return this.#everyone.flatMap(({ records }) => records.map(({ value }) => value));
  }

  async #until(what: string, holds: () => Promise<boolean> | boolean, withinMs?: number): Promise<void> {
    const alive = (): Promise<boolean> | boolean => {
      const ended = this.members.find(({ process }) => !process.running);
      if (ended !== undefined) throw new Error(`a member has ended:\n${ended.process.output.slice(-3000)}`);
      return holds();
    };
    await eventually(what, alive, withinMs).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.#told()}`, { cause: error });
    });
  }

  #told(): string {
    const seen = this.#seen();
    const lost = this.sent.map(({ value }) => value).filter((value) => !seen.includes(value));
    const members = this.#everyone.map((member) => {
      const state = this.members.includes(member) ? "runs" : "ended";
      const output = member.process.output.split("\n").filter((line) => !line.includes("record"));
      return `--- ${state}, has ${[...member.assigned].join()}, saw ${member.records.length}, errors: ${member.errors.slice(-3).join("; ")}\n${output.slice(-15).join("\n").slice(-2000)}`;
    });
    return `sent ${this.sent.length}, seen ${seen.length}, ${new Set(seen).size} of them different, missing ${lost.slice(0, 5).map((value) => value.slice(0, 20)).join()}\n${members.join("\n")}`;
  }
}
