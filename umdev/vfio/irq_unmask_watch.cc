#include "umdev/vfio/irq_unmask_watch.h"

#include <utility>

namespace umdev::vfio {

void IrqUnmaskWatch::Link::readable() {
  Lock lock(mutex);
  // A watcher may call once more than there was something to read: that unmasks nothing.
  if (vector != nullptr && event.take() != 0) vector->unmask();
}

Result<std::unique_ptr<IrqUnmaskWatch>> IrqUnmaskWatch::create(FdWatcher& watcher, os::EventFd event,
                                                               IrqVector& vector) {
  auto link = std::make_shared<Link>();
  link->event = std::move(event);
  {
    Lock lock(link->mutex);
    link->vector = &vector;
  }
  std::unique_ptr<IrqUnmaskWatch> self(new IrqUnmaskWatch(link));
  self->watch_ = UMDEV_TRY(watcher.watch(link->event.get(), [link] { link->readable(); }));
  return self;
}

IrqUnmaskWatch::~IrqUnmaskWatch() {
  Lock lock(link_->mutex);
  link_->vector = nullptr;
}

}  // namespace umdev::vfio
