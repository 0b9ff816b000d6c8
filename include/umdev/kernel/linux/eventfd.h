/* eventfds that came with a request. */
#pragma once

#include <linux/err.h>
#include <linux/fs.h>

static inline struct eventfd_ctx* eventfd_ctx_fdget(int fd) {
  return umdev_kernel->eventfd_ctx_fdget(fd);
}
/* Of fget()'s file; -EINVAL: of something else. */
static inline struct eventfd_ctx* eventfd_ctx_fileget(struct file* file) {
  return umdev_kernel->eventfd_ctx_fileget(file);
}
static inline void eventfd_ctx_put(struct eventfd_ctx* ctx) {
  umdev_kernel->eventfd_ctx_put(ctx);
}
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 8, 0)
static inline int eventfd_signal(struct eventfd_ctx* ctx, u64 count) {
  return umdev_kernel->eventfd_signal(ctx, count);
}
#else
static inline void eventfd_signal(struct eventfd_ctx* ctx) {
  (void)umdev_kernel->eventfd_signal(ctx, 1);
}
#endif
