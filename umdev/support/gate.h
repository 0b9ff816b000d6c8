// Counts what is under way, lets nothing more begin once it is closed, and says when the last of it is over.
#pragma once

#include <cstdint>
#include <utility>

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

  Pass enter() UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    if (closed_) return {};
    ++inside_;
    return Pass(*this);
  }

  bool closed() const UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return closed_;
  }

  // Lets nobody in any more; completes when nobody is inside, maybe at once. Whoever waited for an earlier
  // close completes with ECANCELED.
  void close(Done<> empty) UMDEV_EXCLUDES(mutex_) {
    bool wait = false;
    {
      Lock lock(mutex_);
      closed_ = true;
      wait = inside_ > 0;
      if (wait) std::swap(empty_, empty);
    }
    if (!wait) return empty();
    if (empty) empty(fail(ECANCELED, "the gate was closed again"));
  }

  // Lets in again. A close that still waits completes with ECANCELED.
  void open() UMDEV_EXCLUDES(mutex_) {
    Done<> empty;
    {
      Lock lock(mutex_);
      closed_ = false;
      std::swap(empty_, empty);
    }
    if (empty) empty(fail(ECANCELED, "the gate was opened again"));
  }

 private:
  void leave() UMDEV_EXCLUDES(mutex_) {
    Done<> empty;
    {
      Lock lock(mutex_);
      if (--inside_ > 0) return;
      std::swap(empty_, empty);
    }
    if (empty) empty();
  }

  mutable Mutex mutex_;
  std::uint32_t inside_ UMDEV_GUARDED_BY(mutex_) = 0;
  bool closed_ UMDEV_GUARDED_BY(mutex_) = false;
  Done<> empty_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev
