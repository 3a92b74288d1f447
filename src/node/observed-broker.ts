import type { HttpServer } from "../host/real/http.ts";
import type { RealHost } from "../host/real/host.ts";
import type { Broker } from "../kafka/broker/broker.ts";
import { loadBrokerConfig } from "../kafka/config/load.ts";
import { startLoadedBroker } from "./kafka-broker.ts";
import { observed, serveMetrics, type Observed } from "./metrics-endpoint.ts";

/** A broker, and where its settings name a port, /metrics and /ready of it and of what runs `besides` it. */
export class ObservedBroker {
  readonly broker: Broker;
  readonly #endpoint: HttpServer | undefined;

  private constructor(broker: Broker, endpoint: HttpServer | undefined) {
    this.broker = broker;
    this.#endpoint = endpoint;
  }

  /** /ready answers before the broker serves. Rejects as startKafkaBroker does, and with ERR_METRICS_PORT. */
  static async start(host: RealHost, configPath: string, args: readonly string[], besides: readonly Observed[] = []): Promise<ObservedBroker> {
    const loaded = await loadBrokerConfig(host.disk, configPath, args);
    const { metricsAddress } = loaded.config;
    let broker: Broker | undefined;
    const endpoint =
      metricsAddress === undefined ? undefined : await serveMetrics({ ...metricsAddress, setting: "odradek.metrics.port" }, [observed(host, "broker", () => broker), ...besides]);
    try {
      broker = await startLoadedBroker(host, loaded);
      return new ObservedBroker(broker, endpoint);
    } catch (error) {
      await endpoint?.close();
      throw error;
    }
  }

  async stop(options?: { readonly handOver: boolean }): Promise<void> {
    try {
      await this.broker.stop(options);
    } finally {
      await this.#endpoint?.close();
    }
  }
}
