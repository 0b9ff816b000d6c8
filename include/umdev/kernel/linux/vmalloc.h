/* Large memory, and memory that a client can map. */
#pragma once

#include <linux/mm.h>
#include <linux/slab.h>

static inline void* vmalloc(unsigned long size) {
  return umdev_kernel->allocate(size, false);
}
static inline void* vzalloc(unsigned long size) {
  return umdev_kernel->allocate(size, true);
}
static inline void* vmalloc_user(unsigned long size) {
  return umdev_kernel->vmalloc_user(size);
}
static inline void vfree(const void* memory) {
  umdev_kernel->vfree(memory);
}

/* The whole area shows memory of vmalloc_user(), from page `pgoff` of it on. */
static inline int remap_vmalloc_range(struct vm_area_struct* vma, void* memory, unsigned long pgoff) {
  return umdev_kernel->remap_vmalloc_range(vma, vma->vm_start, memory, pgoff << PAGE_SHIFT,
                                           vma->vm_end - vma->vm_start);
}
/* A part of the area, from an address in it on. */
static inline int remap_vmalloc_range_partial(struct vm_area_struct* vma, unsigned long address, void* memory,
                                              unsigned long pgoff, unsigned long size) {
  return umdev_kernel->remap_vmalloc_range(vma, address, memory, pgoff << PAGE_SHIFT, size);
}
