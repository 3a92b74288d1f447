import { assert, assertNever, must } from "../../../lib/assert.ts";
import type { Prng } from "../../../lib/prng.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { toBrokerId, toLeaderEpoch } from "../../protocol/ids.ts";
import type { BrokerRegistration } from "../../znodes/broker.ts";
import { encodeIsrChange } from "../../znodes/notifications.ts";
import { createPersistentPaths, createWithParents, queueTopicDeletion, registerBroker } from "../../znodes/operations.ts";
import { paths } from "../../znodes/paths.ts";
import { create, getData, setData, type Step, type ZkReply, type ZkRequest } from "../../znodes/requests.ts";
import { assign, decodePartitionState, decodeTopic, encodePartitionState, encodeTopic, type LeaderAndIsr } from "../../znodes/topic.ts";
import { handleEvent } from "../core.ts";
import type { NamedPartition } from "../elect-leaders.ts";
import type { Answer, ControlExchange, ControllerEvent, ControlRequest } from "../effects.ts";
import { SessionLostError, ControllerState, type ControllerConfig } from "../state.ts";
import { eventOfWatch } from "../watches.ts";
import { ZooKeeperModel, type ModelSession } from "./zookeeper-model.ts";

interface Channel {
  readonly queue: ControlRequest[];
}

interface Hosted {
  leaderEpoch: number;
  leader: number;
}

/** What a leader knows of a partition's state, and what it asks the controller for. */
export interface Leading {
  readonly leaderEpoch: number;
  isr: readonly number[];
  zkVersion: number;
  /** Until it is answered; for good where the answer is final. */
  proposal: readonly number[] | undefined;
}

/** A broker as the controller sees it: it answers requests by the rules of Kafka's brokers, and may be the controller itself. */
export class ModelBroker {
  readonly id: number;
  session: ModelSession;
  state: ControllerState;
  epoch = -1;
  readonly events: ControllerEvent[] = [];
  step: Step<void> | undefined;
  /** What the step is about. */
  event: ControllerEvent | undefined;
  /** What the step waits for. */
  waiting: readonly ZkRequest[] = [];
  readonly channels = new Map<number, Channel>();
  /** Every request that has reached this broker. */
  readonly received: ControlRequest[] = [];
  readonly logged: string[] = [];
  readonly hosted = new Map<string, Hosted>();
  readonly leading = new Map<string, Leading>();
  readonly metadata = new Map<string, { leader: number; leaderEpoch: number; offlineReplicas: readonly number[] }>();
  controllerEpoch = 0;
  /** Partitions whose log directory has failed. */
  readonly brokenDirs = new Set<string>();
  timers = 0;
  /** What this broker, as the controller, has answered, by ticket. */
  readonly answers = new Map<number, Answer | "refused">();
  /** It has asked for a controlled shutdown. */
  stopping = false;

  constructor(id: number, session: ModelSession, config: ControllerConfig) {
    this.id = id;
    this.session = session;
    this.state = new ControllerState(config, session.id);
  }
}

/** Several brokers with their controllers on one ZooKeeper model; everything happens when a test says so. */
export class ClusterModel {
  readonly zk = new ZooKeeperModel();
  readonly brokers = new Map<number, ModelBroker>();
  /** Sees every answer as it is given. */
  onAnswer: (ticket: number, answer: Answer | "refused") => void = () => {};
  readonly #config: Partial<ControllerConfig>;
  #lastTicket = 0;
  readonly #proposals = new Map<number, { readonly leading: Leading; readonly topic: string; readonly partition: number }>();
  /** Which session was the controller, by epoch. */
  readonly #controllers = new Map<number, bigint>();

  constructor(config: Partial<ControllerConfig> = {}) {
    this.#config = config;
    this.run(createPersistentPaths());
  }

  /** Runs a step to its end, as from a client of its own. */
  run<T>(step: Step<T>, session?: ModelSession): T {
    let result = step.next();
    while (result.done !== true) result = step.next(result.value.map((request) => this.zk.apply(request, session)));
    return result.value;
  }

  broker(id: number): ModelBroker {
    return must(this.brokers.get(id), `broker ${id}`);
  }

  get controller(): ModelBroker {
    return must([...this.brokers.values()].find(({ state }) => state.active), "controller");
  }

  start(id: number, rack: string | null = null): ModelBroker {
    const registration = registrationOf(id, rack);
    const config: ControllerConfig = {
      brokerId: id,
      interBrokerListener: "PLAINTEXT",
      deleteTopicEnable: true,
      uncleanLeaderElectionEnable: false,
      autoLeaderRebalanceEnable: true,
      leaderImbalancePerBrokerPercentage: 10,
      leaderImbalanceCheckIntervalMs: 300_000,
      registration,
      ...this.#config,
    };
    const broker: ModelBroker = new ModelBroker(id, this.zk.connect((event) => watched(broker, event)), config);
    broker.epoch = this.run(registerBroker(registration, 7, { id: broker.session.id, earlier: [] }), broker.session);
    broker.events.push({ kind: "start", sessionId: broker.session.id });
    this.brokers.set(id, broker);
    return broker;
  }

  /** The process ends; its session with it. */
  stop(id: number): void {
    const broker = this.broker(id);
    this.brokers.delete(id);
    this.zk.expire(broker.session);
  }

  /** The session ends while the process lives on: it begins another one. */
  expireSession(id: number): void {
    const broker = this.broker(id);
    this.zk.expire(broker.session);
    for (const event of broker.events.splice(0)) this.#refuse(broker, event);
    broker.events.push({ kind: "expire" });
    broker.session = this.zk.connect((event) => watched(broker, event));
    broker.events.push({ kind: "newSession", sessionId: broker.session.id });
    if (broker.step === undefined) return;
    this.#resume(broker, broker.step.throw(new SessionLostError()));
  }

  createTopic(topic: string, ...replicas: number[][]): void {
    const partitions = new Map(replicas.map((assigned, index) => [index, assign(assigned)]));
    this.run(createWithParents(paths.topic(topic), encodeTopic({ partitions, rest: {} })));
  }

  growTopic(topic: string, ...replicas: number[][]): void {
    const { partitions, rest } = decodeTopic(topic, this.zk.data(paths.topic(topic)) ?? null);
    const grown = new Map([...partitions, ...replicas.map((assigned, index) => [partitions.size + index, assign(assigned)] as const)]);
    this.zk.apply(setData(paths.topic(topic), encodeTopic({ partitions: grown, rest })));
  }

  deleteTopic(topic: string): void {
    this.run(queueTopicDeletion(topic));
  }

  partitionState(topic: string, partition: number): LeaderAndIsr | undefined {
    const path = paths.partitionState(topic, partition);
    const reply = this.zk.apply(getData(path));
    return reply.data === null ? undefined : decodePartitionState(path, reply.data, must(reply.stat, "stat").version);
  }

  /** What a leader does when followers have caught up: writes the ISR and announces it. */
  expandIsr(topic: string, partition: number, isr: readonly number[]): void {
    const state = must(this.partitionState(topic, partition), "state");
    this.zk.apply(setData(paths.partitionState(topic, partition), encodePartitionState({ ...state, isr }), state.zkVersion));
    this.zk.apply(create(paths.newIsrChange, encodeIsrChange([{ topic, partition }]), "persistentSequential"));
  }

  /** A broker asks the controller for ISRs, in the epoch and with the versions that it gives. */
  alterIsr(brokerId: number, asked: readonly AskedIsr[], brokerEpoch = this.broker(brokerId).epoch): number {
    const topics = [...new Set(asked.map(({ topic }) => topic))].map((name) => ({ name, partitions: asked.filter(({ topic }) => topic === name).map(toAsked) }));
    return this.#ask((ticket) => ({ kind: "alterIsr", request: { brokerId: toBrokerId(brokerId), brokerEpoch, topics }, ticket }));
  }

  /** A leader asks for an ISR as it knows the partition; where it has asked before and waits, for the same again. */
  propose(brokerId: number, topic: string, partition: number, isr: readonly number[]): number | undefined {
    const leading = this.broker(brokerId).leading.get(`${topic}-${partition}`);
    if (leading === undefined) return undefined;
    leading.proposal ??= isr;
    const ticket = this.alterIsr(brokerId, [{ topic, partition, leaderEpoch: leading.leaderEpoch, isr: leading.proposal, zkVersion: leading.zkVersion }]);
    this.#proposals.set(ticket, { leading, topic, partition });
    return ticket;
  }

  controlledShutdown(brokerId: number, brokerEpoch = this.broker(brokerId).epoch): number {
    return this.#ask((ticket) => ({ kind: "controlledShutdown", brokerId, brokerEpoch, ticket }));
  }

  electLeaders(partitions: readonly NamedPartition[], strategy: "preferred" | "unclean"): number {
    return this.#ask((ticket) => ({ kind: "electLeaders", partitions, strategy, ticket }));
  }

  #ask(eventOf: (ticket: number) => ControllerEvent): number {
    const ticket = ++this.#lastTicket;
    this.controller.events.push(eventOf(ticket));
    return ticket;
  }

  /** Lets everything happen that can, in an order drawn from `prng` or plainly. */
  settle(prng?: Prng): void {
    for (let turns = 0; ; turns++) {
      const possible = this.possible();
      if (possible.length === 0) return;
      if (turns > 20_000) throw new Error("the cluster does not come to rest");
      must(prng === undefined ? possible[0] : prng.pick(possible), "action")();
    }
  }

  /** What can happen next: a controller takes up an event or gets its replies, a request arrives and is answered. */
  possible(): (() => void)[] {
    const actions: (() => void)[] = [];
    for (const broker of this.brokers.values()) {
      if (broker.step !== undefined || broker.events.length > 0) actions.push(() => this.advance(broker));
      for (const [target, channel] of broker.channels) {
        if (channel.queue.length > 0 && this.brokers.has(target)) actions.push(() => this.deliver(broker, target));
      }
    }
    return actions;
  }

  /** One batch of requests to ZooKeeper, or the next event. */
  advance(broker: ModelBroker): void {
    if (broker.step === undefined) {
      broker.event = must(broker.events.shift(), "event");
      broker.step = handleEvent(broker.state, broker.event, this.zk.nowMs);
      this.#resume(broker, broker.step.next());
      return;
    }
    const step = broker.step;
    this.#resume(broker, broker.session.alive ? step.next(this.replies(broker)) : step.throw(new SessionLostError()));
  }

  replies(broker: ModelBroker): ZkReply[] {
    return broker.session.request(broker.waiting);
  }

  deliver(controller: ModelBroker, target: number): void {
    const channel = must(controller.channels.get(target), "channel");
    const exchange = exchangeOf(this.broker(target), must(channel.queue.shift(), "request"));
    controller.events.push({ kind: "response", brokerId: target, exchange });
  }

  #resume(broker: ModelBroker, result: IteratorResult<readonly ZkRequest[], void>): void {
    if (result.done === true) broker.step = undefined;
    else broker.waiting = result.value;
    for (const effect of broker.state.effects.splice(0)) this.#apply(broker, effect);
    if (result.done === true && broker.event !== undefined) this.#refuse(broker, broker.event);
    const { active, context, sessionId } = broker.state;
    if (!active) return;
    const controller = this.#controllers.get(context.epoch) ?? sessionId;
    assert(controller === sessionId, `one controller in epoch ${context.epoch}`);
    this.#controllers.set(context.epoch, controller);
  }

  #refuse(broker: ModelBroker, event: ControllerEvent): void {
    if ("ticket" in event && !broker.answers.has(event.ticket)) this.#answer(broker, event.ticket, "refused");
  }

  #answer(broker: ModelBroker, ticket: number, answer: Answer | "refused"): void {
    assert(!broker.answers.has(ticket), `one answer to ticket ${ticket}`);
    broker.answers.set(ticket, answer);
    this.onAnswer(ticket, answer);
    const asked = this.#proposals.get(ticket);
    if (asked !== undefined && answer !== "refused" && answer.api === "alterIsr") learn(asked.leading, answer, asked);
  }

  #apply(broker: ModelBroker, effect: ControllerState["effects"][number]): void {
    switch (effect.kind) {
      case "connect":
        broker.channels.set(effect.broker.id, { queue: [] });
        return;
      case "disconnect":
        broker.channels.delete(effect.brokerId);
        forgetResponses(broker, (id) => id === effect.brokerId);
        return;
      case "send":
        broker.channels.get(effect.brokerId)?.queue.push(effect.request);
        return;
      case "resigned":
        broker.channels.clear();
        broker.timers = 0;
        forgetResponses(broker, () => true);
        return;
      case "registered":
        broker.epoch = effect.brokerEpoch;
        return;
      case "registrationFailed":
        throw effect.error;
      case "answer":
        return this.#answer(broker, effect.ticket, effect.answer);
      case "enqueue":
        broker.events.push(effect.event);
        return;
      case "startTimer":
        broker.timers++;
        return;
      case "log":
        broker.logged.push(`${effect.level} ${effect.message}${effect.fields["error"] instanceof Error ? `: ${effect.fields["error"].message}` : ""}`);
        return;
      default:
        assertNever(effect);
    }
  }
}

export function registrationOf(id: number, rack: string | null = null): BrokerRegistration {
  return { id, endpoints: [{ listenerName: "PLAINTEXT", host: `host${id}`, port: 9092, securityProtocol: "PLAINTEXT" }], rack, jmxPort: -1, features: new Map() };
}

/** What a leader asks for. */
export interface AskedIsr {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly isr: readonly number[];
  readonly zkVersion: number;
}

function toAsked({ partition, leaderEpoch, isr, zkVersion }: AskedIsr): (ControllerEvent & { kind: "alterIsr" })["request"]["topics"][number]["partitions"][number] {
  return { partitionIndex: partition, leaderEpoch: toLeaderEpoch(leaderEpoch), newIsr: isr.map(toBrokerId), currentIsrVersion: zkVersion };
}

/** What a leader of 2.7 does with an answer; what is final leaves the proposal where it is. Source: Partition.scala, handleAlterIsrResponse. */
function learn(leading: Leading, { response }: Answer & { api: "alterIsr" }, { topic, partition }: { readonly topic: string; readonly partition: number }): void {
  const answered = response.topics.find(({ name }) => name === topic)?.partitions.find(({ partitionIndex }) => partitionIndex === partition);
  if (answered === undefined || answered.errorCode !== ErrorCode.NONE || answered.leaderEpoch !== leading.leaderEpoch) return;
  const { isr = [], currentIsrVersion = 0 } = answered;
  if (currentIsrVersion <= leading.zkVersion) return;
  leading.isr = isr;
  leading.zkVersion = currentIsrVersion;
  leading.proposal = undefined;
}

function watched(broker: ModelBroker, fired: Parameters<typeof eventOfWatch>[0]): void {
  const event = eventOfWatch(fired);
  if (event !== undefined) broker.events.push(event);
}

function forgetResponses(broker: ModelBroker, from: (id: number) => boolean): void {
  const kept = broker.events.filter((event) => event.kind !== "response" || !from(event.brokerId));
  broker.events.splice(0, broker.events.length, ...kept);
}

/** As a broker of 2.7 answers. Source: ReplicaManager.scala, KafkaApis.scala. */
function exchangeOf(broker: ModelBroker, request: ControlRequest): ControlExchange {
  broker.received.push(request);
  const { body } = request;
  const stale = (body.brokerEpoch ?? -1) < broker.epoch ? ErrorCode.STALE_BROKER_EPOCH : body.controllerEpoch < broker.controllerEpoch ? ErrorCode.STALE_CONTROLLER_EPOCH : ErrorCode.NONE;
  if (stale === ErrorCode.NONE) broker.controllerEpoch = body.controllerEpoch;
  switch (request.api) {
    case "leaderAndIsr": {
      const partitionErrors: { topicName: string; partitionIndex: number; errorCode: number }[] = [];
      if (stale !== ErrorCode.NONE) return { ...request, response: { errorCode: stale, partitionErrors } };
      for (const { topicName, partitionStates } of request.body.topicStates) {
        for (const state of partitionStates) {
          const name = `${topicName}-${state.partitionIndex}`;
          const newer = state.leaderEpoch > (broker.hosted.get(name)?.leaderEpoch ?? -1);
          const broken = broker.brokenDirs.has(name);
          if (newer && !broken) {
            broker.hosted.set(name, { leaderEpoch: state.leaderEpoch, leader: state.leader });
            if (state.leader === broker.id) broker.leading.set(name, { leaderEpoch: state.leaderEpoch, isr: state.isr, zkVersion: state.zkVersion, proposal: undefined });
            else broker.leading.delete(name);
          }
          const errorCode = broken ? ErrorCode.KAFKA_STORAGE_ERROR : newer ? ErrorCode.NONE : ErrorCode.STALE_CONTROLLER_EPOCH;
          partitionErrors.push({ topicName, partitionIndex: state.partitionIndex, errorCode });
        }
      }
      return { ...request, response: { errorCode: ErrorCode.NONE, partitionErrors } };
    }
    case "updateMetadata":
      for (const { topicName, partitionStates } of stale === ErrorCode.NONE ? request.body.topicStates : []) {
        for (const state of partitionStates) {
          const name = `${topicName}-${state.partitionIndex}`;
          if (state.leader === -2) broker.metadata.delete(name);
          else broker.metadata.set(name, { leader: state.leader, leaderEpoch: state.leaderEpoch, offlineReplicas: state.offlineReplicas ?? [] });
        }
      }
      return { ...request, response: { errorCode: stale } };
    case "stopReplica": {
      const partitionErrors: { topicName: string; partitionIndex: number; errorCode: number }[] = [];
      for (const { topicName, partitionStates } of request.body.topicStates) {
        for (const { partitionIndex, leaderEpoch = -1 } of partitionStates) {
          const name = `${topicName}-${partitionIndex}`;
          const acts = leaderEpoch === -2 || leaderEpoch === -1 || leaderEpoch > (broker.hosted.get(name)?.leaderEpoch ?? -1);
          const refused = broker.brokenDirs.has(name) ? ErrorCode.KAFKA_STORAGE_ERROR : acts ? ErrorCode.NONE : ErrorCode.FENCED_LEADER_EPOCH;
          const errorCode = stale === ErrorCode.NONE ? refused : stale;
          if (errorCode === ErrorCode.NONE) {
            broker.hosted.delete(name);
            broker.leading.delete(name);
          }
          partitionErrors.push({ topicName, partitionIndex, errorCode });
        }
      }
      return { ...request, response: { errorCode: stale, partitionErrors } };
    }
    default:
      return assertNever(request);
  }
}
