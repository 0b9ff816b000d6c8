/* Locks that many may hold to read, or one to write. All-zero is a free one. Who waits to write keeps no
 * reader out. */
#pragma once

#include <linux/types.h>

UMDEV_C_BEGIN
struct rw_semaphore {
  int umdev_holders; /* readers; -1: a writer */
};
UMDEV_C_END

#define __RWSEM_INITIALIZER(name) {0}
#define DECLARE_RWSEM(name) struct rw_semaphore name = __RWSEM_INITIALIZER(name)

static inline void init_rwsem(struct rw_semaphore* lock) {
  lock->umdev_holders = 0;
}
static inline int down_read_trylock(struct rw_semaphore* lock) {
  int holders = __atomic_load_n(&lock->umdev_holders, __ATOMIC_RELAXED);
  while (holders >= 0)
    if (__atomic_compare_exchange_n(&lock->umdev_holders, &holders, holders + 1, true, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED))
      return 1;
  return 0;
}
static inline int down_write_trylock(struct rw_semaphore* lock) {
  int none = 0;
  return __atomic_compare_exchange_n(&lock->umdev_holders, &none, -1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}
static inline void down_read(struct rw_semaphore* lock) {
  while (!down_read_trylock(lock)) umdev_kernel->wait(&lock->umdev_holders, -1, 0);
}
static inline void down_write(struct rw_semaphore* lock) {
  while (!down_write_trylock(lock)) {
    const int holders = __atomic_load_n(&lock->umdev_holders, __ATOMIC_RELAXED);
    if (holders != 0) umdev_kernel->wait(&lock->umdev_holders, holders, 0);
  }
}
static inline void up_read(struct rw_semaphore* lock) {
  __atomic_sub_fetch(&lock->umdev_holders, 1, __ATOMIC_RELEASE);
  umdev_kernel->wake(&lock->umdev_holders, true);
}
static inline void up_write(struct rw_semaphore* lock) {
  __atomic_store_n(&lock->umdev_holders, 0, __ATOMIC_RELEASE);
  umdev_kernel->wake(&lock->umdev_holders, true);
}
static inline void downgrade_write(struct rw_semaphore* lock) {
  __atomic_store_n(&lock->umdev_holders, 1, __ATOMIC_RELEASE);
  umdev_kernel->wake(&lock->umdev_holders, true);
}
static inline bool rwsem_is_locked(struct rw_semaphore* lock) {
  return __atomic_load_n(&lock->umdev_holders, __ATOMIC_RELAXED) != 0;
}
