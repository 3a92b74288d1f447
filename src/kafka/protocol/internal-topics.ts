/** Topics that brokers keep for themselves. Source: clients/…/common/internals/Topic.java. */
export const GROUP_METADATA_TOPIC = "__consumer_offsets";
export const TRANSACTION_STATE_TOPIC = "__transaction_state";

export function isInternalTopic(topic: string): boolean {
  return topic === GROUP_METADATA_TOPIC || topic === TRANSACTION_STATE_TOPIC;
}
