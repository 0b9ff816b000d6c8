/* Files without a name: what migration moves through. */
#pragma once

#include <linux/fs.h>
#include <umdev/this_module.h>

/* -EINVAL: no operations. The caller has the only reference. */
static inline struct file* anon_inode_getfile(const char* name, const struct file_operations* fops,
                                              void* priv, int flags) {
  return umdev_kernel->anon_inode_getfile(THIS_MODULE, name, fops, priv, flags);
}
