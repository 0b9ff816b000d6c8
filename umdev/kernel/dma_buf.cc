#include "umdev/kernel/dma_buf.h"

#include <atomic>
#include <memory>

#include "umdev/kernel/vfio_record.h"

namespace umdev::kernel {
namespace {

// The driver's structure is the first of it.
struct Buffer {
  ::dma_buf object = {};
  std::atomic<int> references = 1;
  std::weak_ptr<VfioRecord> owner;
};

Buffer& buffer_of(::dma_buf* object) {
  return *static_cast<Buffer*>(object->umdev);
}

}  // namespace

::dma_buf* dma_buf_export(const ::dma_buf_ops* ops, std::size_t size, void* priv) {
  auto buffer = std::make_unique<Buffer>();
  buffer->object = {.size = size, .ops = ops, .priv = priv, .umdev = buffer.get()};
  ::dma_buf* const object = &buffer.release()->object;
  if (VfioRecord* const vfio = current_call()->inside; vfio != nullptr) {
    buffer_of(object).owner = vfio->weak_from_this();
    vfio->add_buffer(object);
  }
  return object;
}

int dma_buf_fd(::dma_buf*, int) {
  return -EOPNOTSUPP;
}

void dma_buf_get(::dma_buf* object) {
  ++buffer_of(object).references;
}

void dma_buf_put(::dma_buf* object) {
  if (buffer_of(object).references.fetch_sub(1) != 1) return;
  const std::unique_ptr<Buffer> last(&buffer_of(object));
  if (const auto owner = last->owner.lock()) owner->remove_buffer(object);
  if (object->ops->release != nullptr) object->ops->release(object);
}

}  // namespace umdev::kernel
