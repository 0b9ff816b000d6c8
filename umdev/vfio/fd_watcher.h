// Being told when a descriptor becomes readable, as the core needs it.
#pragma once

#include <memory>

#include "umdev/support/error.h"
#include "umdev/support/inline_function.h"

namespace umdev::vfio {

// Calls back when a descriptor becomes readable. The daemon's is an epoll loop, a test's is a fake. Any
// thread.
class FdWatcher {
 public:
  // Destroying it ends the watch, without waiting; the callback may still be running then, so it must own
  // what it touches (the descriptor too: it stays open until the callback is destroyed).
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  virtual ~FdWatcher() = default;
  // `readable` is called once for each time the descriptor was found readable (also at once, later, when it
  // is readable already); it drains the descriptor itself. Any thread, with no lock of the watcher's held.
  virtual Result<std::unique_ptr<Watch>> watch(int fd, InlineFunction<void(), 64> readable) = 0;
};

}  // namespace umdev::vfio
