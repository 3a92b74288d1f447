import { groupKeys, quotaKeys, transactionKeys } from "./keys/coordinator.ts";
import { fetchKeys, logKeys, metricKeys, replicationKeys } from "./keys/log.ts";
import { securityKeys } from "./keys/security.ts";
import { serverKeys } from "./keys/server.ts";

/**
 * Every setting of a Kafka 2.7.1 broker (core/src/main/scala/kafka/server/KafkaConfig.scala; which of them a running
 * broker takes: DynamicBrokerConfig.scala). docs/config.md is made from it.
 */
export const brokerKeys = {
  ...serverKeys,
  ...logKeys,
  ...replicationKeys,
  ...groupKeys,
  ...transactionKeys,
  ...fetchKeys,
  ...metricKeys,
  ...quotaKeys,
  ...securityKeys,
};

export type BrokerKey = keyof typeof brokerKeys;
