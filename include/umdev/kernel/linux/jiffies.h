/* Time in jiffies, a millisecond each. */
#pragma once

#include <linux/kernel.h>
#include <time.h>

#define HZ 1000
#define MAX_SCHEDULE_TIMEOUT LONG_MAX

static inline u64 ktime_get_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (u64)now.tv_sec * 1000000000ULL + (u64)now.tv_nsec;
}
static inline u64 get_jiffies_64(void) {
  return ktime_get_ns() / 1000000ULL;
}
#define jiffies ((unsigned long)get_jiffies_64())
#define msecs_to_jiffies(milliseconds) ((unsigned long)(milliseconds))
#define jiffies_to_msecs(time) ((unsigned int)(time))
#define time_after(left, right) ((long)((right) - (left)) < 0)
#define time_before(left, right) time_after(right, left)
