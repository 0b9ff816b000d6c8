/* Arrays of pointers by any index: sparse, with a lock of their own. */
#pragma once

#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/slab.h>

UMDEV_C_BEGIN
struct xarray {
  struct mutex xa_lock;
  struct rb_root umdev_entries; /* by index */
  unsigned int xa_flags;
};
struct umdev_xa_entry {
  struct rb_node node;
  unsigned long index;
  void* object;
};
struct xa_limit {
  u32 max;
  u32 min;
};
UMDEV_C_END

#define XA_FLAGS_ALLOC 1U
#define XA_FLAGS_ALLOC1 2U /* from 1 on */
#define XARRAY_INIT(name, flags) {{0}, {NULL}, flags}
#define DEFINE_XARRAY_FLAGS(name, flags) struct xarray name = XARRAY_INIT(name, flags)
#define DEFINE_XARRAY(name) DEFINE_XARRAY_FLAGS(name, 0)
#define DEFINE_XARRAY_ALLOC(name) DEFINE_XARRAY_FLAGS(name, XA_FLAGS_ALLOC)
#define DEFINE_XARRAY_ALLOC1(name) DEFINE_XARRAY_FLAGS(name, XA_FLAGS_ALLOC1)
#ifdef __cplusplus
#define XA_LIMIT(least, most) (xa_limit{(u32)(most), (u32)(least)})
#else
#define XA_LIMIT(least, most) ((struct xa_limit){.max = (most), .min = (least)})
#endif
#define xa_limit_32b XA_LIMIT(0, UINT_MAX)
#define xa_limit_31b XA_LIMIT(0, INT_MAX)
#define xa_limit_16b XA_LIMIT(0, USHRT_MAX)
#define xa_lock(xa) mutex_lock(&(xa)->xa_lock)
#define xa_unlock(xa) mutex_unlock(&(xa)->xa_lock)
/* Errors are pointers that IS_ERR() knows, too. */
#define xa_is_err(entry) IS_ERR(entry)
#define xa_err(entry) (IS_ERR(entry) ? (int)PTR_ERR(entry) : 0)

static inline void xa_init_flags(struct xarray* xa, unsigned int flags) {
  mutex_init(&xa->xa_lock);
  xa->umdev_entries.rb_node = NULL;
  xa->xa_flags = flags;
}
static inline void xa_init(struct xarray* xa) {
  xa_init_flags(xa, 0);
}
static inline bool xa_empty(const struct xarray* xa) {
  return RB_EMPTY_ROOT(&xa->umdev_entries);
}

/* The one with this index; without one NULL, and where it would be linked. */
static inline struct umdev_xa_entry* umdev_xa_find(struct xarray* xa, unsigned long index,
                                                   struct rb_node** parent, struct rb_node*** link) {
  struct rb_node **at = &xa->umdev_entries.rb_node, *above = NULL;
  while (*at) {
    struct umdev_xa_entry* entry = rb_entry(*at, struct umdev_xa_entry, node);
    if (entry->index == index) return entry;
    above = *at;
    at = index < entry->index ? &above->rb_left : &above->rb_right;
  }
  *parent = above;
  *link = at;
  return NULL;
}
/* What was there before, or an error. NULL takes it out. The lock is held. */
static inline void* __xa_store(struct xarray* xa, unsigned long index, void* object, gfp_t flags) {
  struct rb_node *parent, **link;
  struct umdev_xa_entry* entry = umdev_xa_find(xa, index, &parent, &link);
  void* before = entry ? entry->object : NULL;
  if (entry && object) {
    entry->object = object;
  } else if (entry) {
    rb_erase(&entry->node, &xa->umdev_entries);
    kfree(entry);
  } else if (object) {
    entry = (struct umdev_xa_entry*)kzalloc(sizeof(*entry), flags);
    if (!entry) return ERR_PTR(-ENOMEM);
    entry->index = index;
    entry->object = object;
    rb_link_node(&entry->node, parent, link);
    rb_insert_color(&entry->node, &xa->umdev_entries);
  }
  return before;
}
static inline void* xa_store(struct xarray* xa, unsigned long index, void* object, gfp_t flags) {
  void* before;
  xa_lock(xa);
  before = __xa_store(xa, index, object, flags);
  xa_unlock(xa);
  return before;
}
static inline void* xa_erase(struct xarray* xa, unsigned long index) {
  return xa_store(xa, index, NULL, 0);
}
static inline void* xa_load(struct xarray* xa, unsigned long index) {
  struct rb_node *parent, **link;
  struct umdev_xa_entry* entry;
  void* object;
  xa_lock(xa);
  entry = umdev_xa_find(xa, index, &parent, &link);
  object = entry ? entry->object : NULL;
  xa_unlock(xa);
  return object;
}
/* -EBUSY: there is one; -ENOMEM. */
static inline int xa_insert(struct xarray* xa, unsigned long index, void* object, gfp_t flags) {
  struct rb_node *parent, **link;
  int result = -EBUSY;
  xa_lock(xa);
  if (!umdev_xa_find(xa, index, &parent, &link)) result = xa_err(__xa_store(xa, index, object, flags));
  xa_unlock(xa);
  return result;
}
/* The lowest index that is free; -EBUSY: none is. */
static inline int xa_alloc(struct xarray* xa, u32* id, void* object, struct xa_limit limit, gfp_t flags) {
  unsigned long index = limit.min;
  struct rb_node* node;
  int result = -EBUSY;
  if ((xa->xa_flags & XA_FLAGS_ALLOC1) && index == 0) index = 1;
  xa_lock(xa);
  for (node = rb_first(&xa->umdev_entries); node; node = rb_next(node)) {
    const unsigned long taken = rb_entry(node, struct umdev_xa_entry, node)->index;
    if (taken > index) break;
    if (taken == index) ++index;
  }
  if (index <= limit.max) {
    result = xa_err(__xa_store(xa, index, object, flags));
    if (!result) *id = (u32)index;
  }
  xa_unlock(xa);
  return result;
}
/* The first from `*index` on, whose index it says; NULL. */
static inline void* xa_find(struct xarray* xa, unsigned long* index, unsigned long most) {
  struct rb_node* node;
  void* object = NULL;
  xa_lock(xa);
  for (node = rb_first(&xa->umdev_entries); node && !object; node = rb_next(node)) {
    const struct umdev_xa_entry* entry = rb_entry(node, struct umdev_xa_entry, node);
    if (entry->index < *index) continue;
    if (entry->index > most) break;
    *index = entry->index;
    object = entry->object;
  }
  xa_unlock(xa);
  return object;
}
#define xa_for_each_start(xa, index, entry, start)                             \
  for ((index) = (start), (entry) = xa_find(xa, &(index), ULONG_MAX); (entry); \
       (entry) = (index) == ULONG_MAX ? NULL : (++(index), xa_find(xa, &(index), ULONG_MAX)))
#define xa_for_each(xa, index, entry) xa_for_each_start(xa, index, entry, 0)
static inline void xa_destroy(struct xarray* xa) {
  struct rb_node* node;
  xa_lock(xa);
  while ((node = rb_first(&xa->umdev_entries))) {
    rb_erase(node, &xa->umdev_entries);
    kfree(rb_entry(node, struct umdev_xa_entry, node));
  }
  xa_unlock(xa);
}
