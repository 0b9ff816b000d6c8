/* Something that is over once, or as often as it was completed. */
#pragma once

#include <linux/wait.h>

UMDEV_C_BEGIN
struct completion {
  unsigned int done;
  struct wait_queue_head wait;
};
UMDEV_C_END

#define DECLARE_COMPLETION(name) struct completion name = {0, {0}}

static inline void init_completion(struct completion* completion) {
  completion->done = 0;
  init_waitqueue_head(&completion->wait);
}
static inline void reinit_completion(struct completion* completion) {
  __atomic_store_n(&completion->done, 0U, __ATOMIC_SEQ_CST);
}
static inline void complete(struct completion* completion) {
  __atomic_fetch_add(&completion->done, 1U, __ATOMIC_SEQ_CST);
  wake_up_all(&completion->wait);
}
static inline void complete_all(struct completion* completion) {
  __atomic_store_n(&completion->done, UINT_MAX / 2, __ATOMIC_SEQ_CST);
  wake_up_all(&completion->wait);
}
static inline bool try_wait_for_completion(struct completion* completion) {
  unsigned int done = __atomic_load_n(&completion->done, __ATOMIC_SEQ_CST);
  while (done > 0) {
    unsigned int after = done >= UINT_MAX / 4 ? done : done - 1;
    if (__atomic_compare_exchange_n(&completion->done, &done, after, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
      return true;
  }
  return false;
}
static inline void wait_for_completion(struct completion* completion) {
  wait_event(completion->wait, try_wait_for_completion(completion));
}
static inline int wait_for_completion_interruptible(struct completion* completion) {
  wait_for_completion(completion);
  return 0;
}
static inline unsigned long wait_for_completion_timeout(struct completion* completion,
                                                        unsigned long timeout) {
  return (unsigned long)wait_event_timeout(completion->wait, try_wait_for_completion(completion), timeout);
}
