// dma-bufs: memory of a driver that could be handed to other drivers. Objects only: where the kernel would
// give their user a descriptor, this answers EOPNOTSUPP, since a real one would need /dev/udmabuf, and a door
// that carries it.
#pragma once

#include <cstddef>

#include "include/umdev/kernel/umdev/services.h"

namespace umdev::kernel {

// The services. A buffer that was exported in a device's call and was not put is let go when the device is
// closed, as the kernel does when the last descriptor goes with its process.
::dma_buf* dma_buf_export(const ::dma_buf_ops* ops, std::size_t size, void* priv);
int dma_buf_fd(::dma_buf* buffer, int flags);
void dma_buf_get(::dma_buf* buffer);
void dma_buf_put(::dma_buf* buffer);

}  // namespace umdev::kernel
