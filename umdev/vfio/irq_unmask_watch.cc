#include "umdev/vfio/irq_unmask_watch.h"

#include <utility>

namespace umdev::vfio {

void IrqUnmaskWatch::Link::readable() {
  Lock lock(mutex);
  // A watcher may call once more than there was something to read: that unmasks nothing.
  if (vector != nullptr && event.take() != 0) vector->unmask();
}

std::unique_ptr<IrqUnmaskWatch> IrqUnmaskWatch::create_suspended(os::EventFd event, IrqVector& vector) {
  auto link = std::make_shared<Link>();
  link->event = std::move(event);
  return std::unique_ptr<IrqUnmaskWatch>(new IrqUnmaskWatch(std::move(link), vector));
}

Result<std::unique_ptr<IrqUnmaskWatch>> IrqUnmaskWatch::create(FdWatcher& watcher, os::EventFd event,
                                                               IrqVector& vector) {
  auto self = create_suspended(std::move(event), vector);
  UMDEV_TRY(self->resume(watcher));
  return self;
}

IrqUnmaskWatch::~IrqUnmaskWatch() {
  suspend();
}

// A callback that is under way has unmasked when this returns, or leaves the eventfd as it is.
void IrqUnmaskWatch::suspend() {
  {
    Lock lock(link_->mutex);
    link_->vector = nullptr;
  }
  watch_.reset();
}

Result<> IrqUnmaskWatch::resume(FdWatcher& watcher) {
  {
    Lock lock(link_->mutex);
    link_->vector = &vector_;
  }
  watch_ = UMDEV_TRY(watcher.watch(link_->event.get(), [link = link_] { link->readable(); }));
  return {};
}

}  // namespace umdev::vfio
