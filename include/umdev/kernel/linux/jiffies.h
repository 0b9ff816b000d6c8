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
/* Nanoseconds of the same clock. */
typedef s64 ktime_t;
static inline ktime_t ktime_get(void) {
  return (ktime_t)ktime_get_ns();
}
static inline s64 ktime_to_ns(ktime_t time) {
  return time;
}
static inline s64 ktime_to_us(ktime_t time) {
  return time / 1000;
}
static inline s64 ktime_to_ms(ktime_t time) {
  return time / 1000000;
}
static inline ktime_t ktime_sub(ktime_t later, ktime_t earlier) {
  return later - earlier;
}
static inline ktime_t ktime_add_ns(ktime_t time, u64 nanoseconds) {
  return time + (s64)nanoseconds;
}
static inline u64 get_jiffies_64(void) {
  return ktime_get_ns() / 1000000ULL;
}
#define jiffies ((unsigned long)get_jiffies_64())
#define msecs_to_jiffies(milliseconds) ((unsigned long)(milliseconds))
#define jiffies_to_msecs(time) ((unsigned int)(time))
#define usecs_to_jiffies(microseconds) ((unsigned long)(((microseconds) + 999UL) / 1000UL))
#define nsecs_to_jiffies(nanoseconds) ((unsigned long)((nanoseconds) / 1000000ULL))
static inline u64 jiffies_to_nsecs(unsigned long time) {
  return time > ULLONG_MAX / 1000000ULL ? ULLONG_MAX : time * 1000000ULL;
}
#define round_jiffies(time) (time)
#define round_jiffies_relative(time) (time)
#define time_after(left, right) ((long)((right) - (left)) < 0)
#define time_before(left, right) time_after(right, left)
#define time_after_eq(left, right) ((long)((left) - (right)) >= 0)
#define time_before_eq(left, right) time_after_eq(right, left)
#define time_is_before_jiffies(time) time_after(jiffies, time)
#define time_is_after_jiffies(time) time_before(jiffies, time)
