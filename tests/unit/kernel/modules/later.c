/* Work, timers and threads: module_init() tries them, and its errno says which rule did not hold. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "tests/unit/kernel/modules/checks.h"

static char* leave = "";
module_param(leave, charp, 0444);
MODULE_PARM_DESC(leave, "what is left behind at the end");

/* --- Work. */

struct counted {
  struct work_struct work;
  struct delayed_work later;
  struct mutex lock;
  int runs;
  int inside;
  bool overlapped;
  bool again;
  struct completion began;
  struct completion go_on;
};

static void count_run(struct counted* counted) {
  if (__atomic_add_fetch(&counted->inside, 1, __ATOMIC_SEQ_CST) > 1) counted->overlapped = true;
  msleep(1);
  mutex_lock(&counted->lock);
  ++counted->runs;
  mutex_unlock(&counted->lock);
  __atomic_sub_fetch(&counted->inside, 1, __ATOMIC_SEQ_CST);
}
static void run_work(struct work_struct* work) {
  count_run(container_of(work, struct counted, work));
}
static void run_later(struct work_struct* work) {
  count_run(container_of(to_delayed_work(work), struct counted, later));
}
static void run_held(struct work_struct* work) {
  struct counted* counted = container_of(work, struct counted, work);
  complete(&counted->began);
  wait_for_completion(&counted->go_on);
  count_run(counted);
}
static void run_again_and_again(struct work_struct* work) {
  struct counted* counted = container_of(work, struct counted, work);
  count_run(counted);
  complete(&counted->began);
  if (counted->again) schedule_work(work);
}

static void init_counted(struct counted* counted, work_func_t function) {
  memset(counted, 0, sizeof(*counted));
  mutex_init(&counted->lock);
  init_completion(&counted->began);
  init_completion(&counted->go_on);
  INIT_WORK(&counted->work, function);
  INIT_DELAYED_WORK(&counted->later, run_later);
}

static int try_work(void) {
  struct counted counted;
  init_counted(&counted, run_work);
  FAIL_UNLESS(!flush_work(&counted.work));
  FAIL_UNLESS(schedule_work(&counted.work));
  FAIL_UNLESS(flush_work(&counted.work));
  FAIL_UNLESS(counted.runs == 1);
  FAIL_UNLESS(!work_pending(&counted.work));

  /* While it runs it can be asked for once more, and does not run beside itself. */
  init_counted(&counted, run_held);
  FAIL_UNLESS(schedule_work(&counted.work));
  wait_for_completion(&counted.began);
  FAIL_UNLESS(schedule_work(&counted.work));
  FAIL_UNLESS(!schedule_work(&counted.work));
  FAIL_UNLESS(work_pending(&counted.work));
  complete_all(&counted.go_on);
  flush_work(&counted.work);
  FAIL_UNLESS(counted.runs == 2 && !counted.overlapped);

  /* What is cancelled while it runs does not run again, though it asks for itself. */
  init_counted(&counted, run_again_and_again);
  counted.again = true;
  schedule_work(&counted.work);
  wait_for_completion(&counted.began);
  cancel_work_sync(&counted.work);
  FAIL_UNLESS(!work_pending(&counted.work) && counted.inside == 0);
  FAIL_UNLESS(!cancel_work_sync(&counted.work));
  return 0;
}

static int try_delayed_work(void) {
  struct counted counted;
  init_counted(&counted, run_work);
  FAIL_UNLESS(schedule_delayed_work(&counted.later, 3600UL * HZ));
  FAIL_UNLESS(!schedule_delayed_work(&counted.later, 0));
  FAIL_UNLESS(delayed_work_pending(&counted.later));
  FAIL_UNLESS(cancel_delayed_work_sync(&counted.later));
  FAIL_UNLESS(!cancel_delayed_work(&counted.later));
  FAIL_UNLESS(counted.runs == 0);
  /* Waits for nothing when it is flushed. */
  FAIL_UNLESS(schedule_delayed_work(&counted.later, 3600UL * HZ));
  FAIL_UNLESS(flush_delayed_work(&counted.later));
  FAIL_UNLESS(counted.runs == 1);
  FAIL_UNLESS(!mod_delayed_work(system_wq, &counted.later, 3600UL * HZ));
  FAIL_UNLESS(mod_delayed_work(system_wq, &counted.later, 0));
  FAIL_UNLESS(flush_delayed_work(&counted.later));
  FAIL_UNLESS(counted.runs == 2);
  return 0;
}

static int order[3];
static int ordered;
#define ORDERED(n)                                        \
  static void run_ordered_##n(struct work_struct* work) { \
    (void)work;                                           \
    msleep(3 - n);                                        \
    order[ordered++] = n;                                 \
  }                                                       \
  static DECLARE_WORK(ordered_##n, run_ordered_##n)
ORDERED(0);
ORDERED(1);
ORDERED(2);

static int try_queues(void) {
  struct counted counted;
  struct workqueue_struct* queue = alloc_ordered_workqueue("later-%d", 0, 1);
  FAIL_UNLESS(queue);
  FAIL_UNLESS(queue_work(queue, &ordered_0) && queue_work(queue, &ordered_1) &&
              queue_work(queue, &ordered_2));
  flush_workqueue(queue);
  FAIL_UNLESS(ordered == 3 && order[0] == 0 && order[1] == 1 && order[2] == 2);
  /* One behind another can be taken out of the line. */
  ordered = 0;
  init_counted(&counted, run_held);
  queue_work(queue, &counted.work);
  queue_work(queue, &ordered_0);
  queue_work(queue, &ordered_1);
  wait_for_completion(&counted.began);
  FAIL_UNLESS(cancel_work(&ordered_0));
  complete(&counted.go_on);
  flush_workqueue(queue);
  FAIL_UNLESS(counted.runs == 1 && ordered == 1 && order[0] == 1);
  init_counted(&counted, run_work);
  queue_work(queue, &counted.work);
  destroy_workqueue(queue); /* after what is in it */
  FAIL_UNLESS(counted.runs == 1);

  queue = alloc_workqueue("%s", 0, 0, "beside");
  FAIL_UNLESS(queue);
  queue_work(queue, &counted.work);
  flush_workqueue(queue);
  FAIL_UNLESS(counted.runs == 2);
  destroy_workqueue(queue);
  flush_scheduled_work();
  return 0;
}

/* --- Timers. */

struct ticking {
  struct timer_list timer;
  int ticks;
  struct completion ticked;
};

#if UMDEV_TIMERS_BY_DATA
static void tick(unsigned long data) {
  struct ticking* ticking = (struct ticking*)data;
#else
static void tick(struct timer_list* timer) {
  struct ticking* ticking = from_timer(ticking, timer, timer);
#endif
  ++ticking->ticks;
  pr_info("ticked\n");
  complete(&ticking->ticked);
}

static int try_timers(void) {
  struct ticking ticking = {};
  init_completion(&ticking.ticked);
#if UMDEV_TIMERS_BY_DATA
  setup_timer(&ticking.timer, tick, (unsigned long)&ticking);
#else
  timer_setup(&ticking.timer, tick, 0);
#endif
  FAIL_UNLESS(!timer_pending(&ticking.timer));
  FAIL_UNLESS(!mod_timer(&ticking.timer, jiffies + 3600UL * HZ));
  FAIL_UNLESS(timer_pending(&ticking.timer));
  FAIL_UNLESS(mod_timer(&ticking.timer, jiffies)); /* now */
  wait_for_completion(&ticking.ticked);
  FAIL_UNLESS(!del_timer_sync(&ticking.timer));
  FAIL_UNLESS(ticking.ticks == 1);
  ticking.timer.expires = jiffies + 3600UL * HZ;
  add_timer(&ticking.timer);
  FAIL_UNLESS(del_timer(&ticking.timer));
  FAIL_UNLESS(!del_timer(&ticking.timer));
  mod_timer(&ticking.timer, jiffies + 3600UL * HZ);
  FAIL_UNLESS(timer_shutdown_sync(&ticking.timer));
  FAIL_UNLESS(!mod_timer(&ticking.timer, jiffies) && !timer_pending(&ticking.timer));
  return 0;
}

/* --- Threads. */

static DECLARE_WAIT_QUEUE_HEAD(pokes);
static int poked;
static DECLARE_COMPLETION(was_poked);

static int wait_for_pokes(void* data) {
  int seen = 0;
  int* began = (int*)data;
  *began = 1;
  if (strcmp(current->comm, "poked-7") != 0) return -EBADMSG;
  while (!kthread_should_stop()) {
    wait_event_interruptible(pokes, poked > seen || kthread_should_stop());
    if (seen != poked) complete(&was_poked);
    seen = poked;
  }
  return 40 + seen;
}
static int sleep_for_ever(void* data) {
  (void)data;
  while (!kthread_should_stop()) {
    set_current_state(TASK_INTERRUPTIBLE);
    schedule();
  }
  return (int)schedule_timeout(0);
}

static int try_threads(void) {
  int began = 0;
  struct task_struct* thread = kthread_run(wait_for_pokes, &began, "poked-%d", 7);
  FAIL_UNLESS(!IS_ERR(thread));
  poked = 2;
  wake_up(&pokes);
  wait_for_completion(&was_poked);
  FAIL_UNLESS(kthread_stop(thread) == 42 && began);
  thread = kthread_create(wait_for_pokes, &began, "never");
  FAIL_UNLESS(kthread_stop(thread) == -EINTR);
  thread = kthread_run(sleep_for_ever, NULL, "sleeper");
  FAIL_UNLESS(wake_up_process(thread) == 1);
  FAIL_UNLESS(kthread_stop(thread) == 0);
  FAIL_UNLESS(!kthread_should_stop());
  FAIL_UNLESS(strcmp(current->comm, "umdevd") == 0);
  return 0;
}

/* --- What is left behind. */

static struct counted left_behind;
static struct ticking left_ticking;

static void leave_behind(void) {
  init_counted(&left_behind, run_again_and_again);
  left_behind.again = true;
  init_completion(&left_ticking.ticked);
#if UMDEV_TIMERS_BY_DATA
  setup_timer(&left_ticking.timer, tick, (unsigned long)&left_ticking);
#else
  timer_setup(&left_ticking.timer, tick, 0);
#endif
  if (strchr(leave, 'w')) schedule_work(&left_behind.work);
  if (strchr(leave, 'd')) schedule_delayed_work(&left_behind.later, 3600UL * HZ);
  if (strchr(leave, 't')) mod_timer(&left_ticking.timer, jiffies + 3600UL * HZ);
  if (strchr(leave, 'q')) create_singlethread_workqueue("left");
  if (strchr(leave, 'k')) kthread_run(sleep_for_ever, NULL, "left");
}

static int __init later_init(void) {
  int result = try_work();
  if (!result) result = try_delayed_work();
  if (!result) result = try_queues();
  if (!result) result = try_timers();
  if (!result) result = try_threads();
  if (!result) leave_behind();
  return result;
}
static void __exit later_exit(void) {}

module_init(later_init) module_exit(later_exit)

    MODULE_LICENSE("GPL");
