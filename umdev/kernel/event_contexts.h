// What stands behind a module's struct eventfd_ctx.
#pragma once

#include <atomic>
#include <deque>
#include <memory>

#include "umdev/os/event_fd.h"
#include "umdev/support/mutex.h"

struct eventfd_ctx {  // NOLINT(readability-identifier-naming): the kernel's name
  umdev::os::EventFd event_fd;
  std::atomic<int> references = 1;
};

namespace umdev::kernel {

// The last contexts that a module has put. Drivers put one twice, and signal one that they have put (the
// kernel's own mtty.c does, when a user disables an interrupt twice): for a while that is found and said,
// instead of harming the daemon. Any thread.
class PutContexts {
 public:
  // Its descriptor is closed; its memory stays until so many more have come.
  void add(std::unique_ptr<::eventfd_ctx> context) UMDEV_EXCLUDES(mutex_) {
    context->event_fd = {};
    Lock lock(mutex_);
    contexts_.push_back(std::move(context));
    if (contexts_.size() > most) contexts_.pop_front();
  }

 private:
  static constexpr std::size_t most = 1024;
  Mutex mutex_;
  std::deque<std::unique_ptr<::eventfd_ctx>> contexts_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::kernel
