// A user's unmask eventfd (SET_IRQS with UNMASK and DATA_EVENTFD): KVM writes it when the guest acknowledges.
#pragma once

#include <memory>

#include "umdev/os/event_fd.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/fd_watcher.h"
#include "umdev/vfio/irq_vector.h"

namespace umdev::vfio {

// Drains the eventfd and unmasks the vector each time it becomes readable, until this is destroyed; a
// callback that is late then touches nothing. The kernel's ends when the eventfd's last user closes it; our
// descriptor keeps it open, so this one lives until it is replaced, the index disabled or the device closed.
// Not thread-safe itself.
class IrqUnmaskWatch {
 public:
  // `vector` must outlive it. The watcher's errors.
  static Result<std::unique_ptr<IrqUnmaskWatch>> create(FdWatcher& watcher, os::EventFd event,
                                                        IrqVector& vector);
  // One that does not watch yet.
  static std::unique_ptr<IrqUnmaskWatch> create_suspended(os::EventFd event, IrqVector& vector);
  ~IrqUnmaskWatch();
  IrqUnmaskWatch(const IrqUnmaskWatch&) = delete;
  IrqUnmaskWatch& operator=(const IrqUnmaskWatch&) = delete;

  // The eventfd keeps its count from here on, until resume() (the watcher's errors).
  void suspend();
  Result<> resume(FdWatcher& watcher);
  const os::EventFd& event() const { return link_->event; }

 private:
  // What the callback owns: the eventfd stays open until nobody can call back any more.
  struct Link {
    os::EventFd event;
    Mutex mutex;
    IrqVector* vector UMDEV_GUARDED_BY(mutex) = nullptr;

    void readable() UMDEV_EXCLUDES(mutex);
  };

  IrqUnmaskWatch(std::shared_ptr<Link> link, IrqVector& vector) : link_(std::move(link)), vector_(vector) {}

  const std::shared_ptr<Link> link_;
  IrqVector& vector_;
  std::unique_ptr<FdWatcher::Watch> watch_;
};

}  // namespace umdev::vfio
