// Drives an ensemble through ZooKeeper's C client, the one without threads: op=create, set or get, inflight= of them over
// connections=, count= in all; op=gap creates one after another for seconds= and prints the longest time without one, over
// losses of the connection. (The client with threads wakes one of them for each request, which costs more than most
// requests cost a member.)
#include "common.h"
#include <poll.h>
#include <zookeeper/zookeeper.h>

#define NODES 1000
#define CONNECTIONS_MAX 64
#define WAIT_MS_MAX 20

struct request {
  zhandle_t *handle;
  uint64_t sent;
};

static const char *op, *root;
static char *data;
static int size;
static zhandle_t *handles[CONNECTIONS_MAX];
static int handles_count;
static unsigned long long count_wanted, issued, done;
static struct samples delays;

// Lets all connections read and write what they can, and waits for that.
static void turn(void) {
  struct pollfd polled[CONNECTIONS_MAX];
  int wait_ms = WAIT_MS_MAX;
  for (int i = 0; i < handles_count; i++) {
    int fd = -1, interest = 0;
    struct timeval until = {0, 0};
    // An error is told to whoever waits for an answer, and the client connects anew.
    zookeeper_interest(handles[i], &fd, &interest, &until);
    int ms = (int)(until.tv_sec * 1000 + until.tv_usec / 1000);
    if (fd >= 0 && ms < wait_ms) wait_ms = ms;
    polled[i] = (struct pollfd){.fd = fd, .events = (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) | (interest & ZOOKEEPER_WRITE ? POLLOUT : 0))};
  }
  poll(polled, (nfds_t)handles_count, wait_ms);
  for (int i = 0; i < handles_count; i++) {
    int events = (polled[i].revents & (POLLIN | POLLERR | POLLHUP) ? ZOOKEEPER_READ : 0) | (polled[i].revents & POLLOUT ? ZOOKEEPER_WRITE : 0);
    if (events != 0) zookeeper_process(handles[i], events);
  }
}

static void issue(struct request *request);

static void on_done(int code, struct request *request) {
  if (code != ZOK) fail("%s: %s", op, zerror(code));
  add_sample(&delays, now_us() - request->sent);
  done++;
  issue(request);
}

static void on_string(int code, const char *value, const void *request) {
  (void)value;
  on_done(code, (struct request *)request);
}

static void on_stat(int code, const struct Stat *stat, const void *request) {
  (void)stat;
  on_done(code, (struct request *)request);
}

static void on_data(int code, const char *value, int length, const struct Stat *stat, const void *request) {
  (void)value, (void)stat;
  if (code == ZOK && length != size) fail("get: %d bytes of %d", length, size);
  on_done(code, (struct request *)request);
}

static void issue(struct request *request) {
  if (issued == count_wanted) return;
  unsigned long long number = issued++;
  char path[256];
  request->sent = now_us();
  int code;
  if (strcmp(op, "create") == 0) {
    snprintf(path, sizeof path, "%s/c%llu", root, number);
    code = zoo_acreate(request->handle, path, data, size, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, request);
  } else {
    snprintf(path, sizeof path, "%s/n%llu", root, number % NODES);
    code = strcmp(op, "set") == 0 ? zoo_aset(request->handle, path, data, size, -1, on_stat, request) : zoo_aget(request->handle, path, 0, on_data, request);
  }
  if (code != ZOK) fail("%s %s: %s", op, path, zerror(code));
}

static zhandle_t *connect_to(const char *servers) {
  zhandle_t *handle = zookeeper_init(servers, NULL, 10000, NULL, NULL, 0);
  if (handle == NULL) fail("no handle for %s", servers);
  // It would resolve all names anew at each turn.
  zoo_set_servers_resolution_delay(handle, -1);
  handles[handles_count++] = handle;
  for (uint64_t limit = now_us() + 30000000; zoo_state(handle) != ZOO_CONNECTED_STATE; turn())
    if (now_us() > limit) fail("no session with %s in 30 s", servers);
  return handle;
}

#define PENDING 1

static void on_answer(int code, const char *value, const void *answer) {
  (void)value;
  *(int *)answer = code;
}

// Of one create, once it is answered or its connection lost.
static int create(zhandle_t *handle, const char *path) {
  int answer = PENDING;
  int code = zoo_acreate(handle, path, data, size, &ZOO_OPEN_ACL_UNSAFE, 0, on_answer, &answer);
  if (code != ZOK) {
    turn();
    return code;
  }
  while (answer == PENDING) turn();
  return answer;
}

static void create_or_fail(zhandle_t *handle, const char *path) {
  int code = create(handle, path);
  if (code != ZOK && code != ZNODEEXISTS) fail("create %s: %s", path, zerror(code));
}

static void longest_gap(zhandle_t *handle) {
  char path[256];
  uint64_t began = now_us(), until = began + (uint64_t)number_or("seconds", 8) * 1000000, last = began, longest = 0, created = 0;
  fprintf(stderr, "ready\n");
  for (uint64_t number = 0; last < until; number++) {
    snprintf(path, sizeof path, "%s/g%llu", root, (unsigned long long)number);
    int code = create(handle, path);
    uint64_t now = now_us();
    if (code == ZOK || code == ZNODEEXISTS) {
      if (now - last > longest) longest = now - last;
      last = now;
      created++;
    } else if (code == ZCONNECTIONLOSS || code == ZOPERATIONTIMEOUT) {
      number--;
      usleep(1000);
      if (now > until + 60000000) fail("no create for 60 s");
    } else {
      fail("create %s: %s", path, zerror(code));
    }
  }
  printf("{\"created\":%llu,\"gapMs\":%.1f}\n", (unsigned long long)created, (double)longest / 1000);
}

static void on_synced(int code, const char *value, const void *synced) {
  (void)value;
  if (code != ZOK) fail("sync: %s", zerror(code));
  *(int *)synced += 1;
}

int main(int count, char **values) {
  read_arguments(count, values);
  zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
  op = text_of("op");
  root = text_of("root");
  size = (int)number_or("size", 100);
  data = calloc(1, (size_t)size + 1);
  memset(data, 'x', (size_t)size);
  int connections = (int)number_or("connections", 3), inflight = (int)number_or("inflight", 300);
  count_wanted = (unsigned long long)number_or("count", 10000);
  if (connections < 1 || connections > CONNECTIONS_MAX) fail("connections=%d: 1 to %d", connections, CONNECTIONS_MAX);

  if (strcmp(op, "gap") == 0) {
    zhandle_t *handle = connect_to(text_of("connect"));
    create_or_fail(handle, root);
    longest_gap(handle);
    fflush(stdout);
    _exit(0);
  }
  // connect= names members, one after another for each connection, so that every member has its share.
  char *members = strdup(text_of("connect")), *member[CONNECTIONS_MAX];
  int known = 0, synced = 0;
  for (char *name = strtok(members, ","); name != NULL && known < CONNECTIONS_MAX; name = strtok(NULL, ",")) member[known++] = name;
  for (int i = 0; i < connections; i++) connect_to(member[i % known]);
  create_or_fail(handles[0], root);
  if (strcmp(op, "create") != 0) {
    char path[256];
    for (int i = 0; i < NODES; i++) {
      snprintf(path, sizeof path, "%s/n%d", root, i);
      create_or_fail(handles[0], path);
    }
  }
  // Every member has them by then.
  for (int i = 0; i < connections; i++)
    if (zoo_async(handles[i], root, on_synced, &synced) != ZOK) fail("sync");
  while (synced < connections) turn();

  uint64_t began = now_us(), limit = began + 120000000;
  for (int i = 0; i < inflight; i++) {
    struct request *request = malloc(sizeof *request);
    request->handle = handles[i % connections];
    issue(request);
  }
  while (done < count_wanted) {
    turn();
    if (now_us() > limit) fail("%llu of %llu in 120 s", done, count_wanted);
  }
  double took = (double)(now_us() - began) / 1e6;
  sort_samples(&delays);
  printf("{\"count\":%llu,\"seconds\":%.6f,\"operationsPerSecond\":%.1f,\"p50Ms\":%.3f,\"p99Ms\":%.3f}\n", done, took, (double)done / took, percentile(&delays, 0.5), percentile(&delays, 0.99));
  fflush(stdout);
  _exit(0);
}
