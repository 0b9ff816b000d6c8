// Waiting for a completion, which modules do and nobody else: the kernel's functions return when it is over.
#pragma once

#include <memory>
#include <optional>

#include "umdev/kernel/calls.h"
#include "umdev/support/done.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {

// Calls `begin` with a Done<T> and returns what that was completed with. Leaves a serving thread where that
// does not happen at once.
template <typename T = void, typename Begin>
Result<T> wait_for(Begin begin) {
  struct Waiting {
    Mutex mutex;
    Condition over;
    std::optional<Result<T>> result UMDEV_GUARDED_BY(mutex);
  };
  auto waiting = std::make_shared<Waiting>();
  begin(Done<T>([waiting](Result<T> result) {
    Lock lock(waiting->mutex);
    waiting->result = std::move(result);
    waiting->over.notify_all();
  }));
  {
    Lock lock(waiting->mutex);
    if (waiting->result) return std::move(*waiting->result);
  }
  Calls::about_to_wait();
  Lock lock(waiting->mutex);
  while (!waiting->result) waiting->over.wait(waiting->mutex);
  return std::move(*waiting->result);
}

}  // namespace umdev::kernel
