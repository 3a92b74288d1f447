import type { Decoded, Input } from "../../codec/schema.ts";
import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import { assertNever, must } from "../../lib/assert.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { alterIsrRequest, alterIsrResponse } from "../protocol/messages/alter-isr.ts";
import type { controlledShutdownRequest, controlledShutdownResponse } from "../protocol/messages/controlled-shutdown.ts";
import type { Step, ZkReply, ZkRequest } from "../znodes/requests.ts";
import { BrokerChannel } from "./channel.ts";
import type { ControllerContext } from "./context.ts";
import { handleEvent } from "./core.ts";
import type { Answer, ControllerEffect, ControllerEvent } from "./effects.ts";
import type { Elected, NamedPartition } from "./elect-leaders.ts";
import type { BrokerLinks, ZooKeeperPort } from "./ports.ts";
import { ControllerState, SessionLostError, type ControllerConfig } from "./state.ts";
import { eventOfWatch } from "./watches.ts";

export interface ControllerOptions {
  readonly host: Pick<Host, "clock" | "timers" | "log" | "fail">;
  readonly config: ControllerConfig;
  /** In a session in which the broker has registered. */
  readonly zookeeper: ZooKeeperPort;
  readonly links: BrokerLinks;
  /** A session has begun after others: the broker is about to register in it. Newest first. Awaited, must not reject. */
  beforeRegistration(sessions: readonly bigint[]): Promise<void>;
  /** The broker has registered again, in a new session: its epoch is another one. */
  onRegistered(brokerEpoch: number): void;
  /** The broker could not register in a new session; it must stop. */
  onRegistrationFailed(error: Error): void;
}

/** How long a stop waits for ZooKeeper to take /controller back. */
const handOverMsMax = 1000;

/** Runs the controller's core: one event after the other, against ZooKeeper and the brokers. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #state: ControllerState;
  readonly #tasks: TaskGroup;
  readonly #channels = new Map<number, BrokerChannel>();
  readonly #timers = new Set<Timer>();
  /** Who waits for the answer to an event. */
  readonly #tickets = new Map<number, (answer: Answer | undefined) => void>();
  #lastTicket = 0;
  #queue: ControllerEvent[] = [];
  #busy = false;
  /** Counts the sessions: an event that began in another one is given up. */
  #session = 0;
  #abandon: (() => void) | undefined;
  #unlisten: (() => void) | undefined;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#state = new ControllerState(options.config, options.zookeeper.sessionId);
    this.#tasks = new TaskGroup((error) => options.host.fail(error));
  }

  /** This broker is the controller. */
  get active(): boolean {
    return this.#state.active;
  }

  /** -1: not known. */
  get controllerId(): number {
    return this.#state.controllerId;
  }

  /** 0 where this broker is not the controller. */
  get epoch(): number {
    return this.#state.context.epoch;
  }

  /** To look at; empty where this broker is not the controller. */
  get context(): ControllerContext {
    return this.#state.context;
  }

  /** Every topic that the controller knows of, those that are being deleted among them; none where this broker is not the controller. */
  get topics(): ReadonlySet<string> {
    return new Set(this.#state.context.topics.keys());
  }

  /** Topics that are being deleted; undefined where this broker is not the controller. */
  get deleting(): ReadonlySet<string> | undefined {
    return this.#state.active ? this.#state.context.deletionQueued : undefined;
  }

  /** Resolves when every broker has heard what it is to be told by now, or after `msMax`: one may not answer. At once where this broker is not the controller. */
  async whenTold(msMax: number): Promise<void> {
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => (timer = this.#options.host.timers.after(msMax, resolve)));
    await Promise.race([late, Promise.all(Array.from(this.#channels.values(), (channel) => channel.told()))]);
    timer?.cancel();
  }

  start(): void {
    this.#unlisten = this.#options.zookeeper.listen({
      watch: (fired) => {
        const event = eventOfWatch(fired);
        if (event !== undefined) this.enqueue(event);
      },
      sessionExpired: () => this.#endSession({ kind: "expire" }),
      sessionStarted: (sessionId) => this.#tasks.run(() => this.#beginSession(sessionId)),
    });
    const { sessionId } = this.#options.zookeeper;
    // Without a session the next one's beginning is still to be heard of.
    if (sessionId !== 0n) this.enqueue({ kind: "start", sessionId });
  }

  async #beginSession(sessionId: bigint): Promise<void> {
    const session = this.#session;
    await this.#options.beforeRegistration([sessionId, ...this.#state.sessions]);
    // It may have ended meanwhile, as may this controller.
    if (session === this.#session) this.enqueue({ kind: "newSession", sessionId });
  }

  enqueue(event: ControllerEvent): void {
    this.#queue.push(event);
    if (this.#busy) return;
    this.#busy = true;
    this.#tasks.run(() => this.#drain());
  }

  /**
   * A leader asks for other ISRs. NOT_CONTROLLER where this broker is not the controller, or ceases to be so before
   * it is done: what has been written then is not known.
   */
  async alterIsr(request: Decoded<typeof alterIsrRequest>): Promise<Input<typeof alterIsrResponse>> {
    const answer = await this.#put((ticket) => ({ kind: "alterIsr", request, ticket }));
    return answer?.api === "alterIsr" ? answer.response : { errorCode: ErrorCode.NOT_CONTROLLER, topics: [] };
  }

  /** A broker is about to stop. STALE_CONTROLLER_EPOCH where `alterIsr` says NOT_CONTROLLER. */
  async controlledShutdown({ brokerId, brokerEpoch }: Decoded<typeof controlledShutdownRequest>): Promise<Input<typeof controlledShutdownResponse>> {
    const answer = await this.#put((ticket) => ({ kind: "controlledShutdown", brokerId, brokerEpoch, ticket }));
    return answer?.api === "controlledShutdown" ? answer.response : { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH, remainingPartitions: [] };
  }

  /** Elects leaders for these. Undefined where `alterIsr` says NOT_CONTROLLER. */
  async electLeaders(partitions: readonly NamedPartition[], strategy: "preferred" | "unclean"): Promise<readonly Elected[] | undefined> {
    const answer = await this.#put((ticket) => ({ kind: "electLeaders", partitions, strategy, ticket }));
    return answer?.api === "electLeaders" ? answer.elected : undefined;
  }

  /**
   * Gives /controller back where ZooKeeper answers within a second, so that another broker is elected while this one
   * flushes its logs; else it goes with the session, which is the caller's to end.
   */
  async close(): Promise<void> {
    this.#unlisten?.();
    this.#endSession({ kind: "stop" });
    const silence = this.#options.host.timers.after(handOverMsMax, () => this.#giveUp());
    await this.#tasks.settled();
    silence.cancel();
  }

  /** Undefined: refused. */
  #put(eventOf: (ticket: number) => ControllerEvent): Promise<Answer | undefined> {
    if (!this.#state.active) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const ticket = ++this.#lastTicket;
      this.#tickets.set(ticket, resolve);
      this.enqueue(eventOf(ticket));
    });
  }

  #endSession(event: ControllerEvent): void {
    this.#dropQueue();
    this.#giveUp();
    this.enqueue(event);
  }

  /** The event under way ends as with a lost session. */
  #giveUp(): void {
    this.#session++;
    this.#abandon?.();
  }

  #dropQueue(): void {
    for (const event of this.#queue.splice(0)) this.#refuse(event);
  }

  /** Unless it has been answered. */
  #refuse(event: ControllerEvent): void {
    if (!("ticket" in event)) return;
    this.#tickets.get(event.ticket)?.(undefined);
    this.#tickets.delete(event.ticket);
  }

  async #drain(): Promise<void> {
    try {
      for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
        try {
          await this.#run(handleEvent(this.#state, event, this.#options.host.clock.wallMs()));
        } finally {
          this.#refuse(event);
        }
      }
    } finally {
      // Something is left where the core has failed.
      this.#dropQueue();
      this.#busy = false;
    }
  }

  async #run(step: Step<void>): Promise<void> {
    const session = this.#session;
    let result = step.next();
    this.#applyEffects();
    while (result.done !== true) {
      const replies = session === this.#session ? await this.#ask(result.value) : new SessionLostError();
      if (replies instanceof SessionLostError) result = step.throw(replies);
      else result = session === this.#session ? step.next(replies) : step.throw(new SessionLostError());
      this.#applyEffects();
    }
  }

  #ask(batch: readonly ZkRequest[]): Promise<readonly ZkReply[] | SessionLostError> {
    return new Promise((resolve) => {
      this.#abandon = () => resolve(new SessionLostError());
      this.#options.zookeeper.request(batch).then(resolve, (thrown: unknown) => resolve(new SessionLostError(thrown)));
    });
  }

  #applyEffects(): void {
    const { effects } = this.#state;
    for (const effect of effects) this.#apply(effect);
    effects.length = 0;
  }

  #apply(effect: ControllerEffect): void {
    const { host, links } = this.#options;
    switch (effect.kind) {
      case "connect": {
        const brokerId = effect.broker.id;
        this.#disconnect(brokerId);
        const log = host.log.child(`controller to broker ${brokerId}`);
        this.#channels.set(brokerId, new BrokerChannel(host.timers, log, links.open(effect.broker), (exchange) => this.enqueue({ kind: "response", brokerId, exchange })));
        return;
      }
      case "disconnect":
        return this.#disconnect(effect.brokerId);
      case "send": {
        const channel = this.#channels.get(effect.brokerId);
        if (channel?.push(effect.request) === true) this.#tasks.run(() => channel.run());
        return;
      }
      case "resigned":
        for (const brokerId of this.#channels.keys()) this.#disconnect(brokerId);
        for (const timer of this.#timers) timer.cancel();
        this.#timers.clear();
        this.#queue = this.#queue.filter((event) => event.kind !== "rebalance");
        return;
      case "startTimer": {
        const timer = host.timers.after(effect.delayMs, () => {
          this.#timers.delete(timer);
          this.enqueue(effect.event);
        });
        this.#timers.add(timer);
        return;
      }
      case "answer": {
        const answer = must(this.#tickets.get(effect.ticket), "who has asked");
        this.#tickets.delete(effect.ticket);
        return answer(effect.answer);
      }
      case "enqueue":
        return this.enqueue(effect.event);
      case "registered":
        return this.#options.onRegistered(effect.brokerEpoch);
      case "registrationFailed":
        return this.#options.onRegistrationFailed(effect.error);
      case "log":
        return host.log[effect.level](effect.message, effect.fields);
      default:
        return assertNever(effect);
    }
  }

  /** What the broker has answered so far counts no more. */
  #disconnect(brokerId: number): void {
    const channel = this.#channels.get(brokerId);
    if (channel === undefined) return;
    channel.close();
    this.#channels.delete(brokerId);
    this.#queue = this.#queue.filter((event) => event.kind !== "response" || event.brokerId !== brokerId);
  }
}
