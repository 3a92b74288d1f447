import type { Logger } from "../../host/log.ts";
import { toError } from "../../lib/error.ts";
import { readBrokerConfig, type BrokerConfig } from "../config/broker-config.ts";
import { acceptDynamic, effectiveProperties, type BrokerLayers, type DynamicScope } from "../config/dynamic.ts";
import { decodeConfig, type EntityConfig } from "../znodes/config.ts";
import { defaultEntity } from "../znodes/names.ts";
import { paths } from "../znodes/paths.ts";
import { ask, expectCode, getData, ZkCode, type Step } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";

/**
 * This broker's settings as they are now: those of its file, and over them those that ZooKeeper holds for all brokers
 * and for this one. What runs reads `config` anew where it can. Source: kafka/server/DynamicBrokerConfig.scala.
 */
export class BrokerSettings {
  readonly #brokerId: number;
  readonly #log: Logger;
  #layers: BrokerLayers;
  #config: BrokerConfig;

  constructor(brokerId: number, { layers, config }: { readonly layers: BrokerLayers; readonly config: BrokerConfig }, log: Logger) {
    this.#brokerId = brokerId;
    this.#log = log;
    this.#layers = layers;
    this.#config = config;
  }

  get layers(): BrokerLayers {
    return this.#layers;
  }

  get config(): BrokerConfig {
    return this.#config;
  }

  /** What both znodes hold. */
  async load(zookeeper: ZooKeeperSession): Promise<void> {
    const names = [defaultEntity, String(this.#brokerId)];
    const found = await zookeeper.run(readEntities(names));
    for (const [index, name] of names.entries()) this.apply(name, found[index] ?? new Map());
  }

  /** Which of the two znodes under /config/brokers; undefined: another broker's. */
  scopeOf(name: string): DynamicScope | undefined {
    if (name === defaultEntity) return "cluster default";
    return name === String(this.#brokerId) ? "broker" : undefined;
  }

  /** The content of a znode under /config/brokers. Settings that can't be used are logged and left out, and all of them where they contradict each other. */
  apply(name: string, settings: EntityConfig): void {
    const scope = this.scopeOf(name);
    if (scope === undefined) return;
    const { accepted, ignored } = acceptDynamic(settings, scope);
    for (const problem of ignored) this.#log.warn(`a setting in ${paths.config("brokers", name)} is ignored: ${problem}`);
    const before = scope === "broker" ? this.#layers.perBroker : this.#layers.clusterDefault;
    if (accepted.size === 0 && before.size === 0) return;
    const layers = scope === "broker" ? { ...this.#layers, perBroker: accepted } : { ...this.#layers, clusterDefault: accepted };
    try {
      this.#config = readBrokerConfig(effectiveProperties(layers), "the broker's configuration").config;
      this.#layers = layers;
    } catch (error) {
      this.#log.error(`what ${paths.config("brokers", name)} holds is not applied`, { error: toError(error) });
    }
  }
}

function* readEntities(names: readonly string[]): Step<EntityConfig[]> {
  const reads = names.map((name) => getData(paths.config("brokers", name)));
  const replies = yield* ask(reads);
  return replies.map((reply, index) => {
    const [name, request] = [names[index] ?? "", reads[index]];
    if (request !== undefined) expectCode(request, reply, ZkCode.NO_NODE);
    return decodeConfig(paths.config("brokers", name), reply.data);
  });
}
