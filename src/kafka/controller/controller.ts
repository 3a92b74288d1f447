import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import { assertNever } from "../../lib/assert.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { Step, ZkReply, ZkRequest } from "../znodes/requests.ts";
import { BrokerChannel } from "./channel.ts";
import { handleEvent } from "./core.ts";
import type { ControllerEffect, ControllerEvent } from "./effects.ts";
import type { BrokerLinks, ZooKeeperPort } from "./ports.ts";
import { ControllerState, SessionLostError, type ControllerConfig } from "./state.ts";
import { eventOfWatch } from "./watches.ts";

export interface ControllerOptions {
  readonly host: Pick<Host, "clock" | "timers" | "log" | "fail">;
  readonly config: ControllerConfig;
  /** In a session in which the broker has registered. */
  readonly zookeeper: ZooKeeperPort;
  readonly links: BrokerLinks;
  /** The broker has registered again, in a new session: its epoch is another one. */
  onRegistered(brokerEpoch: number): void;
  /** The broker could not register in a new session; it must stop. */
  onRegistrationFailed(error: Error): void;
}

/** Runs the controller's core: one event after the other, against ZooKeeper and the brokers. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #state: ControllerState;
  readonly #tasks: TaskGroup;
  readonly #channels = new Map<number, BrokerChannel>();
  readonly #timers = new Set<Timer>();
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

  /** Every topic that the controller knows of, those that are being deleted among them; none where this broker is not the controller. */
  get topics(): ReadonlySet<string> {
    return new Set(this.#state.context.topics.keys());
  }

  start(): void {
    this.#unlisten = this.#options.zookeeper.listen({
      watch: (fired) => {
        const event = eventOfWatch(fired);
        if (event !== undefined) this.enqueue(event);
      },
      sessionExpired: () => this.#endSession({ kind: "expire" }),
      sessionStarted: (sessionId) => this.enqueue({ kind: "newSession", sessionId }),
    });
    this.enqueue({ kind: "controllerChange" });
  }

  enqueue(event: ControllerEvent): void {
    this.#queue.push(event);
    if (this.#busy) return;
    this.#busy = true;
    this.#tasks.run(() => this.#drain());
  }

  /** /controller goes with the session, which is the caller's to end. */
  async close(): Promise<void> {
    this.#unlisten?.();
    this.#endSession({ kind: "stop" });
    await this.#tasks.settled();
  }

  #endSession(event: ControllerEvent): void {
    this.#session++;
    this.#queue = [];
    this.#abandon?.();
    this.enqueue(event);
  }

  async #drain(): Promise<void> {
    try {
      for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
        await this.#run(handleEvent(this.#state, event, this.#options.host.clock.wallMs()));
      }
    } finally {
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
