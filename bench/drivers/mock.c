// librdkafka's mock cluster of one broker, in memory: prints its address as JSON, and serves until it is killed.
#include "kafka.h"
#include <librdkafka/rdkafka_mock.h>

int main(int count, char **values) {
  read_arguments(count, values);
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "test.mock.num.brokers", "1");
  rd_kafka_t *client = start(RD_KAFKA_PRODUCER, conf);
  rd_kafka_mock_cluster_t *cluster = rd_kafka_handle_mock_cluster(client);
  rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(cluster, text_of("topic"), (int)number_or("partitions", 12), 1);
  if (error) fail("topic: %s", rd_kafka_err2str(error));
  printf("{\"bootstrap\":\"%s\"}\n", rd_kafka_mock_cluster_bootstraps(cluster));
  fflush(stdout);
  for (;;) pause();
}
