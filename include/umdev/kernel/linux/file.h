/* Files by the numbers that came with a request. */
#pragma once

#include <linux/fs.h>
#include <umdev/this_module.h>

/* NULL: no descriptor of the request in service. To be put by fput(). */
static inline struct file* fget(unsigned int fd) {
  return umdev_kernel->fget(THIS_MODULE, (int)fd);
}
