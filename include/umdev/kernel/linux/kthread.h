/* Threads of a module. They end when they are asked to, at the module's end at the latest. */
#pragma once

#include <linux/err.h>
#include <linux/sched.h>

UMDEV_C_BEGIN
/* Begins with wake_up_process(). */
UMDEV_PRINTF(3, 4)
static inline struct task_struct* kthread_create(int (*function)(void* data), void* data, const char* format,
                                                 ...) {
  struct task_struct* task;
  va_list arguments;
  va_start(arguments, format);
  task = umdev_kernel->kthread_create(THIS_MODULE, function, data, format, arguments);
  va_end(arguments);
  return task;
}
UMDEV_C_END
#define kthread_run(function, data, ...)                                            \
  ({                                                                                \
    struct task_struct* umdev_task = kthread_create(function, data, ##__VA_ARGS__); \
    if (!IS_ERR(umdev_task)) wake_up_process(umdev_task);                           \
    umdev_task;                                                                     \
  })
/* Asks it to end, wakes it and waits for it: what its function has returned; -EINTR: it has never begun. */
static inline int kthread_stop(struct task_struct* task) {
  return umdev_kernel->kthread_stop(task);
}
static inline bool kthread_should_stop(void) {
  return umdev_kernel->kthread_should_stop();
}
