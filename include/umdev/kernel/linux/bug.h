/* What a driver says when it finds itself wrong. A warning goes to the log; a bug ends the call that it is
 * in. */
#pragma once

#include <linux/types.h>
#include <umdev/this_module.h>

#define WARN_ON(condition)                                                                      \
  ({                                                                                            \
    int umdev_warns = !!(condition);                                                            \
    if (unlikely(umdev_warns)) umdev_kernel->warn(THIS_MODULE, __FILE__, __LINE__, #condition); \
    unlikely(umdev_warns);                                                                      \
  })
#define WARN_ON_ONCE(condition)                                                                 \
  ({                                                                                            \
    static int umdev_warned;                                                                    \
    int umdev_warns_once = !!(condition);                                                       \
    if (unlikely(umdev_warns_once) && !__atomic_exchange_n(&umdev_warned, 1, __ATOMIC_RELAXED)) \
      umdev_kernel->warn(THIS_MODULE, __FILE__, __LINE__, #condition);                          \
    unlikely(umdev_warns_once);                                                                 \
  })
#define WARN(condition, ...)                                                           \
  ({                                                                                   \
    int umdev_warns = !!(condition);                                                   \
    if (unlikely(umdev_warns)) umdev_kernel->printk(THIS_MODULE, "\0014" __VA_ARGS__); \
    unlikely(umdev_warns);                                                             \
  })
#define WARN_ONCE(condition, ...)                                                               \
  ({                                                                                            \
    static int umdev_warned;                                                                    \
    int umdev_warns_once = !!(condition);                                                       \
    if (unlikely(umdev_warns_once) && !__atomic_exchange_n(&umdev_warned, 1, __ATOMIC_RELAXED)) \
      umdev_kernel->printk(THIS_MODULE, "\0014" __VA_ARGS__);                                   \
    unlikely(umdev_warns_once);                                                                 \
  })
#define BUG() umdev_kernel->bug(THIS_MODULE, __FILE__, __LINE__)
#define BUG_ON(condition)           \
  do {                              \
    if (unlikely(condition)) BUG(); \
  } while (0)

#ifdef __cplusplus
#define BUILD_BUG_ON(condition) static_assert(!(condition), #condition)
#else
#define BUILD_BUG_ON(condition) _Static_assert(!(condition), #condition)
#endif
#define BUILD_BUG_ON_MSG(condition, text) BUILD_BUG_ON(condition)
#if !defined(__cplusplus) && !defined(static_assert)
#define static_assert(condition, ...) _Static_assert(condition, "" #condition)
#endif
#define BUILD_BUG_ON_ZERO(condition) ((int)(0 * sizeof(char[1 - 2 * !!(condition)])))
