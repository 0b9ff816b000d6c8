// What a Done was called with.
#pragma once

#include <optional>

#include "umdev/support/done.h"

namespace umdev::test {

// Must outlive the Done it gave. The Done must be called on the test's own thread.
template <typename T = void>
class Outcome {
 public:
  Outcome() = default;
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;

  Done<T> done() {
    return Done<T>([this](Result<T> result) {
      ++calls_;
      result_ = std::move(result);
    });
  }

  bool is_done() const { return calls_ == 1; }
  // Done with success.
  bool succeeded() const { return is_done() && result_->has_value(); }
  // The errno it was done with, 0 for success, -1 while it is not done (or was done twice).
  int error() const { return !is_done() ? -1 : result_->has_value() ? 0 : result_->error().code; }
  // The value it succeeded with, if it did.
  template <typename U = T>
    requires(!std::is_void_v<U>)
  std::optional<U> value() const {
    return succeeded() ? std::optional<U>(**result_) : std::nullopt;
  }

 private:
  int calls_ = 0;
  std::optional<Result<T>> result_;
};

// The errno of a Result, 0 for success.
template <typename T>
int error_of(const Result<T>& result) {
  return result.has_value() ? 0 : result.error().code;
}

}  // namespace umdev::test
