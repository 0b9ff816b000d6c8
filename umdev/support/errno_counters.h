// How often each errno was answered.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace umdev {

// Any thread. No lock, no allocation.
class ErrnoCounters {
 public:
  // Above every errno that is told apart; what lies beyond is counted at 0.
  static constexpr std::size_t count = 134;

  void add(int code) { at(code).fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t value(std::size_t code) const { return counters_.at(code).load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t>& at(int code) {
    const auto index = static_cast<std::size_t>(code);
    return counters_[index < count ? index : 0];
  }
  std::array<std::atomic<std::uint64_t>, count> counters_{};
};

}  // namespace umdev
