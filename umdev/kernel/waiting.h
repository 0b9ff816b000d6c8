// Waiting for a completion, which modules do and nobody else: the kernel's functions return when it is over.
#pragma once

#include <memory>
#include <optional>

#include "umdev/kernel/calls.h"
#include "umdev/support/done.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {

struct Patience {
  // Then the answer is ETIMEDOUT, and what has begun goes on alone: what it touches it must own.
  std::optional<Duration> limit = {};
  // A thread that serves clients is left to them meanwhile; not where a lock is held.
  bool leaves_thread = true;
};

// Calls `begin` with a Done<T> and returns what that was completed with.
template <typename T = void, typename Begin>
Result<T> wait_for(Begin begin, Patience patience = {}) {
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
  if (patience.leaves_thread) Calls::about_to_wait();
  Lock lock(waiting->mutex);
  while (!waiting->result) {
    if (!patience.limit)
      waiting->over.wait(waiting->mutex);
    else if (!waiting->over.wait_for(waiting->mutex, *patience.limit) && !waiting->result)
      return fail(ETIMEDOUT, "the module does not answer");
  }
  return std::move(*waiting->result);
}

}  // namespace umdev::kernel
