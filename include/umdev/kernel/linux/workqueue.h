/* Work that is done later, on threads that may sleep. A work is known by its address, and never runs beside
 * itself; all ends with the module. */
#pragma once

#include <linux/timer.h>

UMDEV_C_BEGIN
struct workqueue_struct;
struct work_struct;
typedef void (*work_func_t)(struct work_struct* work);
struct work_struct {
  work_func_t func;
};
struct delayed_work {
  struct work_struct work;
};
UMDEV_C_END

#define __WORK_INITIALIZER(name, function) {function}
#define DECLARE_WORK(name, function) struct work_struct name = __WORK_INITIALIZER(name, function)
#define DECLARE_DELAYED_WORK(name, function) struct delayed_work name = {__WORK_INITIALIZER(name, function)}
#define INIT_WORK(item, function) ((item)->func = (function))
#define INIT_DELAYED_WORK(item, function) INIT_WORK(&(item)->work, function)

static inline struct delayed_work* to_delayed_work(struct work_struct* work) {
  return container_of(work, struct delayed_work, work);
}
static inline void umdev_run_work(void* raw) {
  struct work_struct* work = (struct work_struct*)raw;
  work->func(work);
}

/* The module's own: everything in it runs beside each other. */
#define system_wq ((struct workqueue_struct*)NULL)
#define system_long_wq system_wq
#define system_highpri_wq system_wq
#define system_unbound_wq system_wq
#define system_freezable_wq system_wq

#define WQ_UNBOUND 0x2U
#define WQ_FREEZABLE 0x4U
#define WQ_MEM_RECLAIM 0x8U
#define WQ_HIGHPRI 0x10U
#define WQ_CPU_INTENSIVE 0x20U
#define WQ_SYSFS 0x40U
#define WQ_PERCPU 0x100U

UMDEV_C_BEGIN
UMDEV_PRINTF(1, 4)
static inline struct workqueue_struct* alloc_workqueue(const char* format, unsigned int flags, int max_active,
                                                       ...) {
  char name[64];
  va_list arguments;
  va_start(arguments, max_active);
  vsnprintf(name, sizeof(name), format, arguments);
  va_end(arguments);
  return umdev_kernel->alloc_workqueue(THIS_MODULE, name, max_active == 1 && (flags & WQ_UNBOUND) != 0);
}
UMDEV_C_END
#define alloc_ordered_workqueue(format, flags, ...) \
  alloc_workqueue(format, WQ_UNBOUND | (flags), 1, ##__VA_ARGS__)
#define create_workqueue(name) alloc_workqueue("%s", 0, 0, name)
#define create_singlethread_workqueue(name) alloc_ordered_workqueue("%s", 0, name)

static inline void flush_workqueue(struct workqueue_struct* queue) {
  umdev_kernel->flush_workqueue(THIS_MODULE, queue);
}
static inline void drain_workqueue(struct workqueue_struct* queue) {
  flush_workqueue(queue);
}
static inline void destroy_workqueue(struct workqueue_struct* queue) {
  umdev_kernel->destroy_workqueue(queue);
}
static inline void flush_scheduled_work(void) {
  flush_workqueue(system_wq);
}

/* False: it is waiting already. */
static inline bool queue_work(struct workqueue_struct* queue, struct work_struct* work) {
  return !umdev_kernel->defer(THIS_MODULE, queue, work, umdev_run_work, 0, false);
}
static inline bool schedule_work(struct work_struct* work) {
  return queue_work(system_wq, work);
}
static inline bool queue_delayed_work(struct workqueue_struct* queue, struct delayed_work* work,
                                      unsigned long delay) {
  return !umdev_kernel->defer(THIS_MODULE, queue, &work->work, umdev_run_work, jiffies_to_nsecs(delay),
                              false);
}
static inline bool schedule_delayed_work(struct delayed_work* work, unsigned long delay) {
  return queue_delayed_work(system_wq, work, delay);
}
/* True: it was waiting, and has another time now. */
static inline bool mod_delayed_work(struct workqueue_struct* queue, struct delayed_work* work,
                                    unsigned long delay) {
  return umdev_kernel->defer(THIS_MODULE, queue, &work->work, umdev_run_work, jiffies_to_nsecs(delay), true);
}
/* Whether there was anything to wait for. */
static inline bool flush_work(struct work_struct* work) {
  return umdev_kernel->flush_deferred(THIS_MODULE, work);
}
static inline bool flush_delayed_work(struct delayed_work* work) {
  return flush_work(&work->work);
}
/* Whether it was waiting; with _sync it does not run any more either. */
static inline bool cancel_work(struct work_struct* work) {
  return umdev_kernel->cancel_deferred(THIS_MODULE, work, false);
}
static inline bool cancel_work_sync(struct work_struct* work) {
  return umdev_kernel->cancel_deferred(THIS_MODULE, work, true);
}
static inline bool cancel_delayed_work(struct delayed_work* work) {
  return cancel_work(&work->work);
}
static inline bool cancel_delayed_work_sync(struct delayed_work* work) {
  return cancel_work_sync(&work->work);
}
static inline bool work_pending(const struct work_struct* work) {
  return umdev_kernel->is_deferred(THIS_MODULE, work);
}
static inline bool delayed_work_pending(const struct delayed_work* work) {
  return work_pending(&work->work);
}
