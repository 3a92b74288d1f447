import type { LogManager } from "../log/log-manager.ts";
import type { ConfigEntity, EntityConfig } from "../znodes/config.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import type { BrokerSettings } from "./broker-settings.ts";
import type { ConfigWatcherOptions } from "./config-watcher.ts";
import type { TopicConfigs } from "./topic-configs.ts";

export interface SettingChangesOptions {
  readonly settings: BrokerSettings;
  readonly topicConfigs: TopicConfigs;
  readonly logs: Pick<LogManager, "reconfigure">;
  readonly zookeeper: ZooKeeperSession;
  /** Replicas out of sync may lead from now on: of one topic, or of all that do not say otherwise. */
  uncleanElection(topic: string | undefined): void;
}

/**
 * Makes changed settings reach what runs. Everything else reads them anew at each use. Settings of users and clients
 * are quotas, which are still to come. Source: kafka/server/ConfigHandler.scala, DynamicBrokerConfig.scala (DynamicLogConfig).
 */
export function settingChanges(options: SettingChangesOptions): Pick<ConfigWatcherOptions, "onChange" | "reload"> {
  const { settings, topicConfigs, logs, zookeeper } = options;
  const afterBrokers = (uncleanBefore: boolean): void => {
    topicConfigs.refresh();
    logs.reconfigure();
    if (settings.config.uncleanLeaderElectionEnable && !uncleanBefore) options.uncleanElection(undefined);
  };
  return {
    onChange: ({ type, name }: ConfigEntity, config: EntityConfig) => {
      if (type === "topics") {
        topicConfigs.set(name, config);
        logs.reconfigure(name);
        if (config.get("unclean.leader.election.enable")?.trim().toLowerCase() === "true") options.uncleanElection(name);
      } else if (type === "brokers") {
        const before = settings.config.uncleanLeaderElectionEnable;
        settings.apply(name, config);
        afterBrokers(before);
      }
    },
    reload: async () => {
      const before = settings.config.uncleanLeaderElectionEnable;
      await settings.load(zookeeper);
      await topicConfigs.loadAll(zookeeper);
      afterBrokers(before);
    },
  };
}
