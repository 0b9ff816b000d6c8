/* Sleeping: the call leaves its thread to others meanwhile. */
#pragma once

#include <linux/sched.h>

static inline void msleep(unsigned int milliseconds) {
  umdev_kernel->sleep(milliseconds * 1000000ULL);
}
static inline void ssleep(unsigned int seconds) {
  umdev_kernel->sleep(seconds * 1000000000ULL);
}
static inline void usleep_range(unsigned long least, unsigned long most) {
  (void)most;
  umdev_kernel->sleep(least * 1000ULL);
}
static inline void fsleep(unsigned long microseconds) {
  umdev_kernel->sleep(microseconds * 1000ULL);
}
/* The milliseconds that were left: a thread is woken by kthread_stop(). */
static inline unsigned long msleep_interruptible(unsigned int milliseconds) {
  return jiffies_to_msecs((unsigned long)schedule_timeout((long)msecs_to_jiffies(milliseconds)));
}
static inline void udelay(unsigned long microseconds) {
  umdev_kernel->sleep(microseconds * 1000ULL);
}
static inline void ndelay(unsigned long nanoseconds) {
  umdev_kernel->sleep(nanoseconds);
}
static inline void mdelay(unsigned long milliseconds) {
  umdev_kernel->sleep(milliseconds * 1000000ULL);
}
