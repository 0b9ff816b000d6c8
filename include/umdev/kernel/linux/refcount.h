/* Counts of references. */
#pragma once

#include <linux/atomic.h>

UMDEV_C_BEGIN
typedef struct {
  atomic_t refs;
} refcount_t;
UMDEV_C_END

#define REFCOUNT_INIT(count) {ATOMIC_INIT(count)}

static inline void refcount_set(refcount_t* count, int to) {
  atomic_set(&count->refs, to);
}
static inline unsigned int refcount_read(const refcount_t* count) {
  return (unsigned int)atomic_read(&count->refs);
}
static inline void refcount_inc(refcount_t* count) {
  atomic_inc(&count->refs);
}
static inline bool refcount_inc_not_zero(refcount_t* count) {
  return atomic_inc_not_zero(&count->refs);
}
static inline bool refcount_dec_and_test(refcount_t* count) {
  return atomic_dec_and_test(&count->refs);
}
