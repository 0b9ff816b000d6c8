/* Spin locks: mutexes here, for nothing of ours is an interrupt. */
#pragma once

#include <linux/mutex.h>

UMDEV_C_BEGIN
typedef struct mutex spinlock_t;
UMDEV_C_END

#define DEFINE_SPINLOCK(name) spinlock_t name = {0}
#define spin_lock_init(lock) mutex_init(lock)
#define spin_lock(lock) mutex_lock(lock)
#define spin_unlock(lock) mutex_unlock(lock)
#define spin_trylock(lock) mutex_trylock(lock)
#define spin_lock_irq(lock) mutex_lock(lock)
#define spin_unlock_irq(lock) mutex_unlock(lock)
#define spin_lock_bh(lock) mutex_lock(lock)
#define spin_unlock_bh(lock) mutex_unlock(lock)
#define spin_lock_irqsave(lock, flags) \
  do {                                 \
    (flags) = 0;                       \
    mutex_lock(lock);                  \
  } while (0)
#define spin_unlock_irqrestore(lock, flags) \
  do {                                      \
    (void)(flags);                          \
    mutex_unlock(lock);                     \
  } while (0)
