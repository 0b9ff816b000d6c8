/* Files, and the numbers of their nodes. */
#pragma once

#include <fcntl.h>
#include <linux/err.h>
#include <linux/kdev_t.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static inline int alloc_chrdev_region(dev_t* first, unsigned int base, unsigned int count, const char* name) {
  return umdev_kernel->alloc_chrdev_region(first, base, count, name);
}
static inline void unregister_chrdev_region(dev_t first, unsigned int count) {
  umdev_kernel->unregister_chrdev_region(first, count);
}
