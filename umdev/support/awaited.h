// The outcome of something that ends later, for a thread that may wait for it.
#pragma once

#include <optional>
#include <utility>

#include "umdev/support/error.h"
#include "umdev/support/mutex.h"

namespace umdev {

// Thread-safe. One thread waits, once, and takes the outcome. Only for threads that serve no client (see
// ARCHITECTURE.md). Whoever completes it may do so after the one who waited has gone: share it.
template <typename T = void>
class Awaited {
 public:
  // At most once.
  void complete(Result<T> outcome) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    outcome_ = std::move(outcome);
    over_.notify_all();
  }

  bool is_over() const UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return outcome_.has_value();
  }

  Result<T> wait() UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    while (!outcome_) over_.wait(mutex_);
    return std::move(*outcome_);
  }

  // Nothing when it was not over in time. `limit` is a std::chrono duration.
  template <typename Limit>
  std::optional<Result<T>> wait_for(Limit limit) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    while (!outcome_)
      if (!over_.wait_for(mutex_, limit)) break;
    return std::move(outcome_);
  }

 private:
  mutable Mutex mutex_;
  Condition over_;
  std::optional<Result<T>> outcome_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev
