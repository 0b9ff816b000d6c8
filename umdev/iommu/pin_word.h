// How many pins are held in one place, how many may be, and whether more are welcome, in one word: so that
// taking and giving back are one atomic operation each, and whoever closes the place knows what was left.
#pragma once

#include <atomic>
#include <cstdint>

#include "umdev/iommu/types.h"

namespace umdev::iommu {

class PinWord {
 public:
  // bits 0 to 19 the pins held, 20 to 39 those of them for writing, 40 to 59 how many may be held.
  using Value = std::uint64_t;
  static constexpr Value max_count = (1U << 20U) - 1;
  static constexpr Value for_reading = 1;
  static constexpr Value for_writing = 1 + (Value{1} << 20U);
  static constexpr Value one_quota = Value{1} << 40U;
  // Every change goes by way of the space's mutex: quota that is not used is given back at once.
  static constexpr Value tight = Value{1} << 60U;
  // Nothing may be taken: it drains, or it is nobody's.
  static constexpr Value blocked = Value{1} << 61U;
  // Nobody waits any more for what is held.
  static constexpr Value revoked = Value{1} << 62U;

  static constexpr Value count(Value value) { return value & max_count; }
  static constexpr Value written(Value value) { return value >> 20U & max_count; }
  static constexpr Value quota(Value value) { return value >> 40U & max_count; }
  static constexpr Value step_of(Access access) {
    return allows(access, Access::write) ? for_writing : for_reading;
  }

  // Lock-free. False when it is full or flagged: then the space's mutex decides.
  bool try_take(Value step) {
    Value now = value_.load(std::memory_order_relaxed);
    while ((now & flags) == 0 && count(now) < quota(now)) {
      if (value_.compare_exchange_weak(now, now + step)) return true;
    }
    return false;
  }
  bool try_give(Value step) {
    Value now = value_.load(std::memory_order_relaxed);
    while ((now & flags) == 0) {
      if (value_.compare_exchange_weak(now, now - step)) return true;
    }
    return false;
  }

  // Lock-free towards the two above. How much quota was not used, and is gone now.
  Value take_unused_quota() {
    Value now = value_.load(std::memory_order_relaxed);
    while (!value_.compare_exchange_weak(now, now - (quota(now) - count(now)) * one_quota)) {
    }
    return quota(now) - count(now);
  }

  // With the space's mutex held. They return the value before (set_flags) or after.
  Value set_flags(Value added) { return value_.fetch_or(added); }
  void clear_flags(Value removed) { value_.fetch_and(~removed); }
  Value add(Value amount) { return value_.fetch_add(amount) + amount; }
  Value subtract(Value amount) { return value_.fetch_sub(amount) - amount; }
  void reset(Value value) { value_.store(value); }
  Value get() const { return value_.load(); }

 private:
  static constexpr Value flags = tight | blocked | revoked;
  std::atomic<Value> value_ = blocked;
};

}  // namespace umdev::iommu
