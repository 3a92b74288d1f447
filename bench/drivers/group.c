// members= consumers of one group in one process: how long until each has its share, and, when one has left, until the
// rest has it again; then commits= commits, one after the other.
#include "kafka.h"
#include <pthread.h>

#define MEMBERS_MAX 64
#define LIMIT_US 60000000

static rd_kafka_t *clients[MEMBERS_MAX];
static atomic_int shares[MEMBERS_MAX];
static atomic_int stopping;

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *partitions, void *opaque) {
  (void)opaque;
  int which = 0;
  while (clients[which] != client) which++;
  if (error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    rd_kafka_assign(client, partitions);
    shares[which] = partitions->cnt;
  } else {
    rd_kafka_assign(client, NULL);
    shares[which] = 0;
  }
}

static void *serve(void *which) {
  while (!(stopping & 1 << (intptr_t)which)) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(clients[(intptr_t)which], 50);
    if (message == NULL) continue;
    if (message->err) fail("member %d: %s", (int)(intptr_t)which, rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
  }
  return NULL;
}

static double settled(int from, int members, int partitions, uint64_t began) {
  for (;;) {
    int total = 0, idle = 0;
    for (int i = from; i < members; i++) total += shares[i], idle += shares[i] == 0;
    uint64_t now = now_us();
    if (total == partitions && idle == 0) return (double)(now - began) / 1000;
    if (now - began > LIMIT_US) fail("after 60 s %d of %d partitions are assigned, and %d members have none", total, partitions, idle);
    usleep(500);
  }
}

int main(int count, char **values) {
  read_arguments(count, values);
  int members = (int)number_or("members", 10);
  long long commits = number_or("commits", 0);
  if (members < 2 || members > 30) fail("members=%d: 2 to 30", members);
  for (int i = 0; i < members; i++) {
    rd_kafka_conf_t *conf = configuration();
    set(conf, "group.id", text_of("group"));
    set(conf, "session.timeout.ms", "10000");
    set(conf, "heartbeat.interval.ms", text_or("heartbeat", "100"));
    set(conf, "enable.auto.commit", "false");
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    clients[i] = start(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(clients[i]);
  }
  int partitions = partitions_of(clients[0], text_of("topic"));
  pthread_t threads[MEMBERS_MAX];
  rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, text_of("topic"), RD_KAFKA_PARTITION_UA);
  uint64_t began = now_us();
  for (int i = 0; i < members; i++) {
    rd_kafka_resp_err_t error = rd_kafka_subscribe(clients[i], topics);
    if (error) fail("subscribe: %s", rd_kafka_err2str(error));
    pthread_create(&threads[i], NULL, serve, (void *)(intptr_t)i);
  }
  double joined = settled(0, members, partitions, began);

  stopping |= 1;
  pthread_join(threads[0], NULL);
  began = now_us();
  rd_kafka_resp_err_t error = rd_kafka_consumer_close(clients[0]);
  if (error) fail("close: %s", rd_kafka_err2str(error));
  double rejoined = settled(1, members, partitions, began);

  double committing = 0;
  if (commits > 0) {
    rd_kafka_topic_partition_list_t *assigned;
    if (rd_kafka_assignment(clients[1], &assigned) || assigned->cnt == 0) fail("member 1 has no partitions");
    began = now_us();
    for (long long i = 0; i < commits; i++) {
      for (int p = 0; p < assigned->cnt; p++) assigned->elems[p].offset = i;
      if ((error = rd_kafka_commit(clients[1], assigned, 0))) fail("commit %lld: %s", i, rd_kafka_err2str(error));
    }
    committing = (double)(now_us() - began) / 1e6;
  }
  printf("{\"joinMs\":%.1f,\"leaveMs\":%.1f,\"commitSeconds\":%.6f}\n", joined, rejoined, committing);
  fflush(stdout);
  _exit(0);
}
