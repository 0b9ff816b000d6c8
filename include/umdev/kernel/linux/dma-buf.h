/* dma-bufs: objects that can be exported, mapped and put. Their descriptors cannot be had yet: -EOPNOTSUPP.
 */
#pragma once

#include <linux/dma-mapping.h>
#include <linux/fs.h>

UMDEV_C_BEGIN
struct dma_buf_attachment {
  struct dma_buf* dmabuf;
  struct device* dev;
  void* priv;
};
struct dma_buf_export_info {
  const char* exp_name;
  struct module* owner;
  const struct dma_buf_ops* ops;
  size_t size;
  int flags;
  void* priv;
};
UMDEV_C_END

#define DEFINE_DMA_BUF_EXPORT_INFO(name) \
  struct dma_buf_export_info name = {.exp_name = KBUILD_MODNAME, .owner = THIS_MODULE}

static inline struct dma_buf* dma_buf_export(const struct dma_buf_export_info* info) {
  if (!info->ops || !info->ops->map_dma_buf || !info->ops->unmap_dma_buf || !info->ops->release)
    return (struct dma_buf*)ERR_PTR(-EINVAL);
  return umdev_kernel->dma_buf_export(info->ops, info->size, info->priv);
}
static inline int dma_buf_fd(struct dma_buf* buffer, int flags) {
  return umdev_kernel->dma_buf_fd(buffer, flags);
}
static inline void get_dma_buf(struct dma_buf* buffer) {
  umdev_kernel->dma_buf_get(buffer);
}
static inline void dma_buf_put(struct dma_buf* buffer) {
  umdev_kernel->dma_buf_put(buffer);
}
