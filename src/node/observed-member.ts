import type { HttpServer } from "../host/real/http.ts";
import type { RealHost } from "../host/real/host.ts";
import { loadMemberConfig } from "../zookeeper/config/load.ts";
import { PROMETHEUS_PROVIDER } from "../zookeeper/config/member-keys.ts";
import { observed, serveMetrics } from "./metrics-endpoint.ts";
import { startLoadedMember, type ZooKeeperMember } from "./zookeeper-member.ts";

/** A member, and where its metricsProvider is that of Prometheus, /metrics and /ready of it. */
export class ObservedMember {
  readonly member: ZooKeeperMember;
  readonly #endpoint: HttpServer | undefined;

  private constructor(member: ZooKeeperMember, endpoint: HttpServer | undefined) {
    this.member = member;
    this.#endpoint = endpoint;
  }

  /** Rejects as startZooKeeperMember does, and with ERR_METRICS_PORT. */
  static async start(host: RealHost, configPath: string): Promise<ObservedMember> {
    const loaded = await loadMemberConfig(host.disk, configPath);
    const { metricsProviderClassName, metricsProviderHttpHost, metricsProviderHttpPort: port } = loaded.config;
    let member: ZooKeeperMember | undefined;
    const endpoint = metricsProviderClassName === PROMETHEUS_PROVIDER
      ? await serveMetrics({ host: metricsProviderHttpHost, port, setting: "metricsProvider.httpPort" }, [observed(host, "member", () => member)])
      : undefined;
    try {
      member = await startLoadedMember(host, loaded);
      return new ObservedMember(member, endpoint);
    } catch (error) {
      await endpoint?.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      await this.member.close();
    } finally {
      await this.#endpoint?.close();
    }
  }
}
