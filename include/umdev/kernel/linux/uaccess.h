/* The memory of whoever asks: what came with the request in service, and nothing else. */
#pragma once

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/slab.h>

static inline unsigned long copy_to_user(void __user* to, const void* from, unsigned long size) {
  return umdev_kernel->copy_to_user(to, from, size);
}
static inline unsigned long copy_from_user(void* to, const void __user* from, unsigned long size) {
  return umdev_kernel->copy_from_user(to, from, size);
}
static inline unsigned long clear_user(void __user* to, unsigned long size) {
  static const char zeroes[64] = {};
  char* at = (char*)to;
  while (size > 0) {
    unsigned long part = size < sizeof(zeroes) ? size : sizeof(zeroes);
    unsigned long left = copy_to_user(at, zeroes, part);
    if (left) return size - part + left;
    at += part;
    size -= part;
  }
  return 0;
}
#define get_user(variable, pointer) (copy_from_user(&(variable), pointer, sizeof(*(pointer))) ? -EFAULT : 0)
#define put_user(value, pointer)                                            \
  ({                                                                        \
    __typeof__(*(pointer)) umdev_value = (value);                           \
    copy_to_user(pointer, &umdev_value, sizeof(umdev_value)) ? -EFAULT : 0; \
  })

static inline void* memdup_user(const void __user* from, size_t size) {
  void* copy = kmalloc(size, GFP_USER);
  if (!copy) return ERR_PTR(-ENOMEM);
  if (copy_from_user(copy, from, size)) {
    kfree(copy);
    return ERR_PTR(-EFAULT);
  }
  return copy;
}
#define vmemdup_user memdup_user
