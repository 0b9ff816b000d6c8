// What a Done was, or will be, called with: on whichever thread.
#pragma once

#include <memory>
#include <optional>

#include "umdev/support/done.h"
#include "umdev/support/mutex.h"

namespace umdev::test {

// Outcome for what ends on another thread. It may go before the Done that it gave is called.
template <typename T = void>
class Later {
 public:
  Done<T> done() {
    return Done<T>([state = state_](Result<T> result) {
      Lock lock(state->mutex);
      state->result = std::move(result);
    });
  }

  bool is_done() const { return error() != not_done; }
  bool succeeded() const { return error() == 0; }
  // The errno it was done with, 0 for success, -1 while it is not done.
  int error() const {
    Lock lock(state_->mutex);
    if (!state_->result) return not_done;
    return state_->result->has_value() ? 0 : state_->result->error().code;
  }

 private:
  static constexpr int not_done = -1;
  struct State {
    Mutex mutex;
    std::optional<Result<T>> result UMDEV_GUARDED_BY(mutex);
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace umdev::test
