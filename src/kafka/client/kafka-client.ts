import type { Decoded, Input } from "../../codec/schema.ts";
import { ZERO_UUID } from "../../codec/model.ts";
import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import { must } from "../../lib/assert.ts";
import { errorCode, OperationalError } from "../../lib/error.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import { findCoordinator } from "../protocol/messages/find-coordinator.ts";
import { metadata as metadataApi } from "../protocol/messages/metadata.ts";
import { NegotiatedConnection, type Answer, type VersionBounds } from "./api-negotiation.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface KafkaClientOptions {
  readonly host: Host;
  /** Asked as long as no broker is known, and when none of those that are known answers. At least one. */
  readonly bootstrap: readonly Endpoint[];
  readonly clientId: string;
  /** How long one answer may take, and a connection to come about. */
  readonly requestTimeoutMs: number;
  /** How long what is asked again and again may take altogether; without it, twice as long. */
  readonly retryTimeoutMs?: number;
  /** Chooses among brokers that are all the same. */
  readonly random: { below(bound: number): number };
}

export interface SendOptions {
  readonly timeoutMs?: number;
  /** Requests of one channel share a connection and wait for each other there: what may wait for long wants its own. */
  readonly channel?: string;
  readonly versions?: VersionBounds;
}

export interface RetryOptions extends SendOptions {
  readonly retryTimeoutMs?: number;
}

export interface RetryRules<T> {
  /** Whether the answer is none to stay with. */
  readonly again: (answer: T) => boolean;
  readonly onAgain?: () => void;
  /** Without it, as after such an answer. */
  readonly onFailure?: () => void;
  readonly retryTimeoutMs?: number;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** What the client was told of a partition. */
export interface KnownPartition {
  /** -1: none. */
  readonly leader: number;
  /** -1: the broker does not say. */
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

export type ClusterMetadata = Decoded<typeof metadataApi.response>;

const RETRY_MS = 100;

/** After these another broker leads, or soon will, or the same one is to be asked again. */
const LEADER_ELSEWHERE = new Set<number>([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.REPLICA_NOT_AVAILABLE,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.OFFSET_NOT_AVAILABLE,
]);

const COORDINATOR_ELSEWHERE = new Set<number>([ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR]);

/** Whether the request may end well with the partition's next leader, or a little later. */
export function isLeaderMoving(code: number): boolean {
  return LEADER_ELSEWHERE.has(code);
}

/** Whether the code speaks of the coordinator, and the request may end well with the next one, or a little later. */
export function isCoordinatorMoving(code: number): boolean {
  return COORDINATOR_ELSEWHERE.has(code) || code === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS;
}

interface KnownTopic {
  readonly id: string;
  readonly partitions: ReadonlyMap<number, KnownPartition>;
}

/**
 * A client of a cluster of Kafka 2.7.1 or later: keeps a connection to each broker that it talks to, knows who leads
 * and who coordinates what, and asks anew where that has changed. Errors of the protocol are values in the response;
 * what rejects is operational: no connection, no answer in time, no common version (ERR_UNSUPPORTED_VERSION).
 */
export class KafkaClient {
  readonly host: Host;
  readonly #options: KafkaClientOptions;
  readonly #brokers = new Map<number, Endpoint>();
  /** Endpoints that the last attempt did not reach, since metadata came last. */
  readonly #unreachable = new Set<string>();
  readonly #topics = new Map<string, KnownTopic>();
  /** Topics of which a leader was not where it was thought to be. */
  readonly #doubted = new Set<string>();
  readonly #coordinators = new Map<string, number>();
  readonly #connections = new Map<string, Promise<NegotiatedConnection>>();
  /** Give up what waits for a connection, or for some time to pass. */
  readonly #waiting = new Set<(error: Error) => void>();
  #controllerId = -1;
  #learned = false;
  #closed = false;

  constructor(options: KafkaClientOptions) {
    this.host = options.host;
    this.#options = options;
  }

  /** Brokers that answered metadata named last. */
  get brokerIds(): readonly number[] {
    return [...this.#brokers.keys()];
  }

  /** Where a broker, or a coordinator, is said to be. */
  endpointOf(brokerId: number): Endpoint | undefined {
    return this.#brokers.get(brokerId);
  }

  /** As it was told last; undefined: never. */
  partition({ topic, partition }: TopicPartition): KnownPartition | undefined {
    return this.#topics.get(topic)?.partitions.get(partition);
  }

  /** Numbers of the topic's partitions, as they were told last. */
  partitionsOf(topic: string): readonly number[] {
    return [...(this.#topics.get(topic)?.partitions.keys() ?? [])].toSorted((a, b) => a - b);
  }

  /** One attempt with a broker or the controller; "any" tries one broker after the other until one answers. */
  async send<A extends Api>(to: number | "any" | "controller", api: A, request: (version: number) => Input<A["request"]>, options: SendOptions = {}): Promise<Answer<A>> {
    if (to === "any") return this.#sendToAny(api, request, options);
    return this.#exchange(await this.#locate(to === "controller" ? await this.#controller() : to), api, request, options);
  }

  /** One attempt with a request that is never answered (Produce with acks 0). */
  async post<A extends Api>(to: number, api: A, request: (version: number) => Input<A["request"]>, options: SendOptions = {}): Promise<void> {
    const connection = await this.#connect(await this.#locate(to), options.channel ?? "");
    connection.post(api, request, options.versions);
  }

  /**
   * To whoever leads the partition, again after errors of a leader that moves and after failures, for `retryTimeoutMs`;
   * the last error code is in the answer then, or the last failure rejects. A request may be carried out twice.
   */
  sendToLeader<A extends Api>(
    at: TopicPartition,
    api: A,
    request: (version: number, leaderEpoch: number) => Input<A["request"]>,
    codeOf: (response: Decoded<A["response"]>) => number,
    options: RetryOptions = {},
  ): Promise<Answer<A>> {
    return this.retry({ ...options, again: (answer) => LEADER_ELSEWHERE.has(codeOf(answer.response)), onAgain: () => this.#doubted.add(at.topic) }, async () => {
      const { leader, leaderEpoch } = await this.#leaderOf(at);
      return this.send(leader, api, (version) => request(version, leaderEpoch), options);
    });
  }

  /** The same with a group's coordinator. */
  sendToCoordinator<A extends Api>(
    group: string,
    api: A,
    request: (version: number) => Input<A["request"]>,
    codeOf: (response: Decoded<A["response"]>, version: number) => number,
    options: RetryOptions = {},
  ): Promise<Answer<A>> {
    const again = ({ response, version }: Answer<A>): boolean => {
      const code = codeOf(response, version);
      this.heardFromCoordinator(group, code);
      return isCoordinatorMoving(code);
    };
    return this.retry({ ...options, again, onFailure: () => this.forgetCoordinator(group) }, async () => this.send(await this.coordinatorOf(group), api, request, options));
  }

  /** Attempts until one answers as it should, with a pause between two, until the time is over. */
  async retry<T>(
    { again, onAgain, onFailure = onAgain, retryTimeoutMs = this.#options.retryTimeoutMs ?? 2 * this.#options.requestTimeoutMs }: RetryRules<T>,
    attempt: () => Promise<T>,
  ): Promise<T> {
    const { clock } = this.host;
    const untilMs = clock.monotonicMs() + retryTimeoutMs;
    for (;;) {
      try {
        const answer = await attempt();
        if (!again(answer) || clock.monotonicMs() + RETRY_MS >= untilMs) return answer;
        onAgain?.();
      } catch (error) {
        if (!this.isPassing(error) || clock.monotonicMs() + RETRY_MS >= untilMs) throw error;
        onFailure?.();
      }
      await this.pause(RETRY_MS);
    }
  }

  /** Whether a failure may be over the next time: a connection that broke, an answer that did not come. */
  isPassing(error: unknown): boolean {
    const code = errorCode(error);
    return code !== undefined && code !== "ERR_UNSUPPORTED_VERSION" && !this.#closed;
  }

  /** What any broker says of these topics, or of all (null); kept, but for leaders of an earlier epoch than one that is known. */
  async metadata(topics: readonly string[] | null, { create = false }: { readonly create?: boolean } = {}): Promise<ClusterMetadata> {
    const { response } = await this.send(
      "any",
      metadataApi,
      () => ({
        topics: topics?.map((name) => ({ name })) ?? null,
        allowAutoTopicCreation: create,
        includeClusterAuthorizedOperations: false,
        includeTopicAuthorizedOperations: false,
      }),
      { versions: { first: NULL_IS_ALL } },
    );
    this.#learn(response);
    return response;
  }

  forgetController(): void {
    this.#controllerId = -1;
  }

  /** Rejects where there is none yet (COORDINATOR_NOT_AVAILABLE), or the cluster refuses to say. */
  async coordinatorOf(group: string): Promise<number> {
    const known = this.#coordinators.get(group);
    if (known !== undefined) return known;
    const { version, response } = await this.send("any", findCoordinator, (asked) => (asked >= BATCHED ? { key: "", coordinatorKeys: [group] } : { key: group, coordinatorKeys: [] }));
    const told = version >= BATCHED ? must(response.coordinators[0], "coordinator") : response;
    if (told.errorCode !== ErrorCode.NONE) throw refusal(`the coordinator of group ${group}`, told.errorCode, told.errorMessage);
    this.#coordinators.set(group, told.nodeId);
    this.#brokers.set(told.nodeId, { host: told.host, port: told.port });
    return told.nodeId;
  }

  forgetCoordinator(group: string): void {
    this.#coordinators.delete(group);
  }

  /** Forgets a coordinator that has just said that it is none. */
  heardFromCoordinator(group: string, code: number): void {
    if (COORDINATOR_ELSEWHERE.has(code)) this.forgetCoordinator(group);
  }

  /** Rejects (ECONNABORTED) when the client is closed. */
  pause(ms: number): Promise<void> {
    if (this.#closed) return Promise.reject(closedHere());
    return new Promise((resolve, reject) => {
      const timer: Timer = this.host.timers.after(ms, () => {
        this.#waiting.delete(giveUp);
        resolve();
      });
      const giveUp = (error: Error): void => {
        timer.cancel();
        reject(error);
      };
      this.#waiting.add(giveUp);
    });
  }

  /** What is under way rejects, now (ECONNABORTED). Resolves when no connection is left. */
  async close(): Promise<void> {
    this.#closed = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const giveUp of waiting) giveUp(closedHere());
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    for (const connecting of connections) await connecting.then((connection) => connection.close(), ignored);
  }

  async #locate(id: number): Promise<Endpoint> {
    const known = this.#brokers.get(id);
    // One that could not be reached may have come back elsewhere.
    if (known === undefined || this.#unreachable.has(nameOf(known))) await this.metadata([]);
    const endpoint = this.#brokers.get(id);
    if (endpoint === undefined) throw new OperationalError("BROKER_NOT_AVAILABLE", `broker ${id} is not among those that the cluster names: ${this.brokerIds.join(", ")}`);
    return endpoint;
  }

  async #sendToAny<A extends Api>(api: A, request: (version: number) => Input<A["request"]>, options: SendOptions): Promise<Answer<A>> {
    // Who knows one address alone is lost without it.
    if (!this.#learned && (api as Api) !== metadataApi) await this.metadata([]);
    const endpoints = [...this.#shuffled([...this.#brokers.values()]), ...this.#shuffled(this.#options.bootstrap)];
    const tried = new Set<string>();
    let failure: unknown;
    for (const endpoint of endpoints) {
      const name = nameOf(endpoint);
      if (tried.has(name)) continue;
      tried.add(name);
      try {
        return await this.#exchange(endpoint, api, request, options);
      } catch (error) {
        if (!this.isPassing(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async #exchange<A extends Api>(endpoint: Endpoint, api: A, request: (version: number) => Input<A["request"]>, options: SendOptions): Promise<Answer<A>> {
    const connection = await this.#connect(endpoint, options.channel ?? "");
    return connection.send(api, request, { versions: options.versions, timeoutMs: options.timeoutMs ?? this.#options.requestTimeoutMs });
  }

  /** One that is open, or being made, or anew. */
  async #connect(endpoint: Endpoint, channel: string): Promise<NegotiatedConnection> {
    if (this.#closed) throw closedHere();
    const name = `${nameOf(endpoint)} ${channel}`;
    for (let made = this.#connections.get(name); made !== undefined; made = this.#connections.get(name)) {
      const connection = await this.#orClosed(made);
      if (!connection.closed) return connection;
      if (this.#connections.get(name) === made) this.#connections.delete(name);
    }
    const { clientId, requestTimeoutMs } = this.#options;
    const making = NegotiatedConnection.connect(this.host, { ...endpoint, clientId, connectTimeoutMs: requestTimeoutMs, requestTimeoutMs });
    this.#connections.set(name, making);
    try {
      return await this.#orClosed(making);
    } catch (error) {
      if (this.#connections.get(name) === making) this.#connections.delete(name);
      this.#unreachable.add(nameOf(endpoint));
      throw error;
    }
  }

  /** The promise, or the rejection of a client that is closed meanwhile. */
  #orClosed<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      promise.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  async #controller(): Promise<number> {
    if (this.#controllerId < 0) await this.metadata([]);
    if (this.#controllerId < 0) throw new OperationalError("BROKER_NOT_AVAILABLE", "the cluster has no controller now; try again");
    return this.#controllerId;
  }

  async #leaderOf(at: TopicPartition): Promise<KnownPartition> {
    const known = this.partition(at);
    if (known !== undefined && known.leader >= 0 && !this.#doubted.has(at.topic)) return known;
    const { topics } = await this.metadata([at.topic]);
    this.#doubted.delete(at.topic);
    const now = this.partition(at);
    if (now !== undefined && now.leader >= 0) return now;
    throw refusal(`the leader of ${at.topic}-${at.partition}`, now === undefined ? (topics[0]?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) || ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.LEADER_NOT_AVAILABLE);
  }

  #learn({ brokers, controllerId, topics }: ClusterMetadata): void {
    this.#learned = true;
    this.#unreachable.clear();
    this.#brokers.clear();
    for (const { nodeId, host, port } of brokers) this.#brokers.set(nodeId, { host, port });
    this.#controllerId = controllerId;
    for (const { name, topicId, errorCode: error, partitions } of topics) {
      if (name === null) continue;
      if (error === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) this.#topics.delete(name);
      if (error !== ErrorCode.NONE) continue;
      const before = this.#topics.get(name);
      // A topic that was made anew begins again with its epochs.
      const known = before !== undefined && (before.id === topicId || topicId === ZERO_UUID) ? before.partitions : undefined;
      const told = partitions.map(({ partitionIndex, leaderId: leader, leaderEpoch, replicaNodes: replicas, isrNodes: isr }): readonly [number, KnownPartition] => {
        const last = known?.get(partitionIndex);
        return [partitionIndex, last !== undefined && last.leaderEpoch > leaderEpoch ? last : { leader, leaderEpoch, replicas, isr }];
      });
      this.#topics.set(name, { id: topicId, partitions: new Map(told) });
    }
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const rest = [...items];
    const shuffled: T[] = [];
    while (rest.length > 0) shuffled.push(...rest.splice(rest.length === 1 ? 0 : this.#options.random.below(rest.length), 1));
    return shuffled;
  }
}

/** From here on a null list of topics asks for all of them. */
const NULL_IS_ALL = 1;
/** From here on FindCoordinator takes and answers a list. */
const BATCHED = 4;

/** An error code of the protocol as a failure, with the code's name as its `code`. */
export function refusal(what: string, code: number, message?: string | null): OperationalError {
  return new OperationalError(errorName(code), `${what}: the broker answers ${errorName(code)}${message === undefined || message === null || message === "" ? "" : ` (${message})`}`);
}

function nameOf({ host, port }: Endpoint): string {
  return `${host}:${port}`;
}

function closedHere(): OperationalError {
  return new OperationalError("ECONNABORTED", "the client was closed from this side");
}

function ignored(): void {
  // What could not be opened needs no closing.
}
