/* Numbers for objects: lowest free first. Not for many: a search of what is there. */
#pragma once

#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>

UMDEV_C_BEGIN
struct idr {
  struct umdev_idr_entry* entries; /* by number */
};
struct umdev_idr_entry {
  struct umdev_idr_entry* next;
  int id;
  void* object;
};
UMDEV_C_END

#define IDR_INIT(name) {NULL}
#define DEFINE_IDR(name) struct idr name = IDR_INIT(name)

static inline void idr_init(struct idr* idr) {
  idr->entries = NULL;
}
static inline int idr_alloc(struct idr* idr, void* object, int start, int end, gfp_t flags) {
  struct umdev_idr_entry **at = &idr->entries, *entry;
  int id = start;
  for (; *at && (*at)->id <= id; at = &(*at)->next)
    if ((*at)->id == id) ++id;
  if (end > 0 && id >= end) return -ENOSPC;
  entry = (struct umdev_idr_entry*)kzalloc(sizeof(*entry), flags);
  if (!entry) return -ENOMEM;
  entry->id = id, entry->object = object, entry->next = *at;
  *at = entry;
  return id;
}
static inline void* idr_find(const struct idr* idr, unsigned long id) {
  const struct umdev_idr_entry* entry = idr->entries;
  while (entry && (unsigned long)entry->id != id) entry = entry->next;
  return entry ? entry->object : NULL;
}
static inline void* idr_remove(struct idr* idr, unsigned long id) {
  struct umdev_idr_entry **at = &idr->entries, *entry;
  void* object;
  while (*at && (unsigned long)(*at)->id != id) at = &(*at)->next;
  if (!*at) return NULL;
  entry = *at;
  object = entry->object;
  *at = entry->next;
  kfree(entry);
  return object;
}
static inline void idr_destroy(struct idr* idr) {
  while (idr->entries) idr_remove(idr, (unsigned long)idr->entries->id);
}
static inline bool idr_is_empty(const struct idr* idr) {
  return !idr->entries;
}

/* Numbers alone. Unlike an idr's they need no lock of the driver's. */
UMDEV_C_BEGIN
struct ida {
  struct mutex lock;
  struct idr used;
};
UMDEV_C_END

#define IDA_INIT(name) \
  {                    \
    {0}, {             \
      NULL             \
    }                  \
  }
#define DEFINE_IDA(name) struct ida name = IDA_INIT(name)

static inline void ida_init(struct ida* ida) {
  mutex_init(&ida->lock);
  idr_init(&ida->used);
}
/* From `least` to `most`; -ENOSPC, -ENOMEM. */
static inline int ida_alloc_range(struct ida* ida, unsigned int least, unsigned int most, gfp_t flags) {
  int id;
  mutex_lock(&ida->lock);
  id = idr_alloc(&ida->used, ida, (int)least, most < INT_MAX ? (int)most + 1 : 0, flags);
  mutex_unlock(&ida->lock);
  return id;
}
static inline int ida_alloc(struct ida* ida, gfp_t flags) {
  return ida_alloc_range(ida, 0, INT_MAX, flags);
}
static inline int ida_alloc_max(struct ida* ida, unsigned int most, gfp_t flags) {
  return ida_alloc_range(ida, 0, most, flags);
}
static inline int ida_alloc_min(struct ida* ida, unsigned int least, gfp_t flags) {
  return ida_alloc_range(ida, least, INT_MAX, flags);
}
static inline void ida_free(struct ida* ida, unsigned int id) {
  mutex_lock(&ida->lock);
  idr_remove(&ida->used, id);
  mutex_unlock(&ida->lock);
}
static inline void ida_destroy(struct ida* ida) {
  mutex_lock(&ida->lock);
  idr_destroy(&ida->used);
  mutex_unlock(&ida->lock);
}
static inline bool ida_is_empty(const struct ida* ida) {
  return idr_is_empty(&ida->used);
}
