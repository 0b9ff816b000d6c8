/* Memory for drivers. */
#pragma once

#include <linux/gfp.h>
#include <linux/overflow.h>
#include <linux/types.h>

static inline void* kmalloc(size_t size, gfp_t flags) {
  return umdev_kernel->allocate(size, (flags & __GFP_ZERO) != 0);
}
static inline void* kzalloc(size_t size, gfp_t flags) {
  (void)flags;
  return umdev_kernel->allocate(size, true);
}
static inline void* kmalloc_array(size_t count, size_t size, gfp_t flags) {
  size_t bytes = array_size(count, size);
  return bytes == SIZE_MAX ? NULL : kmalloc(bytes, flags);
}
static inline void* kcalloc(size_t count, size_t size, gfp_t flags) {
  return kmalloc_array(count, size, flags | __GFP_ZERO);
}
static inline void* krealloc(const void* memory, size_t size, gfp_t flags) {
  (void)flags;
  return umdev_kernel->reallocate(memory, size);
}
static inline void* krealloc_array(const void* memory, size_t count, size_t size, gfp_t flags) {
  const size_t bytes = array_size(count, size);
  return bytes == SIZE_MAX ? NULL : krealloc(memory, bytes, flags);
}
static inline void kfree(const void* memory) {
  umdev_kernel->free(memory);
}

#define kvmalloc kmalloc
#define kvzalloc kzalloc
#define kvcalloc kcalloc
#define kvmalloc_array kmalloc_array
#define kvfree kfree
#define kfree_sensitive kfree
#define kzfree kfree

/* A cache is a size. */
struct kmem_cache {
  size_t size;
  void (*construct)(void*);
};

#define SLAB_HWCACHE_ALIGN 0x2000U

static inline struct kmem_cache* kmem_cache_create(const char* name, unsigned int size, unsigned int align,
                                                   unsigned int flags, void (*construct)(void*)) {
  struct kmem_cache* cache = (struct kmem_cache*)kzalloc(sizeof(struct kmem_cache), GFP_KERNEL);
  (void)name, (void)align, (void)flags;
  if (cache) cache->size = size, cache->construct = construct;
  return cache;
}
static inline void kmem_cache_destroy(struct kmem_cache* cache) {
  kfree(cache);
}
static inline void* kmem_cache_alloc(struct kmem_cache* cache, gfp_t flags) {
  void* object = kmalloc(cache->size, flags);
  if (object && cache->construct) cache->construct(object);
  return object;
}
static inline void* kmem_cache_zalloc(struct kmem_cache* cache, gfp_t flags) {
  return kmem_cache_alloc(cache, flags | __GFP_ZERO);
}
static inline void kmem_cache_free(struct kmem_cache* cache, void* object) {
  (void)cache;
  kfree(object);
}
