// Lets the VFIO core watch descriptors by an event loop.
#pragma once

#include "umdev/os/event_loop.h"
#include "umdev/support/log.h"
#include "umdev/vfio/fd_watcher.h"

namespace umdev::daemon {

// Any thread. Callbacks run on the loop's thread. A watch begins and ends there too, a little after it was
// asked for; what the callback owns is destroyed after that. The loop and the log outlive every watch.
class LoopWatcher final : public vfio::FdWatcher {
 public:
  LoopWatcher(os::EventLoop& loop, Log& log) : loop_(loop), log_(log) {}

  Result<std::unique_ptr<Watch>> watch(int fd, InlineFunction<void(), 64> readable) override;

 private:
  os::EventLoop& loop_;
  Log& log_;
};

}  // namespace umdev::daemon
