// What the drivers share: key=value arguments, one clock, percentiles, and an end with 1 at any fault.
#ifndef COMMON_H
#define COMMON_H
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static int arguments_count;
static char **arguments;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
  va_list values;
  va_start(values, format);
  vfprintf(stderr, format, values);
  va_end(values);
  fputc('\n', stderr);
  _exit(1);
}

static void read_arguments(int count, char **values) {
  arguments_count = count;
  arguments = values;
  // A benchmark that is cut short leaves no driver behind.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 1; i < count; i++)
    if (strchr(values[i], '=') == NULL) fail("%s: expected key=value", values[i]);
}

static inline const char *text_or(const char *key, const char *otherwise) {
  size_t length = strlen(key);
  for (int i = 1; i < arguments_count; i++)
    if (strncmp(arguments[i], key, length) == 0 && arguments[i][length] == '=') return arguments[i] + length + 1;
  return otherwise;
}

static inline const char *text_of(const char *key) {
  const char *found = text_or(key, NULL);
  if (found == NULL) fail("%s= is missing", key);
  return found;
}

static inline long long number_or(const char *key, long long otherwise) {
  const char *found = text_or(key, NULL);
  if (found == NULL) return otherwise;
  char *end;
  long long value = strtoll(found, &end, 10);
  if (*end != '\0' || end == found) fail("%s=%s: expected a whole number", key, found);
  return value;
}

// Microseconds of a clock that all processes of a machine share.
static inline uint64_t now_us(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000 + (uint64_t)at.tv_nsec / 1000;
}

struct samples {
  uint32_t *values;
  size_t count, capacity;
};

static inline void add_sample(struct samples *all, uint64_t us) {
  if (all->count == all->capacity) {
    all->capacity = all->capacity == 0 ? 4096 : all->capacity * 2;
    all->values = realloc(all->values, all->capacity * sizeof *all->values);
    if (all->values == NULL) fail("out of memory");
  }
  all->values[all->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare_samples(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return left < right ? -1 : left > right;
}

static inline void sort_samples(struct samples *all) { qsort(all->values, all->count, sizeof *all->values, compare_samples); }

// Milliseconds, of sorted samples, by nearest rank.
static inline double percentile(const struct samples *all, double share) {
  if (all->count == 0) return 0;
  size_t rank = (size_t)(share * (double)all->count + 0.999999);
  if (rank > 0) rank--;
  if (rank >= all->count) rank = all->count - 1;
  return all->values[rank] / 1000.0;
}
#endif
