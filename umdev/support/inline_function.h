// A move-only callable that never allocates: what it captures must fit into its fixed storage, checked when
// it compiles. It is the type of every completion and every piece of posted work on the fast path.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "umdev/support/assert.h"

namespace umdev {

template <typename Signature, std::size_t capacity = 48>
class InlineFunction;

template <typename R, typename... Arguments, std::size_t capacity>
class InlineFunction<R(Arguments...), capacity> {
 public:
  InlineFunction() = default;

  template <typename Callable>
    requires(!std::is_same_v<std::remove_cvref_t<Callable>, InlineFunction> &&
             std::is_invocable_r_v<R, std::remove_cvref_t<Callable>&, Arguments...>)
  // NOLINTNEXTLINE(google-explicit-constructor): a lambda is passed as it is
  InlineFunction(Callable&& callable) : operations_(&operations_for<std::remove_cvref_t<Callable>>) {
    using Stored = std::remove_cvref_t<Callable>;
    static_assert(sizeof(Stored) <= capacity, "captures too much: capture a pointer to a struct instead");
    static_assert(alignof(Stored) <= alignof(std::max_align_t));
    static_assert(std::is_nothrow_move_constructible_v<Stored>);
    new (storage_) Stored(std::forward<Callable>(callable));
  }

  InlineFunction(InlineFunction&& other) noexcept { take(other); }
  InlineFunction& operator=(InlineFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  InlineFunction(const InlineFunction&) = delete;
  InlineFunction& operator=(const InlineFunction&) = delete;
  ~InlineFunction() { reset(); }

  explicit operator bool() const { return operations_ != nullptr; }

  R operator()(Arguments... arguments) {
    UMDEV_ASSERT(operations_ != nullptr, "an empty function was called");
    return operations_->call(storage_, std::forward<Arguments>(arguments)...);
  }

  void reset() {
    if (operations_ == nullptr) return;
    const Operations* operations = std::exchange(operations_, nullptr);
    operations->destroy(storage_);
  }

 private:
  struct Operations {
    R (*call)(void*, Arguments&&...);
    void (*move)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };

  template <typename Stored>
  static constexpr Operations operations_for{
      [](void* self, Arguments&&... arguments) -> R {
        return (*static_cast<Stored*>(self))(std::forward<Arguments>(arguments)...);
      },
      [](void* from, void* to) noexcept {
        new (to) Stored(std::move(*static_cast<Stored*>(from)));
        static_cast<Stored*>(from)->~Stored();
      },
      [](void* self) noexcept { static_cast<Stored*>(self)->~Stored(); }};

  void take(InlineFunction& other) noexcept {
    if (other.operations_ == nullptr) return;
    operations_ = std::exchange(other.operations_, nullptr);
    operations_->move(other.storage_, storage_);
  }

  alignas(std::max_align_t) std::byte storage_[capacity];
  const Operations* operations_ = nullptr;
};

}  // namespace umdev
