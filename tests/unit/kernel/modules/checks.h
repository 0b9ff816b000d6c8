/* Checks of headers that need no device: a check is a function that returns the line of the first thing that
 * is wrong, or 0; a module's init runs them all, and says that line. */
#pragma once

#include <linux/errno.h>
#include <linux/printk.h>

#define CHECK(condition)               \
  do {                                 \
    if (!(condition)) return __LINE__; \
  } while (0)

/* In what is tried with a device. */
#define FAIL_UNLESS(condition)                      \
  do {                                              \
    if (!(condition)) {                             \
      pr_err("%d: not %s\n", __LINE__, #condition); \
      return -EDOM;                                 \
    }                                               \
  } while (0)

static inline int run_checks(int (*const checks[])(void), unsigned int count) {
  unsigned int n;
  for (n = 0; n < count; ++n) {
    const int line = checks[n]();
    if (!line) continue;
    pr_err("line %d is wrong\n", line);
    return -EINVAL;
  }
  return 0;
}
