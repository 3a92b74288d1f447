// Drives an ensemble through ZooKeeper's C client: op=create, set or get, inflight= of them over connections=, count=
// in all; op=gap creates one after another for seconds= and prints the longest time without one, over losses of the
// connection.
#define THREADED
#include "common.h"
#include <pthread.h>
#include <zookeeper/zookeeper.h>

#define NODES 1000
#define CONNECTIONS_MAX 64

struct request {
  zhandle_t *handle;
  uint64_t sent;
};

static const char *op, *root;
static char *data;
static int size;
static unsigned long long count_wanted, issued, done;
static struct samples delays;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finished = PTHREAD_COND_INITIALIZER;

static void issue(struct request *request);

static void on_done(int code, struct request *request) {
  if (code != ZOK) fail("%s: %s", op, zerror(code));
  uint64_t now = now_us();
  pthread_mutex_lock(&lock);
  add_sample(&delays, now - request->sent);
  if (++done == count_wanted) pthread_cond_signal(&finished);
  pthread_mutex_unlock(&lock);
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
  pthread_mutex_lock(&lock);
  unsigned long long number = issued < count_wanted ? issued++ : UINT64_MAX;
  pthread_mutex_unlock(&lock);
  if (number == UINT64_MAX) return;
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
  for (uint64_t limit = now_us() + 30000000; zoo_state(handle) != ZOO_CONNECTED_STATE; usleep(1000))
    if (now_us() > limit) fail("no session with %s in 30 s", servers);
  return handle;
}

static void create_or_fail(zhandle_t *handle, const char *path) {
  int code = zoo_create(handle, path, data, size, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
  if (code != ZOK && code != ZNODEEXISTS) fail("create %s: %s", path, zerror(code));
}

static void longest_gap(zhandle_t *handle) {
  char path[256];
  uint64_t began = now_us(), until = began + (uint64_t)number_or("seconds", 8) * 1000000, last = began, longest = 0, created = 0;
  fprintf(stderr, "ready\n");
  for (uint64_t number = 0; last < until; number++) {
    snprintf(path, sizeof path, "%s/g%llu", root, (unsigned long long)number);
    int code = zoo_create(handle, path, data, size, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
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

  // connect= names members, one after another for each connection, so that every member has its share.
  char *members = strdup(text_of("connect")), *member[CONNECTIONS_MAX];
  int known = 0;
  zhandle_t *handles[CONNECTIONS_MAX];
  if (strcmp(op, "gap") == 0) {
    handles[0] = connect_to(members);
    create_or_fail(handles[0], root);
    longest_gap(handles[0]);
    fflush(stdout);
    _exit(0);
  }
  for (char *name = strtok(members, ","); name != NULL && known < CONNECTIONS_MAX; name = strtok(NULL, ",")) member[known++] = name;
  for (int i = 0; i < connections; i++) handles[i] = connect_to(member[i % known]);
  create_or_fail(handles[0], root);
  if (strcmp(op, "create") != 0) {
    char path[256];
    for (int i = 0; i < NODES; i++) {
      snprintf(path, sizeof path, "%s/n%d", root, i);
      create_or_fail(handles[0], path);
    }
    // Every member has them by now.
    for (int i = 0; i < connections; i++) zoo_exists(handles[i], "/", 0, NULL);
    usleep(200000);
  }
  uint64_t began = now_us();
  for (int i = 0; i < inflight; i++) {
    struct request *request = malloc(sizeof *request);
    request->handle = handles[i % connections];
    issue(request);
  }
  pthread_mutex_lock(&lock);
  struct timespec limit;
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_sec += 120;
  while (done < count_wanted)
    if (pthread_cond_timedwait(&finished, &lock, &limit)) fail("%llu of %llu in 120 s", done, count_wanted);
  double took = (double)(now_us() - began) / 1e6;
  sort_samples(&delays);
  printf("{\"count\":%llu,\"seconds\":%.6f,\"operationsPerSecond\":%.1f,\"p50Ms\":%.3f,\"p99Ms\":%.3f}\n", done, took, (double)done / took, percentile(&delays, 0.5), percentile(&delays, 0.99));
  fflush(stdout);
  _exit(0);
}
