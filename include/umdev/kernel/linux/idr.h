/* Numbers for objects: lowest free first. Not for many: a search of what is there. */
#pragma once

#include <linux/kernel.h>
#include <linux/list.h>
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
