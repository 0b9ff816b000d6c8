/* Mutexes. All-zero is an unlocked one. One that has to wait leaves its thread to others (see services.h:
 * wait). */
#pragma once

#include <linux/lockdep.h>
#include <linux/types.h>

UMDEV_C_BEGIN
struct mutex {
  int umdev_state; /* 0 free, 1 held, 2 held and waited for */
};
UMDEV_C_END

#define __MUTEX_INITIALIZER(name) {0}
#define DEFINE_MUTEX(name) struct mutex name = __MUTEX_INITIALIZER(name)

static inline void mutex_init(struct mutex* lock) {
  lock->umdev_state = 0;
}
static inline void mutex_destroy(struct mutex* lock) {
  (void)lock;
}
static inline bool mutex_is_locked(struct mutex* lock) {
  return __atomic_load_n(&lock->umdev_state, __ATOMIC_RELAXED) != 0;
}
static inline int mutex_trylock(struct mutex* lock) {
  int free_state = 0;
  return __atomic_compare_exchange_n(&lock->umdev_state, &free_state, 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}
static inline void mutex_lock(struct mutex* lock) {
  if (mutex_trylock(lock)) return;
  while (__atomic_exchange_n(&lock->umdev_state, 2, __ATOMIC_ACQUIRE) != 0)
    umdev_kernel->wait(&lock->umdev_state, 2, 0);
}
static inline void mutex_unlock(struct mutex* lock) {
  if (__atomic_exchange_n(&lock->umdev_state, 0, __ATOMIC_RELEASE) == 2)
    umdev_kernel->wake(&lock->umdev_state, false);
}
static inline int mutex_lock_interruptible(struct mutex* lock) {
  mutex_lock(lock);
  return 0;
}
#define mutex_lock_killable mutex_lock_interruptible
#define mutex_lock_nested(lock, subclass) mutex_lock(lock)
