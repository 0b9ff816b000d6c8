// The completion of something that may end later.
#pragma once

#include <utility>

#include "umdev/support/error.h"
#include "umdev/support/inline_function.h"

namespace umdev {

// Called exactly once, inline or later, from any thread, with a Result<T>. A Done that is destroyed uncalled
// completes with ECANCELED, so that whoever waits is never forgotten. Move-only; never allocates (what the
// callback captures must fit: capture a pointer or a shared_ptr and little else).
template <typename T = void>
class [[nodiscard]] Done {
 public:
  using Callback = InlineFunction<void(Result<T>), 64>;

  Done() = default;
  template <typename Callable>
    requires std::is_invocable_v<Callable&, Result<T>>
  // NOLINTNEXTLINE(google-explicit-constructor): a lambda is passed as it is
  Done(Callable&& callable) : callback_(std::forward<Callable>(callable)) {}

  Done(Done&& other) noexcept = default;
  Done& operator=(Done&& other) noexcept {
    if (this != &other) {
      drop();
      callback_ = std::move(other.callback_);
    }
    return *this;
  }
  ~Done() { drop(); }

  // True while it can still be called.
  explicit operator bool() const { return static_cast<bool>(callback_); }

  // Completes. Calling it a second time is an assertion (a mistake of the framework or a driver).
  void operator()(Result<T> result) {
    UMDEV_ASSERT(callback_, "completed twice");
    Callback callback = std::move(callback_);
    callback(std::move(result));
  }
  void operator()()
    requires std::is_void_v<T>
  {
    (*this)(Result<>{});
  }

 private:
  void drop() {
    if (callback_) (*this)(fail(ECANCELED, "dropped without being completed"));
  }

  Callback callback_;
};

}  // namespace umdev
