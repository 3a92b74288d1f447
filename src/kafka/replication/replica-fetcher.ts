import type { Decoded, Input } from "../../codec/schema.ts";
import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import { AssertionFailure } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import type { BrokerLink } from "../client/broker-link.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { offsetForLeaderEpoch } from "../protocol/messages/offset-for-leader-epoch.ts";
import { refused } from "../records/validate.ts";
import { FetcherCore, type Followed, type FetcherRules, type FetcherStep, type FollowerOutcome, type Truncation } from "./fetcher-core.ts";
import type { FollowedReplica, FollowerAppended, FollowerData } from "./ports.ts";

/** What inter.broker.protocol.version 2.7 uses. */
const versions = { fetch: 12, listOffsets: 5, offsetForLeaderEpoch: 3 } as const;

/** A way to the leader, as a fetcher uses it. */
export type LeaderLink = Pick<BrokerLink, "send" | "close">;

export interface ReplicaFetcherOptions {
  readonly host: Host;
  readonly leader: number;
  readonly rules: FetcherRules;
  /** The leader as it is known now; undefined: nowhere. */
  open(): LeaderLink | undefined;
}

/**
 * Replicates some partitions from one leader: carries out what `FetcherCore` says, one step after the other. The offset
 * that a fetch asks for acknowledges all before it: the next one is sent only when what the last one brought is written.
 * Source: AbstractFetcherThread.doWork, ReplicaFetcherBlockingSend.
 */
export class ReplicaFetcher {
  /** Resolves when `run` has ended. */
  readonly ended: Promise<void>;
  readonly #options: ReplicaFetcherOptions;
  readonly #log: Logger;
  readonly #core: FetcherCore;
  /** Local work under way, by partition. */
  readonly #busy = new Map<string, Promise<void>>();
  #link: LeaderLink | undefined;
  #silent = false;
  #wake: (() => void) | undefined;
  #closed = false;
  #end: () => void = () => undefined;

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options;
    this.#log = options.host.log.child("replica-fetcher");
    this.#core = new FetcherCore(options.rules);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get size(): number {
    return this.#core.size;
  }

  follow(name: string, replica: FollowedReplica, leaderEpoch: number): void {
    this.#core.follow(name, replica, leaderEpoch);
    this.#wake?.();
  }

  /** From the call on nothing begins for them; resolves when no truncation or append of them is under way. Never waits for the leader. */
  async unfollow(names: Iterable<string>): Promise<void> {
    const busy: Promise<void>[] = [];
    for (const name of names) {
      this.#core.unfollow(name);
      const work = this.#busy.get(name);
      if (work !== undefined) busy.push(work);
    }
    // Nothing has to be woken: while something is fetched, and might have to be forgotten, a fetch is under way.
    await Promise.all(busy);
  }

  /** What is under way with the leader is given up, local work is awaited by `ended`. */
  close(): void {
    this.#closed = true;
    this.#core.unfollowAll();
    this.#link?.close();
    this.#wake?.();
  }

  /** Ends when it is closed. */
  async run(): Promise<void> {
    try {
      while (!this.#closed) {
        const step = this.#core.next(this.#nowMs);
        this.#report();
        await this.#carryOut(step);
        this.#report();
      }
    } finally {
      this.#end();
    }
  }

  get #nowMs(): number {
    return this.#options.host.clock.monotonicMs();
  }

  async #carryOut(step: FetcherStep): Promise<void> {
    switch (step.kind) {
      case "idle":
        await this.#sleep(step.untilMs);
        break;
      case "truncate":
        await Promise.all(step.truncations.map((truncation) => this.#truncate(truncation)));
        break;
      case "restart":
        await this.#restart(step.followed, step.offset);
        break;
      case "epochs":
        await this.#exchange(offsetForLeaderEpoch, versions.offsetForLeaderEpoch, step.request, (response) => this.#core.epochsAnswered(step.asked, response, this.#nowMs));
        break;
      case "offsets":
        await this.#exchange(listOffsets, versions.listOffsets, step.request, (response) => this.#core.offsetsAnswered(step.asked, response, this.#nowMs));
        break;
      case "fetch":
        await this.#exchange(fetch, versions.fetch, step.request, (response) => this.#append(response));
        break;
    }
  }

  #sleep(untilMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = untilMs === Infinity ? undefined : this.#options.host.timers.after(Math.max(0, untilMs - this.#nowMs), () => this.#wake?.());
      this.#wake = () => {
        this.#wake = undefined;
        timer?.cancel();
        resolve();
      };
    });
  }

  // ---- the leader

  async #exchange<A extends Api>(api: A, version: number, request: Input<A["request"]>, answered: (response: Decoded<A["response"]>) => void | Promise<void>): Promise<void> {
    const response = await this.#send(api, version, request);
    if (response === undefined) this.#core.unreachable(this.#nowMs);
    else await answered(response);
  }

  /** Undefined: no answer. The next link is opened to where the leader is known to be then. */
  async #send<A extends Api>(api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]> | undefined> {
    this.#link ??= this.#options.open();
    if (this.#link === undefined) {
      this.#heard(false, { api: api.name, error: "its address is not known" });
      return undefined;
    }
    try {
      const response = await this.#link.send(api, version, request);
      this.#heard(true, {});
      return response;
    } catch (thrown) {
      if (!this.#closed) this.#heard(false, { api: api.name, error: toError(thrown) });
      this.#link.close();
      this.#link = undefined;
      return undefined;
    }
  }

  /** One line when it falls silent, one when it answers again. */
  #heard(answers: boolean, fields: Readonly<Record<string, unknown>>): void {
    if (answers !== this.#silent) return;
    this.#silent = !answers;
    if (answers) this.#log.info("the leader answers again", { leader: this.#options.leader });
    else this.#log.warn("the leader does not answer, trying again", { leader: this.#options.leader, ...fields });
  }

  // ---- local work

  #truncate(truncation: Truncation): Promise<void> {
    const { followed, offset } = truncation;
    return this.#work(followed, async () => {
      this.#core.truncated(truncation, await this.#outcome(followed, () => followed.replica.truncate(followed.leaderEpoch, offset)));
    });
  }

  #restart(followed: Followed, offset: number): Promise<void> {
    return this.#work(followed, async () => {
      this.#core.restarted(followed, await this.#outcome(followed, () => followed.replica.restartAt(followed.leaderEpoch, offset)));
    });
  }

  /** All appends begin in this turn; resolves when all are written. What they keep they hold themselves. */
  async #append(response: Decoded<typeof fetch.response>): Promise<void> {
    const unwritten: Promise<void>[] = [];
    for (const { followed, data } of this.#core.fetched(response, this.#nowMs)) {
      // An append before this one may have failed, and with it a directory of many logs.
      if (!this.#core.isCurrent(followed)) continue;
      const work = this.#appendOne(followed, data);
      if (work !== undefined) unwritten.push(this.#work(followed, () => work));
    }
    if (unwritten.length > 0) await Promise.all(unwritten);
    const records = anyRecordsOf(response);
    if (records !== undefined) this.#options.host.buffers.release(records);
  }

  /** Undefined: done already, as is the rule. */
  #appendOne(followed: Followed, data: FollowerData): Promise<void> | undefined {
    const { appended, written } = this.#tryAppend(followed, data);
    if (appended.kind === "restart") return this.#restartAndAppend(followed, data, appended.at);
    this.#tell(followed, appended);
    return written;
  }

  /** The leader's log starts within its first batch, and this log is empty: it begins where the batch does. */
  async #restartAndAppend(followed: Followed, data: FollowerData, at: number): Promise<void> {
    const outcome = await this.#outcome(followed, () => followed.replica.restartAt(followed.leaderEpoch, at));
    if (!this.#core.isCurrent(followed)) return;
    if (outcome === "failed") {
      this.#tell(followed, "failed");
      return;
    }
    const { appended, written } = this.#tryAppend(followed, data);
    this.#tell(followed, appended.kind === "restart" ? refused(ErrorCode.UNKNOWN_SERVER_ERROR, `the log began anew at ${at}, and again can't take what begins at ${appended.at}`) : appended);
    await written;
  }

  /** `written`: undefined where nothing is left to be written. A write that fails is told to the core. */
  #tryAppend(followed: Followed, data: FollowerData): { appended: FollowerAppended; written: Promise<void> | undefined } {
    let done = false;
    let resolve: (() => void) | undefined;
    let failure: Error | undefined;
    const appended = followed.replica.appendAsFollower(followed.leaderEpoch, data, (error) => {
      done = true;
      failure = error;
      resolve?.();
    });
    if (appended.kind !== "appended") return { appended, written: undefined };
    if (done && failure === undefined) return { appended, written: undefined };
    const written = async (): Promise<void> => {
      if (!done) await new Promise<void>((settle) => (resolve = settle));
      if (failure !== undefined) this.#failed(followed, failure);
    };
    return { appended, written: written() };
  }

  #failed(followed: Followed, error: Error): void {
    this.#log.error("a follower's log failed", { partition: followed.name, error });
    this.#tell(followed, "failed");
  }

  #tell(followed: Followed, outcome: FollowerOutcome): void {
    this.#core.appended(followed, outcome, this.#nowMs);
  }

  async #outcome(followed: Followed, task: () => Promise<void>): Promise<"done" | "failed"> {
    try {
      await task();
      return "done";
    } catch (thrown) {
      if (thrown instanceof AssertionFailure) throw thrown;
      this.#log.error("a follower's log failed", { partition: followed.name, error: toError(thrown) });
      return "failed";
    }
  }

  #work(followed: Followed, task: () => Promise<void>): Promise<void> {
    // One step after the other: a partition has one piece of work at a time.
    const work = task().finally(() => this.#busy.delete(followed.name));
    this.#busy.set(followed.name, work);
    return work;
  }

  #report(): void {
    for (const { level, message, fields } of this.#core.messages.splice(0)) this.#log[level](message, { leader: this.#options.leader, ...fields });
  }
}

/** A view of the response's frame; undefined where it holds no records. */
function anyRecordsOf({ responses }: Decoded<typeof fetch.response>): Buffer | undefined {
  for (const { partitions } of responses) {
    for (const { records } of partitions) if (records?.[0] !== undefined && records[0].length > 0) return records[0];
  }
  return undefined;
}
