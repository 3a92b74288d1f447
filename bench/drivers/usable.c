// Waits until a record with acks=all is taken, from before the cluster is there: makes the topic where it is missing.
#include "kafka.h"

static int delivered;
static rd_kafka_resp_err_t refused;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client, (void)opaque;
  refused = message->err;
  delivered = !message->err;
}

static rd_kafka_resp_err_t create(rd_kafka_t *client, const char *topic, int replicas) {
  char text[ERROR_TEXT_MAX];
  rd_kafka_NewTopic_t *created = rd_kafka_NewTopic_new(topic, 1, replicas, text, sizeof text);
  rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_request_timeout(options, 2000, text, sizeof text);
  rd_kafka_AdminOptions_set_operation_timeout(options, 2000, text, sizeof text);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
  rd_kafka_CreateTopics(client, &created, 1, options, queue);
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 5000);
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__TIMED_OUT;
  if (event != NULL) {
    error = rd_kafka_event_error(event);
    size_t count;
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    if (!error && result != NULL) error = rd_kafka_topic_result_error(rd_kafka_CreateTopics_result_topics(result, &count)[0]);
    rd_kafka_event_destroy(event);
  }
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(created);
  return error;
}

static int brokers_known(rd_kafka_t *client) {
  const struct rd_kafka_metadata *metadata;
  if (rd_kafka_metadata(client, 1, NULL, &metadata, 100) != RD_KAFKA_RESP_ERR_NO_ERROR) return usleep(5000), 0;
  int known = metadata->broker_cnt;
  rd_kafka_metadata_destroy(metadata);
  if (known == 0 || rd_kafka_controllerid(client, 100) < 0) usleep(5000);
  return known;
}

// The client looks for the leader of a new topic once a second; a question of its own is answered now, and remembered.
static int leader_known(rd_kafka_t *client, rd_kafka_topic_t *topic) {
  const struct rd_kafka_metadata *metadata;
  if (rd_kafka_metadata(client, 0, topic, &metadata, 100) != RD_KAFKA_RESP_ERR_NO_ERROR) return usleep(5000), 0;
  int known = metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt > 0 && metadata->topics[0].partitions[0].leader >= 0;
  rd_kafka_metadata_destroy(metadata);
  if (!known) usleep(5000);
  return known;
}

int main(int count, char **values) {
  read_arguments(count, values);
  const char *topic = text_of("topic");
  int replicas = (int)number_or("replicas", 3);
  uint64_t limit = now_us() + (uint64_t)number_or("within", 120) * 1000000;
  rd_kafka_conf_t *conf = configuration();
  set(conf, "acks", "all");
  set(conf, "log_level", "0");
  set(conf, "reconnect.backoff.ms", "10");
  set(conf, "reconnect.backoff.max.ms", "20");
  set(conf, "retry.backoff.ms", "10");
  set(conf, "topic.metadata.refresh.fast.interval.ms", "20");
  set(conf, "message.timeout.ms", "120000");
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t *client = start(RD_KAFKA_PRODUCER, conf);
  // A request for the controller that begins before there is one looks for it only now and then.
  while (brokers_known(client) < replicas)
    if (now_us() > limit) fail("fewer than %d brokers", replicas);
  rd_kafka_resp_err_t error;
  // Until enough brokers are there the controller refuses it; any other end is tried again just so.
  while ((error = create(client, topic, replicas)) && error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
    if (now_us() > limit) fail("no topic: %s", rd_kafka_err2str(error));
    usleep(10000);
  }
  rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
  // A broker that has not heard of the topic, or of another broker, makes the client give the record back, or not take it.
  while (!delivered) {
    while (!leader_known(client, handle))
      if (now_us() > limit) fail("no leader of %s", topic);
    refused = rd_kafka_producev(client, RD_KAFKA_V_RKT(handle), RD_KAFKA_V_VALUE("usable", 6), RD_KAFKA_V_END);
    while (!delivered && !refused && now_us() < limit) rd_kafka_poll(client, 20);
    if (refused) usleep(5000);
    if (!delivered && now_us() > limit) fail("record not acknowledged: %s", rd_kafka_err2str(refused));
  }
  // Of the clock that Node's performance.now() and process.hrtime() count by.
  printf("{\"atUs\":%llu}\n", (unsigned long long)now_us());
  fflush(stdout);
  _exit(0);
}
