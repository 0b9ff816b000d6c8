/* Tasks. A driver's calls run on threads of umdev's; those that it begins itself are in linux/kthread.h. */
#pragma once

#include <linux/jiffies.h>
#include <umdev/this_module.h>

#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
#define TASK_COMM_LEN 16

#define current (umdev_kernel->current_task())

static inline int wake_up_process(struct task_struct* task) {
  return umdev_kernel->wake_up_process(task);
}
/* schedule_timeout() sleeps in either state. */
#define set_current_state(state) ((void)(state))
#define __set_current_state(state) ((void)(state))

/* The jiffies that were left. wake_up_process() and kthread_stop() end it. */
static inline long schedule_timeout(long timeout) {
  static const int never = 0;
  const u64 end = get_jiffies_64() + (u64)timeout;
  long left;
  if (timeout == MAX_SCHEDULE_TIMEOUT) {
    umdev_kernel->wait(&never, 0, 0);
    return timeout;
  }
  if (timeout <= 0) return 0;
  umdev_kernel->wait(&never, 0, jiffies_to_nsecs((unsigned long)timeout));
  left = (long)(end - get_jiffies_64());
  return left > 0 ? left : 0;
}
#define schedule_timeout_interruptible(timeout) schedule_timeout(timeout)
#define schedule_timeout_uninterruptible(timeout) schedule_timeout(timeout)
static inline void schedule(void) {
  schedule_timeout(MAX_SCHEDULE_TIMEOUT);
}
static inline int signal_pending(struct task_struct* task) {
  (void)task;
  return 0;
}
#define cond_resched() \
  do {                 \
  } while (0)
