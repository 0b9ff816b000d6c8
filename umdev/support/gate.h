// Counts what is under way, refuses what comes after the end was announced, and says when the last of it is
// over.
#pragma once

#include <cstdint>
#include <utility>

#include "umdev/support/assert.h"
#include "umdev/support/done.h"
#include "umdev/support/mutex.h"

namespace umdev {

// Any thread. Must outlive every Pass.
class Gate {
 public:
  // The right to be inside; move-only. Empty when the gate was closed.
  class [[nodiscard]] Pass {
   public:
    Pass() = default;
    explicit Pass(Gate& gate) : gate_(&gate) {}
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&& other) noexcept {
      if (this != &other) {
        leave();
        gate_ = std::exchange(other.gate_, nullptr);
      }
      return *this;
    }
    ~Pass() { leave(); }
    explicit operator bool() const { return gate_ != nullptr; }
    void leave() {
      if (gate_ != nullptr) std::exchange(gate_, nullptr)->leave();
    }

   private:
    Gate* gate_ = nullptr;
  };

  Pass enter() {
    Lock lock(mutex_);
    if (closed_) return {};
    ++inside_;
    return Pass(*this);
  }

  bool closed() const {
    Lock lock(mutex_);
    return closed_;
  }

  // Refuses new entries; `empty` is called when the last one inside has left, maybe at once. Only once.
  void close(Done<> empty) {
    {
      Lock lock(mutex_);
      UMDEV_ASSERT(!closed_, "a gate was closed twice");
      closed_ = true;
      if (inside_ > 0) {
        empty_ = std::move(empty);
        return;
      }
    }
    empty();
  }

 private:
  void leave() {
    Done<> empty;
    {
      Lock lock(mutex_);
      if (--inside_ > 0 || !closed_) return;
      empty = std::move(empty_);
    }
    empty();
  }

  mutable Mutex mutex_;
  std::uint32_t inside_ UMDEV_GUARDED_BY(mutex_) = 0;
  bool closed_ UMDEV_GUARDED_BY(mutex_) = false;
  Done<> empty_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev
