// How often something took how long, in buckets whose bounds are powers of two.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace umdev {

// Bucket i counts what took at most bound(i) and more than the one before it; the last counts all that took
// longer. From 128 ns (a message that costs nothing) to 137 s (a removal that waits).
struct HistogramBuckets {
  static constexpr unsigned first_power = 7;
  static constexpr std::size_t bounds = 31;
  static constexpr std::size_t count = bounds + 1;

  static constexpr std::uint64_t bound(std::size_t bucket) { return 1ULL << (first_power + bucket); }
  static constexpr std::size_t of(std::uint64_t nanoseconds) {
    const auto power = static_cast<unsigned>(std::bit_width(nanoseconds == 0 ? 0 : nanoseconds - 1));
    return std::min<std::size_t>(power <= first_power ? 0 : power - first_power, bounds);
  }
};

// What a histogram held at one moment.
struct HistogramValues {
  std::array<std::uint64_t, HistogramBuckets::count> buckets{};
  std::uint64_t nanoseconds = 0;  // the sum of all

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t bucket : buckets) sum += bucket;
    return sum;
  }

  // The bound, in nanoseconds, of the bucket that the share `part` (0 to 1) of all lies in or below. Nothing
  // for an empty histogram, and for what took longer than the last bound.
  std::optional<std::uint64_t> quantile(double part) const {
    const auto wanted = static_cast<double>(count()) * part;
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < HistogramBuckets::bounds; ++bucket) {
      seen += buckets[bucket];
      if (seen != 0 && static_cast<double>(seen) >= wanted) return HistogramBuckets::bound(bucket);
    }
    return std::nullopt;
  }

  void add(const HistogramValues& other) {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
    nanoseconds += other.nanoseconds;
  }
};

// No lock, no allocation.
class Histogram {
 public:
  // Any thread.
  void record(std::chrono::nanoseconds duration) {
    const std::uint64_t nanoseconds = to_count(duration);
    buckets_[HistogramBuckets::of(nanoseconds)].fetch_add(1, std::memory_order_relaxed);
    nanoseconds_.fetch_add(nanoseconds, std::memory_order_relaxed);
  }
  // Cheaper, where always the same thread records (any thread reads).
  void record_alone(std::chrono::nanoseconds duration) {
    const std::uint64_t nanoseconds = to_count(duration);
    add_alone(buckets_[HistogramBuckets::of(nanoseconds)], 1);
    add_alone(nanoseconds_, nanoseconds);
  }

  // Any thread. What is recorded meanwhile is in it or not.
  HistogramValues values() const {
    HistogramValues values;
    for (std::size_t i = 0; i < buckets_.size(); ++i)
      values.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    values.nanoseconds = nanoseconds_.load(std::memory_order_relaxed);
    return values;
  }

 private:
  using Number = std::atomic<std::uint64_t>;

  static std::uint64_t to_count(std::chrono::nanoseconds duration) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  }
  static void add_alone(Number& number, std::uint64_t amount) {
    number.store(number.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::array<Number, HistogramBuckets::count> buckets_{};
  Number nanoseconds_ = 0;
};

}  // namespace umdev
