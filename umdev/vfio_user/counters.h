// What this door has seen, for `umdev status`.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "umdev/support/histogram.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user {

// Counted by one thread, read by any: no lock, no atomic addition.
class Counter {
 public:
  void add(std::uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_ = 0;
};

// Above every errno that is told apart; what lies beyond is counted at 0.
inline constexpr std::size_t errno_count = 134;

template <typename Number>
struct BasicCounters {
  Number sessions_begun{};          // connections accepted
  Number sessions_opened{};         // that got their device
  Number sessions_ended{};          // begun - ended are there now
  Number connections_refused{};     // beyond the limit of their socket
  Number silent_clients{};          // ended at the version deadline
  Number broken_frames{};           // ended by one
  Number unexpected_replies{};      // to a command that was never sent
  Number unexpected_descriptors{};  // closed
  Number posted_writes{};           // commands that wanted no reply
  Number dma_messages{};            // DMA_READ and DMA_WRITE that were sent
  Number bytes_received{};
  Number bytes_sent{};
  std::array<Number, command_count> messages{};  // by command; unknown ones at 0
  std::array<Number, errno_count> errors{};      // answers by errno, those of posted commands too

  // The counter of an errno.
  Number& error(int code) {
    const auto index = static_cast<std::size_t>(code);
    return errors[index < errno_count ? index : 0];
  }
  Number& message(std::uint16_t command) { return messages[command < command_count ? command : 0]; }
};

// One worker's, on cache lines of its own.
struct alignas(64) Counters : BasicCounters<Counter> {
  // From a message's turn to its reply in the outbox, by command. See Session: not every message is timed.
  std::array<Histogram, command_count> latencies;

  Histogram& latency(std::uint16_t command) { return latencies[command < command_count ? command : 0]; }
};

// The sum of several workers' counters.
struct CounterValues : BasicCounters<std::uint64_t> {
  std::array<HistogramValues, command_count> latencies;

  void add(const Counters& other);
};

}  // namespace umdev::vfio_user
