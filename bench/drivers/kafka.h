// What the drivers on librdkafka share.
#ifndef KAFKA_H
#define KAFKA_H
#include "common.h"
#include <librdkafka/rdkafka.h>

#define ERROR_TEXT_MAX 512

static inline void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
  char error[ERROR_TEXT_MAX];
  if (rd_kafka_conf_set(conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK) fail("%s", error);
}

// A configuration with bootstrap=, and every argument set.KEY=VALUE.
static inline rd_kafka_conf_t *configuration(void) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", text_of("bootstrap"));
  set(conf, "broker.address.family", "v4");
  for (int i = 1; i < arguments_count; i++) {
    if (strncmp(arguments[i], "set.", 4) != 0) continue;
    char *pair = strdup(arguments[i] + 4), *value = strchr(pair, '=');
    *value++ = '\0';
    set(conf, pair, value);
    free(pair);
  }
  return conf;
}

static inline rd_kafka_t *start(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char error[ERROR_TEXT_MAX];
  rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
  if (client == NULL) fail("%s", error);
  return client;
}

static inline int partitions_of(rd_kafka_t *client, const char *topic) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
  rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle, &metadata, 10000);
  if (error) fail("metadata: %s", rd_kafka_err2str(error));
  if (metadata->topic_cnt != 1 || metadata->topics[0].err) fail("metadata of %s: %s", topic, rd_kafka_err2str(metadata->topics[0].err));
  int count = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(handle);
  return count;
}

// Assigns every partition p with p % of == which, from its begin or from its present end.
static inline void assign(rd_kafka_t *client, const char *topic, int which, int of, int from_end) {
  int count = partitions_of(client, topic);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
  for (int partition = which; partition < count; partition += of) {
    int64_t low, high;
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, 10000);
    if (error) fail("offsets of %s-%d: %s", topic, partition, rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = from_end ? high : low;
  }
  rd_kafka_resp_err_t error = rd_kafka_assign(client, list);
  if (error) fail("assign: %s", rd_kafka_err2str(error));
  rd_kafka_topic_partition_list_destroy(list);
}

// Text of which half are words that come again and again, the other half random letters; the same for each run.
static inline char *make_text(size_t bytes) {
  static const char *words[] = {"order", "customer", "payment", "shipped", "warehouse", "quantity", "address", "created"};
  char *text = malloc(bytes + 64);
  if (text == NULL) fail("out of memory");
  uint32_t state = 2463534242u;
  size_t at = 0;
  while (at < bytes) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    if (state & 1) {
      at += (size_t)sprintf(text + at, "%s ", words[(state >> 1) % 8]);
    } else {
      for (int i = 0; i < 8; i++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        text[at++] = (char)('!' + state % 90);
      }
    }
  }
  return text;
}

// Something that can't be put right ends the driver; what librdkafka retries by itself does not.
static inline void on_error(rd_kafka_t *client, int error, const char *reason, void *opaque) {
  (void)opaque;
  if (error == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_fatal_error(client, NULL, 0)) fail("fatal: %s", reason);
  fprintf(stderr, "note: %s: %s\n", rd_kafka_err2name(error), reason);
}
#endif
