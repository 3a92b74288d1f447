// A producer and a consumer in one process: from a record's hand-over to its arrival, at a rate. The first warmup=
// seconds do not count.
#include "kafka.h"
#include <pthread.h>

static atomic_ullong received;
static unsigned long long wanted, skipped;
static struct samples delays;

static void *consume(void *client) {
  uint64_t heard = now_us();
  while (received < wanted) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
    if (message == NULL) {
      if (now_us() - heard > 20000000) fail("%llu of %llu records came, then none for 20 s", (unsigned long long)received, wanted);
      continue;
    }
    heard = now_us();
    if (message->err) fail("record: %s", rd_kafka_message_errstr(message));
    uint64_t sent, number;
    memcpy(&sent, message->payload, 8);
    memcpy(&number, (char *)message->payload + 8, 8);
    if (number >= skipped) add_sample(&delays, heard - sent);
    received++;
    rd_kafka_message_destroy(message);
  }
  return NULL;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client, (void)opaque;
  if (message->err) fail("record not acknowledged: %s", rd_kafka_err2str(message->err));
}

int main(int count, char **values) {
  read_arguments(count, values);
  unsigned long long rate = (unsigned long long)number_or("rate", 1000);
  size_t size = (size_t)number_or("size", 1024);
  skipped = rate * (unsigned long long)number_or("warmup", 2);
  wanted = skipped + rate * (unsigned long long)number_or("seconds", 10);
  if (size < 16) fail("size=%zu: at least 16", size);

  rd_kafka_conf_t *conf = configuration();
  set(conf, "group.id", "bench");
  set(conf, "enable.auto.commit", "false");
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_t *consumer = start(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(consumer);
  assign(consumer, text_of("topic"), 0, 1, 1);

  conf = configuration();
  set(conf, "acks", text_or("acks", "all"));
  set(conf, "linger.ms", text_or("linger", "0"));
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_t *producer = start(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, text_of("topic"), NULL);
  int partitions = partitions_of(producer, text_of("topic"));

  pthread_t thread;
  pthread_create(&thread, NULL, consume, consumer);
  char *text = make_text(size);
  uint64_t began = now_us();
  for (uint64_t number = 0; number < wanted; number++) {
    uint64_t due = began + number * 1000000 / rate, now;
    while ((now = now_us()) < due) {
      rd_kafka_poll(producer, 0);
      if (due - now > 100) usleep((useconds_t)(due - now - 50));
    }
    // By the moment when it was due: a driver that falls behind must not hide the delay.
    memcpy(text, &due, 8);
    memcpy(text + 8, &number, 8);
    if (rd_kafka_produce(topic, (int32_t)(number % (unsigned)partitions), RD_KAFKA_MSG_F_COPY, text, size, NULL, 0, NULL) == -1) fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
  }
  if (rd_kafka_flush(producer, 30000)) fail("not all records were acknowledged");
  pthread_join(thread, NULL);
  sort_samples(&delays);
  printf("{\"count\":%zu,\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"p999Ms\":%.3f,\"maxMs\":%.3f}\n", delays.count, percentile(&delays, 0.5), percentile(&delays, 0.99), percentile(&delays, 0.999), percentile(&delays, 1));
  fflush(stdout);
  _exit(0);
}
