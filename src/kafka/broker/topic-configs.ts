import type { Logger } from "../../host/log.ts";
import { recordVersion } from "../config/api-version.ts";
import type { BrokerConfig } from "../config/broker-config.ts";
import { withOverrides, type TopicConfig } from "../config/topic-config.ts";
import { isInternalTopic } from "../protocol/internal-topics.ts";
import { decodeConfig, type EntityConfig } from "../znodes/config.ts";
import { paths } from "../znodes/paths.ts";
import { ask, expectCode, getData, listChildren, ZkCode, type Step } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";

export interface TopicConfigsOptions extends Pick<BrokerConfig, "interBrokerProtocolVersion"> {
  /** What topics inherit now. */
  topicDefaults(): TopicConfig;
}

/** The settings of topics, as ZooKeeper holds them. */
export class TopicConfigs {
  readonly #config: TopicConfigsOptions;
  readonly #log: Logger;
  readonly #overrides = new Map<string, EntityConfig>();
  readonly #effective = new Map<string, TopicConfig>();

  constructor(config: TopicConfigsOptions, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  /** Of every topic that has settings: what the logs need before they are loaded. */
  loadAll(zookeeper: ZooKeeperSession): Promise<void> {
    const load = this.#read.bind(this);
    return zookeeper.run(
      (function* (): Step<void> {
        yield* load(yield* listChildren(paths.config("topics", "").slice(0, -1)));
      })(),
    );
  }

  /** Again, or for the first time; all in one batch. */
  load(zookeeper: ZooKeeperSession, topics: readonly string[]): Promise<void> {
    return zookeeper.run(this.#read(topics));
  }

  *#read(topics: readonly string[]): Step<void> {
    const requests = topics.map((topic) => getData(paths.config("topics", topic)));
    for (const [index, reply] of (yield* ask(requests)).entries()) {
      const [topic, request] = [topics[index], requests[index]];
      if (topic === undefined || request === undefined) continue;
      expectCode(request, reply, ZkCode.NO_NODE);
      this.set(topic, reply.code === ZkCode.NO_NODE ? new Map() : decodeConfig(paths.config("topics", topic), reply.data));
    }
  }

  /** Its settings are these now. */
  set(topic: string, overrides: EntityConfig): void {
    const { config, ignored } = withOverrides(this.#config.topicDefaults(), overrides, this.#config.interBrokerProtocolVersion);
    for (const problem of ignored) this.#log.warn(`a setting of topic ${topic} is ignored: ${problem}`);
    const known = this.#effective.get(topic);
    if (!isInternalTopic(topic) && config.cleanupPolicy.includes("compact") && known?.cleanupPolicy.includes("compact") !== true) {
      this.#log.warn(`topic ${topic} has cleanup.policy=${config.cleanupPolicy.join(",")}: its log is not compacted, and with compact alone it grows without bound`);
    }
    if (overrides.has("message.format.version") && recordVersion(config.messageFormatVersion) < 2 && known?.messageFormatVersion !== config.messageFormatVersion) {
      this.#log.warn(`topic ${topic} has message.format.version=${config.messageFormatVersion}: what producers send is stored in format 2 all the same`);
    }
    this.#overrides.set(topic, overrides);
    this.#effective.set(topic, config);
  }

  /** What topics inherit has changed. */
  refresh(): void {
    for (const [topic, overrides] of this.#overrides) this.set(topic, overrides);
  }

  overridesOf(topic: string): EntityConfig {
    return this.#overrides.get(topic) ?? new Map();
  }

  of(topic: string): TopicConfig {
    return this.#effective.get(topic) ?? this.#config.topicDefaults();
  }

  forget(topic: string): void {
    this.#overrides.delete(topic);
    this.#effective.delete(topic);
  }
}
