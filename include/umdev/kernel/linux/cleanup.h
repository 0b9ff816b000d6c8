/* What is let go at the end of its scope. */
#pragma once

#include <linux/mutex.h>
#include <linux/slab.h>

/* A class that does `let_go` with its variable `_T`: __free(name). */
#define DEFINE_FREE(name, type, let_go)           \
  static inline void umdev_free_##name(void* p) { \
    type _T = *(type*)p;                          \
    let_go;                                       \
  }
#define __free(name) __attribute__((cleanup(umdev_free_##name)))
#define no_free_ptr(pointer)                    \
  ({                                            \
    __typeof__(pointer) umdev_kept = (pointer); \
    (pointer) = NULL;                           \
    umdev_kept;                                 \
  })
#define return_ptr(pointer) return no_free_ptr(pointer)

DEFINE_FREE(kfree, void*, kfree(_T))

/* guard(mutex)(&lock) holds it until the end of the scope; scoped_guard(mutex, &lock) for what follows. */
static inline struct mutex* umdev_guard_mutex(struct mutex* lock) {
  mutex_lock(lock);
  return lock;
}
static inline void umdev_unguard_mutex(struct mutex** lock) {
  if (*lock) mutex_unlock(*lock);
}
#define umdev_paste(left, right) left##right
#define umdev_unique(prefix, line) umdev_paste(prefix, line)
#define guard(name)                                                                 \
  __attribute__((cleanup(umdev_unguard_##name), unused)) struct name* umdev_unique( \
      umdev_guarded_, __LINE__) = umdev_guard_##name
#define scoped_guard(name, lock)                                                                           \
  for (__attribute__((cleanup(umdev_unguard_##name))) struct name* umdev_scope = umdev_guard_##name(lock), \
                                                                   *umdev_once = umdev_scope;              \
       umdev_once; umdev_once = NULL)
