/* Timers. Their functions run on a thread that may sleep. One is known by its address; all end with the
 * module. */
#pragma once

#include <linux/jiffies.h>
#include <umdev/this_module.h>

/* 4.15 gave the function its timer instead of a number. */
#define UMDEV_TIMERS_BY_DATA (UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(4, 15, 0))

UMDEV_C_BEGIN
struct timer_list {
  unsigned long expires;
#if UMDEV_TIMERS_BY_DATA
  void (*function)(unsigned long data);
  unsigned long data;
#else
  void (*function)(struct timer_list* timer);
#endif
};
UMDEV_C_END

static inline void umdev_run_timer(void* raw) {
  struct timer_list* timer = (struct timer_list*)raw;
#if UMDEV_TIMERS_BY_DATA
  timer->function(timer->data);
#else
  timer->function(timer);
#endif
}

#if UMDEV_TIMERS_BY_DATA
static inline void init_timer(struct timer_list* timer) {
  (void)timer;
}
static inline void setup_timer(struct timer_list* timer, void (*function)(unsigned long),
                               unsigned long data) {
  timer->function = function;
  timer->data = data;
}
#else
static inline void timer_setup(struct timer_list* timer, void (*function)(struct timer_list*),
                               unsigned int flags) {
  (void)flags;
  timer->function = function;
}
#define DEFINE_TIMER(name, function) struct timer_list name = {0, function}
#define from_timer(variable, timer, member) container_of(timer, __typeof__(*(variable)), member)
#define timer_container_of(variable, timer, member) from_timer(variable, timer, member)
#endif

/* Whether it was waiting. */
static inline int mod_timer(struct timer_list* timer, unsigned long expires) {
  const long left = (long)(expires - jiffies);
  timer->expires = expires;
  if (!timer->function) return 0; /* shut down */
  return umdev_kernel->defer(THIS_MODULE, NULL, timer, umdev_run_timer,
                             left > 0 ? jiffies_to_nsecs((unsigned long)left) : 0, true);
}
static inline void add_timer(struct timer_list* timer) {
  mod_timer(timer, timer->expires);
}
static inline int timer_pending(const struct timer_list* timer) {
  return umdev_kernel->is_deferred(THIS_MODULE, timer);
}
static inline int umdev_timer_delete(struct timer_list* timer) {
  return umdev_kernel->cancel_deferred(THIS_MODULE, timer, false);
}
/* Does not run any more either. */
static inline int timer_delete_sync(struct timer_list* timer) {
  return umdev_kernel->cancel_deferred(THIS_MODULE, timer, true);
}
static inline int timer_shutdown_sync(struct timer_list* timer) {
  const int was_waiting = timer_delete_sync(timer);
  timer->function = NULL;
  return was_waiting;
}
/* A macro: the C library has a function of the name. */
#define timer_delete(timer) umdev_timer_delete(timer)
#define del_timer(timer) umdev_timer_delete(timer)
#define del_timer_sync(timer) timer_delete_sync(timer)
