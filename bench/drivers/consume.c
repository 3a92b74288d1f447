// Consumes records= of a topic with consumers= threads, each with its share of the partitions. The clock runs from the
// first record that comes.
#include "kafka.h"
#include <pthread.h>

#define BATCH 10000
#define SILENCE_US 30000000

static atomic_ullong received, bytes, first_us, heard_us;
static unsigned long long wanted;
static int consumers;

static void *consume(void *which) {
  rd_kafka_conf_t *conf = configuration();
  set(conf, "group.id", "bench");
  set(conf, "enable.auto.commit", "false");
  set(conf, "enable.partition.eof", "false");
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_t *client = start(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(client);
  assign(client, text_of("topic"), (int)(intptr_t)which, consumers, strcmp(text_or("from", "begin"), "end") == 0);
  fprintf(stderr, "ready\n");
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
  rd_kafka_message_t **messages = malloc(BATCH * sizeof *messages);
  heard_us = now_us();
  while (received < wanted) {
    uint64_t heard;
    ssize_t count = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH);
    if (count < 0) fail("consume: %s", rd_kafka_err2str(rd_kafka_last_error()));
    heard = now_us();
    if (count > 0) heard_us = heard;
    if (heard > heard_us + SILENCE_US && received < wanted) fail("%llu of %llu records came, then none for 30 s", (unsigned long long)received, wanted);
    unsigned long long expected = 0, size = 0;
    if (count > 0) atomic_compare_exchange_strong(&first_us, &expected, heard);
    for (ssize_t i = 0; i < count; i++) {
      if (messages[i]->err) fail("record: %s", rd_kafka_message_errstr(messages[i]));
      size += messages[i]->len;
      rd_kafka_message_destroy(messages[i]);
    }
    bytes += size;
    received += (unsigned long long)(count > 0 ? count : 0);
  }
  return NULL;
}

int main(int count, char **values) {
  read_arguments(count, values);
  wanted = (unsigned long long)number_or("records", 0);
  consumers = (int)number_or("consumers", 1);
  pthread_t threads[64];
  if (consumers < 1 || consumers > 64) fail("consumers=%d: 1 to 64", consumers);
  for (int i = 0; i < consumers; i++) pthread_create(&threads[i], NULL, consume, (void *)(intptr_t)i);
  for (int i = 0; i < consumers; i++) pthread_join(threads[i], NULL);
  double took = (double)(now_us() - first_us) / 1e6;
  printf("{\"records\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"megabytesPerSecond\":%.3f}\n", (unsigned long long)received, (unsigned long long)bytes, took, (double)bytes / took / 1e6);
  // Closing a client that has fetched much takes a while, and proves nothing here.
  fflush(stdout);
  _exit(0);
}
