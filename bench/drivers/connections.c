// Holds open= connections, dealt out to the brokers of bootstrap=, and asks for the versions of the APIs on each of them
// once in every= ms. Says "ready" when all have been answered, and goes on until it is killed.
#include "common.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

// ApiVersions 0 from client "bench".
static const uint8_t request[] = {0, 0, 0, 15, 0, 18, 0, 0, 0, 0, 0, 7, 0, 5, 'b', 'e', 'n', 'c', 'h'};

#define EVENTS_MAX 256

struct connection {
  int fd, asked;
  // Of the answer under way: bytes still to come, and how many of its four bytes of length are there.
  uint32_t left, length_bytes;
};

static struct connection *open_one(const char *broker) {
  char host[64];
  int port;
  if (sscanf(broker, "%63[^:]:%d", host, &port) != 2) fail("%s is not host:port", broker);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("%s is not an address", host);
  struct connection *one = calloc(1, sizeof *one);
  one->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (one->fd < 0 || connect(one->fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect %s: %s", broker, strerror(errno));
  return one;
}

static void ask(struct connection *one) {
  if (write(one->fd, request, sizeof request) != sizeof request) fail("a connection takes no request: %s", strerror(errno));
  one->asked = 1;
}

static void take(struct connection *one) {
  uint8_t bytes[4096];
  ssize_t count = read(one->fd, bytes, sizeof bytes);
  if (count <= 0) fail("a broker closed a connection: %s", count == 0 ? "end" : strerror(errno));
  for (ssize_t at = 0; at < count;) {
    if (one->length_bytes < 4) {
      one->left = one->left << 8 | bytes[at++];
      one->length_bytes++;
    } else {
      uint32_t here = (uint32_t)(count - at) < one->left ? (uint32_t)(count - at) : one->left;
      one->left -= here, at += here;
      if (one->left == 0) one->length_bytes = 0, one->asked = 0;
    }
  }
}

int main(int count, char **values) {
  read_arguments(count, values);
  long long open = number_or("open", 1), every = number_or("every", 1000);
  char *brokers[16], *list = strdup(text_of("bootstrap"));
  int brokers_count = 0;
  for (char *each = strtok(list, ","); each != NULL && brokers_count < 16; each = strtok(NULL, ",")) brokers[brokers_count++] = each;
  struct connection **all = calloc((size_t)open, sizeof *all);
  int epoll = epoll_create1(0);
  for (long long i = 0; i < open; i++) {
    all[i] = open_one(brokers[i % brokers_count]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = all[i]};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i]->fd, &event) != 0) fail("epoll: %s", strerror(errno));
  }
  // Dealt out over the interval, so that they do not all ask at once.
  uint64_t began = now_us(), asked = 0;
  for (int said = 0;;) {
    uint64_t due = (now_us() - began) * (uint64_t)open / ((uint64_t)every * 1000);
    for (; asked < due; asked++) {
      struct connection *next = all[asked % (uint64_t)open];
      if (next->asked) fail("a connection had no answer within %lld ms", every);
      ask(next);
    }
    struct epoll_event events[EVENTS_MAX];
    int found = epoll_wait(epoll, events, EVENTS_MAX, 5);
    for (int i = 0; i < found; i++) take(events[i].data.ptr);
    if (!said && asked > (uint64_t)open) {
      puts("ready");
      fflush(stdout);
      said = 1;
    }
  }
}
