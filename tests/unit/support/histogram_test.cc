#include "umdev/support/histogram.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <thread>
#include <vector>

namespace umdev {
namespace {

using std::chrono::nanoseconds;
using Buckets = HistogramBuckets;

TEST(HistogramTest, A_bound_lies_in_its_own_bucket_and_what_is_above_in_the_next) {
  EXPECT_EQ(Buckets::of(0), 0U);
  for (std::size_t bucket = 0; bucket < Buckets::bounds; ++bucket) {
    EXPECT_EQ(Buckets::of(Buckets::bound(bucket)), bucket);
    EXPECT_EQ(Buckets::of(Buckets::bound(bucket) + 1), bucket + 1);
  }
  EXPECT_EQ(Buckets::of(~0ULL), Buckets::bounds);
}

RC_GTEST_PROP(HistogramTest, holds_what_was_recorded_by_either_way, (std::vector<std::uint32_t> durations)) {
  Histogram shared;
  Histogram alone;
  std::array<std::uint64_t, Buckets::count> model{};
  std::uint64_t sum = 0;
  for (const std::uint32_t duration : durations) {
    shared.record(nanoseconds(duration));
    alone.record_alone(nanoseconds(duration));
    std::size_t bucket = 0;
    while (bucket < Buckets::bounds && duration > Buckets::bound(bucket)) ++bucket;
    ++model[bucket];
    sum += duration;
  }
  for (const Histogram* histogram : {&shared, &alone}) {
    const HistogramValues values = histogram->values();
    RC_ASSERT(values.buckets == model);
    RC_ASSERT(values.nanoseconds == sum);
    RC_ASSERT(values.count() == durations.size());
  }
}

TEST(HistogramTest, A_clock_that_went_back_counts_as_no_time) {
  Histogram histogram;
  histogram.record(nanoseconds(-5));
  EXPECT_EQ(histogram.values().buckets[0], 1U);
  EXPECT_EQ(histogram.values().nanoseconds, 0U);
}

TEST(HistogramTest, A_quantile_is_the_bound_of_its_bucket) {
  Histogram histogram;
  EXPECT_FALSE(histogram.values().quantile(0.5));
  for (int count = 0; count < 99; ++count) histogram.record(nanoseconds(1000));
  histogram.record(nanoseconds(100'000));
  EXPECT_EQ(histogram.values().quantile(0.5), 1024U);
  EXPECT_EQ(histogram.values().quantile(0.99), 1024U);
  EXPECT_EQ(histogram.values().quantile(1), 131072U);
  histogram.record(std::chrono::hours(1));
  EXPECT_FALSE(histogram.values().quantile(1));
}

TEST(HistogramTest, Many_threads_lose_nothing) {
  Histogram histogram;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number)
    threads.emplace_back([&] {
      for (int count = 0; count < 1000; ++count) histogram.record(nanoseconds(count));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(histogram.values().count(), 4000U);
}

}  // namespace
}  // namespace umdev
