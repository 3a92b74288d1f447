// Produces for seconds= or records=, as fast as it can or rate= records a second, and prints what was acknowledged.
#include "kafka.h"

#define SAMPLE_EVERY 32

static uint64_t acknowledged, last_us;
static struct samples waits;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client, (void)opaque;
  if (message->err) fail("record not acknowledged: %s", rd_kafka_err2str(message->err));
  acknowledged++;
  if (message->_private != NULL) {
    last_us = now_us();
    add_sample(&waits, last_us - (uint64_t)(uintptr_t)message->_private);
  }
}

int main(int count, char **values) {
  read_arguments(count, values);
  long long records = number_or("records", 0), seconds = number_or("seconds", 0), rate = number_or("rate", 0);
  size_t size = (size_t)number_or("size", 1024), text_bytes = 4 << 20;
  if ((records == 0) == (seconds == 0)) fail("one of records= and seconds= is wanted");

  rd_kafka_conf_t *conf = configuration();
  set(conf, "acks", text_or("acks", "all"));
  set(conf, "compression.type", text_or("codec", "none"));
  set(conf, "linger.ms", text_or("linger", "5"));
  set(conf, "queue.buffering.max.messages", "1000000");
  set(conf, "queue.buffering.max.kbytes", "65536");
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_t *client = start(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(client, text_of("topic"), NULL);
  // Connected, and told who leads, before the clock runs.
  int partitions = partitions_of(client, text_of("topic"));
  char *text = make_text(text_bytes + size);

  uint32_t state = 88172645u;
  uint64_t sent = 0, began = now_us(), until = began + (uint64_t)seconds * 1000000;
  while (records != 0 ? sent < (uint64_t)records : (sent % 64 != 0 || now_us() < until)) {
    if (rate > 0)
      for (uint64_t due = began + sent * 1000000 / (uint64_t)rate, now = now_us(); now < due; now = now_us()) rd_kafka_poll(client, (int)((due - now) / 1000 > 5 ? 5 : (due - now) / 1000));
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    void *stamp = sent % SAMPLE_EVERY == 0 ? (void *)(uintptr_t)now_us() : NULL;
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, text + state % text_bytes, size, NULL, 0, stamp) == -1) {
      rd_kafka_resp_err_t error = rd_kafka_last_error();
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) fail("produce: %s", rd_kafka_err2str(error));
      rd_kafka_poll(client, 5);
    }
    sent++;
    if (sent % 256 == 0) rd_kafka_poll(client, 0);
  }
  rd_kafka_resp_err_t error = rd_kafka_flush(client, 60000);
  double took = (double)(now_us() - began) / 1e6;
  if (error || acknowledged != sent) fail("%llu of %llu records were acknowledged: %s", (unsigned long long)acknowledged, (unsigned long long)sent, rd_kafka_err2str(error));
  sort_samples(&waits);
  double bytes = (double)sent * (double)size;
  printf("{\"records\":%llu,\"bytes\":%.0f,\"seconds\":%.6f,\"megabytesPerSecond\":%.3f,\"ackP50Ms\":%.3f,\"ackP99Ms\":%.3f,\"partitions\":%d}\n", (unsigned long long)sent, bytes, took, bytes / took / 1e6, percentile(&waits, 0.5), percentile(&waits, 0.99), partitions);
  return 0;
}
