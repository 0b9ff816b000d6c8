/* Counted objects. */
#pragma once

#include <linux/refcount.h>

UMDEV_C_BEGIN
struct kref {
  refcount_t refcount;
};
UMDEV_C_END

static inline void kref_init(struct kref* kref) {
  refcount_set(&kref->refcount, 1);
}
static inline void kref_get(struct kref* kref) {
  refcount_inc(&kref->refcount);
}
static inline int kref_get_unless_zero(struct kref* kref) {
  return refcount_inc_not_zero(&kref->refcount);
}
/* 1 when that was the last. */
static inline int kref_put(struct kref* kref, void (*release)(struct kref* kref)) {
  if (!refcount_dec_and_test(&kref->refcount)) return 0;
  release(kref);
  return 1;
}
