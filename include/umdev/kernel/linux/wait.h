/* Wait queues: whoever waits sleeps until somebody wakes the queue and the condition holds. */
#pragma once

#include <linux/jiffies.h>
#include <linux/list.h>

UMDEV_C_BEGIN
struct wait_queue_head {
  int umdev_wakes; /* how often it was woken */
};
typedef struct wait_queue_head wait_queue_head_t;
UMDEV_C_END

#define __WAIT_QUEUE_HEAD_INITIALIZER(name) {0}
#define DECLARE_WAIT_QUEUE_HEAD(name) struct wait_queue_head name = __WAIT_QUEUE_HEAD_INITIALIZER(name)

static inline void init_waitqueue_head(struct wait_queue_head* head) {
  head->umdev_wakes = 0;
}
static inline void wake_up_all(struct wait_queue_head* head) {
  __atomic_fetch_add(&head->umdev_wakes, 1, __ATOMIC_SEQ_CST);
  umdev_kernel->wake(&head->umdev_wakes, true);
}
#define wake_up(head) wake_up_all(head)
#define wake_up_interruptible(head) wake_up_all(head)
#define wake_up_interruptible_all(head) wake_up_all(head)

/* The count is read before the condition: a wake-up in between is not missed. */
#define wait_event(head, condition)                                          \
  do {                                                                       \
    int umdev_seen = __atomic_load_n(&(head).umdev_wakes, __ATOMIC_SEQ_CST); \
    if (condition) break;                                                    \
    umdev_kernel->wait(&(head).umdev_wakes, umdev_seen, 0);                  \
  } while (1)
#define wait_event_interruptible(head, condition) \
  ({                                              \
    wait_event(head, condition);                  \
    0;                                            \
  })
/* The jiffies that were left, at least 1; 0 when the time was up and the condition does not hold. */
#define wait_event_timeout(head, condition, timeout)                                     \
  ({                                                                                     \
    long umdev_left = (long)(timeout);                                                   \
    for (;;) {                                                                           \
      int umdev_seen = __atomic_load_n(&(head).umdev_wakes, __ATOMIC_SEQ_CST);           \
      u64 umdev_end = get_jiffies_64() + (u64)umdev_left;                                \
      if (condition) {                                                                   \
        if (umdev_left == 0) umdev_left = 1;                                             \
        break;                                                                           \
      }                                                                                  \
      if (umdev_left <= 0) break;                                                        \
      umdev_kernel->wait(&(head).umdev_wakes, umdev_seen, (u64)umdev_left * 1000000ULL); \
      umdev_left = (long)(umdev_end - get_jiffies_64());                                 \
      if (umdev_left < 0) umdev_left = 0;                                                \
    }                                                                                    \
    umdev_left;                                                                          \
  })
#define wait_event_interruptible_timeout(head, condition, timeout) \
  wait_event_timeout(head, condition, timeout)
