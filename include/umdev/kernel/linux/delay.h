/* Sleeping: the call leaves its thread to others meanwhile. */
#pragma once

#include <linux/kernel.h>

static inline void msleep(unsigned int milliseconds) {
  umdev_kernel->sleep(milliseconds * 1000000ULL);
}
static inline void usleep_range(unsigned long least, unsigned long most) {
  (void)most;
  umdev_kernel->sleep(least * 1000ULL);
}
static inline void udelay(unsigned long microseconds) {
  umdev_kernel->sleep(microseconds * 1000ULL);
}
