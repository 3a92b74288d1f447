import type { AlterOutcome, BrokerTarget } from "../config/alter.ts";
import { acceptDynamic } from "../config/dynamic.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { ConfigEntity, EntityConfig } from "../znodes/config.ts";
import { defaultEntity } from "../znodes/names.ts";
import { changeConfig } from "../znodes/operations.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import type { BrokerSettings } from "./broker-settings.ts";
import { notThisBroker, ResourceType, type ResourceName, type ResourceProblem } from "./handlers/config-resources.ts";
import type { MetadataCache } from "./metadata-cache.ts";

export interface ConfigAdminOptions {
  readonly brokerId: number;
  readonly metadata: Pick<MetadataCache, "hasTopic">;
  readonly settings: BrokerSettings;
  readonly zookeeper: ZooKeeperSession;
}

/** What becomes of the settings of a topic or of brokers. */
export interface ConfigRules {
  topic(current: EntityConfig, topic: string): AlterOutcome;
  broker(target: BrokerTarget): AlterOutcome;
}

const DONE: ResourceProblem = { errorCode: ErrorCode.NONE, errorMessage: null };

/**
 * Changes settings in ZooKeeper and announces it; brokers, this one too, act when they hear of it. Unlike Apache's, a
 * change rests on what is in the znode at that moment: of two at the same time none is lost. Source:
 * kafka/server/AdminManager.scala.
 */
export class ConfigAdmin {
  readonly #options: ConfigAdminOptions;

  constructor(options: ConfigAdminOptions) {
    this.#options = options;
  }

  get brokerId(): number {
    return this.#options.brokerId;
  }

  /** Of a topic, a broker (this one) or all brokers, which have no name. */
  async change({ resourceType, resourceName }: ResourceName, rules: ConfigRules, validateOnly: boolean): Promise<ResourceProblem> {
    const { brokerId, metadata } = this.#options;
    if (resourceType === ResourceType.topic) {
      if (!metadata.hasTopic(resourceName)) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: `there is no topic ${resourceName}` };
      return this.#write({ type: "topics", name: resourceName }, validateOnly, (current) => rules.topic(current, resourceName));
    }
    if (resourceName === "") return this.#write({ type: "brokers", name: defaultEntity }, validateOnly, (current) => rules.broker(this.#target("cluster default", current)));
    const problem = notThisBroker(resourceName, brokerId);
    return problem ?? this.#write({ type: "brokers", name: String(brokerId) }, validateOnly, (current) => rules.broker(this.#target("broker", current)));
  }

  #target(scope: BrokerTarget["scope"], current: EntityConfig): BrokerTarget {
    const { layers, config } = this.#options.settings;
    const { accepted } = acceptDynamic(current, scope);
    return { scope, config, layers: scope === "broker" ? { ...layers, perBroker: accepted } : { ...layers, clusterDefault: accepted } };
  }

  async #write(entity: ConfigEntity, validateOnly: boolean, decide: (current: EntityConfig) => AlterOutcome): Promise<ResourceProblem> {
    let problem = DONE;
    await this.#options.zookeeper.run(
      changeConfig(entity, (current) => {
        const outcome = decide(current);
        problem = outcome.kind === "refused" ? { errorCode: outcome.code, errorMessage: outcome.message } : DONE;
        return outcome.kind === "refused" || validateOnly ? undefined : outcome.settings;
      }),
    );
    return problem;
  }
}
