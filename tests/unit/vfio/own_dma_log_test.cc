// DMA logging of a device that has a log of its own (LogsDma), beside the framework's.
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/outcome.h"
#include "umdev/abi/migration.h"
#include "umdev/vfio/dma_logging.h"

namespace umdev::vfio {
namespace {

using iommu::IovaRange;
using iommu::page_size;
using test::error_of;

// A device that has written page 2, and does what it is told to.
struct OwnLog final : LogsDma {
  std::vector<IovaRange> ranges;
  unsigned starts = 0;
  unsigned stops = 0;
  int error = 0;

  Result<> answer() const {
    if (error != 0) return fail(error, "the device does not want to");
    return {};
  }
  bool has_dma_log() const override { return true; }
  Result<std::uint64_t> start_dma_log(std::span<const IovaRange> given, std::uint64_t wish) override {
    ++starts;
    UMDEV_TRY(answer());
    ranges.assign(given.begin(), given.end());
    return 2 * wish;
  }
  Result<> stop_dma_log() override {
    ++stops;
    return answer();
  }
  Result<> read_dma_log(IovaRange, std::uint64_t, Bytes bitmap) override {
    UMDEV_TRY(answer());
    bitmap[0] |= std::byte{0b100};
    return {};
  }
};

struct OwnDmaLog : testing::Test {
  OwnLog own;
  Limits limits;
  std::shared_ptr<iommu::WriteTracker> tracker = std::make_shared<iommu::WriteTracker>();
  DmaLogging logging{tracker, limits, &own};

  Result<std::uint64_t> start(const std::vector<IovaRange>& ranges) {
    const abi::VfioDmaLoggingStart control{
        .page_size = page_size, .num_ranges = static_cast<std::uint32_t>(ranges.size()), .reserved = 0};
    std::vector<std::byte> data(bytes_of(control).begin(), bytes_of(control).end());
    for (const IovaRange& range : ranges) {
      const abi::VfioDmaLoggingRange wire{.iova = range.iova, .length = range.size};
      data.insert(data.end(), bytes_of(wire).begin(), bytes_of(wire).end());
    }
    return load_struct<abi::VfioDmaLoggingStart>(UMDEV_TRY(logging.start(data)))->page_size;
  }
  // The dirty ones of the first 64 pages.
  Result<std::uint64_t> dirty() {
    const abi::VfioDmaLoggingReport asked{.iova = 0, .length = 64 * page_size, .page_size = page_size};
    return *load_le<std::uint64_t>(UMDEV_TRY(logging.report(bytes_of(asked), UINT64_MAX)), sizeof asked);
  }
};

TEST_F(OwnDmaLog, A17_it_is_started_with_the_ranges_in_their_order_and_says_its_page_size) {
  EXPECT_EQ(start({{8 * page_size, page_size}, {0, page_size}}).value(), 2 * page_size);
  EXPECT_EQ(own.ranges, (std::vector<IovaRange>{{0, page_size}, {8 * page_size, page_size}}));
  EXPECT_TRUE(logging.is_on());
}

TEST_F(OwnDmaLog, A17_what_the_framework_refuses_it_never_hears_of) {
  EXPECT_EQ(error_of(start({})), EINVAL);
  EXPECT_EQ(error_of(start({{0, 2 * page_size}, {page_size, page_size}})), EINVAL);
  EXPECT_EQ(own.starts, 0U);
}

TEST_F(OwnDmaLog, A17_a_report_has_its_pages_and_those_that_the_framework_saw_written) {
  ASSERT_TRUE(start({{0, 64 * page_size}}));
  tracker->wrote({5 * page_size, 1});
  EXPECT_EQ(dirty().value(), 0b100100U);
  EXPECT_EQ(dirty().value(), 0b100U) << "ours is forgotten; its own it keeps";
}

TEST_F(OwnDmaLog, A17_its_error_is_the_users_and_forgets_nothing) {
  own.error = EIO;
  EXPECT_EQ(error_of(start({{0, 64 * page_size}})), EIO);
  EXPECT_FALSE(logging.is_on());
  own.error = 0;
  ASSERT_TRUE(start({{0, 64 * page_size}}));
  tracker->wrote({5 * page_size, 1});
  own.error = EIO;
  EXPECT_EQ(error_of(dirty()), EIO);
  EXPECT_EQ(error_of(logging.stop()), EIO);
  EXPECT_TRUE(logging.is_on());
  own.error = 0;
  EXPECT_EQ(dirty().value(), 0b100100U);
}

TEST_F(OwnDmaLog, A17_a_stop_stops_both_and_a_second_one_is_its_to_refuse) {
  ASSERT_TRUE(start({{0, 64 * page_size}}));
  EXPECT_TRUE(logging.stop());
  EXPECT_EQ(own.stops, 1U);
  EXPECT_FALSE(logging.is_on());
  own.error = EINVAL;
  EXPECT_EQ(error_of(logging.stop()), EINVAL);
}

TEST_F(OwnDmaLog, A17_started_twice_is_its_to_refuse_and_otherwise_begins_anew) {
  ASSERT_TRUE(start({{0, 64 * page_size}}));
  tracker->wrote({5 * page_size, 1});
  ASSERT_TRUE(start({{0, 64 * page_size}}));
  EXPECT_EQ(dirty().value(), 0b100U);
  own.error = EBUSY;
  EXPECT_EQ(error_of(start({{0, 64 * page_size}})), EBUSY);
  EXPECT_TRUE(logging.is_on()) << "the first goes on";
}

}  // namespace
}  // namespace umdev::vfio
