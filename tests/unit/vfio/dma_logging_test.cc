// DMA logging of a device, through its features: what is tracked, and the kernel's errno.
#include "umdev/vfio/dma_logging.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "tests/support/core_world.h"
#include "tests/support/fake_backing.h"
#include "tests/support/fake_migration.h"
#include "tests/support/feature.h"
#include "tests/support/outcome.h"

namespace umdev::vfio {
namespace {

using iommu::IovaRange;
using iommu::page_size;
using test::CoreWorld;
using test::error_of;
using test::Outcome;

constexpr std::uint32_t get = abi::vfio_device_feature_get;
constexpr std::uint32_t set = abi::vfio_device_feature_set;
constexpr std::uint32_t probe = abi::vfio_device_feature_probe;
constexpr std::uint64_t memory_pages = 32;

struct Open {
  test::FakeMigration driver;
  std::shared_ptr<test::MemoryBacking> memory =
      std::make_shared<test::MemoryBacking>(memory_pages * page_size);
  CoreWorld world;
  CoreWorld::Registered device;
  CoreWorld::Session session;

  // Pages 0 to 31 are memory.
  Open() {
    auto script = std::make_shared<test::DeviceScript>();
    script->migration = &driver;
    device = world.add_device("a", std::move(script));
    session = world.open(device);
    map(0, memory_pages, memory);
  }
  void map(std::uint64_t page, std::uint64_t pages, std::shared_ptr<iommu::Backing> backing) {
    EXPECT_TRUE(session.container->iommu().value()->map(
        {.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
         .iova = page * page_size,
         .size = pages * page_size,
         .backing = std::move(backing)}));
  }
  User& user() { return *device.script->user; }

  Result<std::vector<std::byte>> start(const std::vector<IovaRange>& ranges, std::uint64_t hint = page_size) {
    std::vector<std::byte> data(sizeof(abi::VfioDmaLoggingStart));
    const abi::VfioDmaLoggingStart control{
        .page_size = hint, .num_ranges = static_cast<std::uint32_t>(ranges.size()), .reserved = 0};
    std::ranges::copy(bytes_of(control), data.begin());
    for (const IovaRange& range : ranges) {
      const abi::VfioDmaLoggingRange wire{.iova = range.iova, .length = range.size};
      data.insert(data.end(), bytes_of(wire).begin(), bytes_of(wire).end());
    }
    return test::feature(*session.device,
                         {.flags = set | abi::vfio_device_feature_dma_logging_start, .data = data});
  }
  int stop() {
    return error_of(
        test::feature(*session.device, {.flags = set | abi::vfio_device_feature_dma_logging_stop}));
  }
  Result<std::vector<std::byte>> report(IovaRange range, std::uint64_t granule = page_size,
                                        std::uint64_t room = UINT64_MAX) {
    const abi::VfioDmaLoggingReport asked{.iova = range.iova, .length = range.size, .page_size = granule};
    return test::feature(
        *session.device,
        {.flags = get | abi::vfio_device_feature_dma_logging_report, .data = bytes_of(asked), .room = room});
  }
  // The dirty ones of the first 64 pages.
  std::uint64_t dirty() {
    const auto answer = report({0, 64 * page_size});
    EXPECT_TRUE(answer);
    return answer ? load_le<std::uint64_t>(*answer, sizeof(abi::VfioDmaLoggingReport)).value() : 0;
  }
  void write(std::uint64_t iova, std::size_t size, int error = 0) {
    const std::vector<std::byte> bytes(size);
    Outcome<> outcome;
    user().dma_write(iova, bytes, outcome.done());
    EXPECT_EQ(outcome.error(), error);
  }
  iommu::DmaPin pin(std::uint64_t page, std::uint64_t pages, iommu::Access access = iommu::Access::write) {
    return user().pin({page * page_size, pages * page_size}, access).value();
  }
};

TEST(DmaLogging, A17_writes_and_writable_pins_are_logged) {
  Open open;
  open.write(0, 1);
  ASSERT_TRUE(open.start({{0, 64 * page_size}}));
  EXPECT_EQ(open.dirty(), 0U) << "what was before";
  open.write(3 * page_size - 1, 2);
  EXPECT_EQ(open.dirty(), 0b1100U);
  EXPECT_EQ(open.dirty(), 0U);
  iommu::DmaPin pin = open.pin(1, 1);
  const iommu::DmaPin reading = open.pin(5, 1, iommu::Access::read);
  EXPECT_EQ(open.dirty(), 0b10U);
  EXPECT_EQ(open.dirty(), 0b10U) << "as long as it is pinned";
  pin.unpin();
  EXPECT_EQ(open.dirty(), 0b10U);
  EXPECT_EQ(open.dirty(), 0U);
}

TEST(DmaLogging, A17_a_pin_from_before_the_start_is_dirty) {
  Open open;
  const iommu::DmaPin pin = open.pin(4, 2);
  ASSERT_TRUE(open.start({{5 * page_size, page_size}}));
  EXPECT_EQ(open.dirty(), 1U << 5) << "its part that is in a range";
}

TEST(DmaLogging, A17_a_refused_write_makes_nothing_dirty_and_one_that_failed_half_way_may_have) {
  Open open;
  open.memory->go_bad();
  ASSERT_TRUE(open.start({{0, 64 * page_size}}));
  open.write(40 * page_size, 1, EINVAL);
  EXPECT_EQ(open.dirty(), 0U);
  open.write(0, 1, EFAULT);
  EXPECT_EQ(open.dirty(), 1U);
}

TEST(DmaLogging, A17_a_write_behind_messages_is_dirty_when_its_bytes_are_there) {
  Open open;
  const auto messages = std::make_shared<test::MessageBacking>(page_size);
  open.map(40, 1, messages);
  const std::vector<std::byte> bytes(8);
  Outcome<> early, late;
  open.user().dma_write(40 * page_size, bytes, early.done());
  ASSERT_TRUE(open.start({{0, 64 * page_size}}));
  open.user().dma_write(40 * page_size, bytes, late.done());
  EXPECT_EQ(open.dirty(), 0U);
  EXPECT_TRUE(messages->answer());
  EXPECT_TRUE(early.succeeded());
  EXPECT_EQ(open.dirty(), 1ULL << 40) << "it was under way when the log began";
  EXPECT_TRUE(messages->answer());
  EXPECT_TRUE(late.succeeded());
  EXPECT_EQ(open.dirty(), 1ULL << 40);
}

TEST(DmaLogging, A17_start_stop_and_report_know_whether_it_is_on) {
  Open open;
  EXPECT_EQ(error_of(open.report({0, page_size})), EINVAL);
  EXPECT_EQ(open.stop(), 0);
  ASSERT_TRUE(open.start({{0, page_size}}));
  EXPECT_EQ(error_of(open.start({{0, page_size}})), EINVAL);
  open.write(0, 1);
  EXPECT_EQ(open.stop(), 0);
  EXPECT_EQ(error_of(open.report({0, page_size})), EINVAL);
  ASSERT_TRUE(open.start({{0, page_size}}));
  EXPECT_EQ(open.dirty(), 0U) << "a new log";
}

TEST(DmaLogging, A17_start_answers_the_page_size_of_the_log) {
  Open open;
  const auto answer = open.start({{0, 4U << 20}}, 2U << 20);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->size(), sizeof(abi::VfioDmaLoggingStart) + sizeof(abi::VfioDmaLoggingRange));
  EXPECT_EQ(load_struct<abi::VfioDmaLoggingStart>(*answer)->page_size, page_size);
  EXPECT_EQ(load_struct<abi::VfioDmaLoggingStart>(*answer)->num_ranges, 1U);
}

TEST(DmaLogging, C43_bad_ranges_and_short_data_are_refused) {
  Open open;
  EXPECT_EQ(error_of(open.start({})), EINVAL);
  EXPECT_EQ(error_of(open.start(std::vector<IovaRange>(257, {0, page_size}))), E2BIG);
  EXPECT_EQ(error_of(open.start({{0, page_size}, {0, page_size}})), EINVAL);
  EXPECT_EQ(error_of(open.start({{UINT64_MAX - page_size + 1, 2 * page_size}})), EOVERFLOW);
  abi::VfioDmaLoggingStart lies{.page_size = page_size, .num_ranges = 2, .reserved = 0};
  std::vector<std::byte> data(sizeof lies + 31);
  std::ranges::copy(bytes_of(lies), data.begin());
  const std::uint32_t flags = set | abi::vfio_device_feature_dma_logging_start;
  EXPECT_EQ(error_of(test::feature(*open.session.device, {.flags = flags, .data = data})), EINVAL);
  EXPECT_EQ(error_of(open.report({0, page_size})), EINVAL) << "and it is off";
}

TEST(DmaLogging, C43_operations_probes_and_sizes_are_checked_in_the_kernels_order) {
  Open open;
  const auto feature = [&](std::uint32_t flags, std::uint64_t room = UINT64_MAX) {
    return error_of(test::feature(*open.session.device, {.flags = flags, .room = room}));
  };
  for (const std::uint32_t number : {6U, 7U}) {
    EXPECT_EQ(feature(number | probe | set), 0) << number;
    EXPECT_EQ(feature(number | probe | get), EINVAL) << number;
    EXPECT_EQ(feature(number | get), EINVAL) << number;
    EXPECT_EQ(feature(number), EINVAL) << number;
  }
  EXPECT_EQ(feature(8 | probe | get), 0);
  EXPECT_EQ(feature(8 | probe | set), EINVAL);
  EXPECT_EQ(feature(8 | set), EINVAL);
  EXPECT_EQ(feature(6 | set), EINVAL) << "no data";
  EXPECT_EQ(feature(8 | get), EINVAL) << "no data";
  EXPECT_EQ(feature(8 | get, 23), EINVAL);
}

TEST(DmaLogging, C43_a_report_takes_no_more_room_than_there_is) {
  Open open;
  ASSERT_TRUE(open.start({{0, 1ULL << 40}}));
  open.write(0, 1);
  EXPECT_EQ(error_of(open.report({0, 64 * page_size}, page_size, 24 + 7)), EINVAL);
  EXPECT_EQ(open.report({0, 65 * page_size}, page_size, 24 + 16)->size(), 24U + 16U);
  EXPECT_EQ(error_of(open.report({0, 1ULL << 63}, page_size)), EINVAL) << "a bitmap of 2^48 bytes";
  EXPECT_EQ(open.report({0, 64ULL << 30}, page_size)->size(), 24U + (2U << 20));
  EXPECT_EQ(open.report({0, 1ULL << 63}, 1ULL << 62)->size(), 24U + 8U);
}

TEST(DmaLogging, A17_a_device_that_logs_nothing_has_no_such_feature) {
  struct Silent final : Migration {
    std::uint64_t flags() const override { return 1; }
    void arc(User&, MigrationState, MigrationState, Done<std::shared_ptr<MigrationData>> done) override {
      done(nullptr);
    }
    void ended(User&) override {}
    Result<std::uint64_t> data_size() override { return 0; }
    bool logs_dma() const override { return false; }
  } silent;
  CoreWorld world;
  auto script = std::make_shared<test::DeviceScript>();
  script->migration = &silent;
  const auto device = world.add_device("a", script);
  const auto session = world.open(device);
  EXPECT_EQ(error_of(test::feature(*session.device, {.flags = 6 | probe})), ENOTTY);
  EXPECT_EQ(error_of(test::feature(*session.device, {.flags = 1 | probe})), 0);
}

TEST(DmaLogging, it_reports_exactly_what_was_written_and_what_is_pinned) {
  struct Step {
    unsigned kind;  // 0 to 2 write, 3 pin, 4 unpin, 5 report
    std::uint64_t page;
    std::uint64_t pages;
  };
  const bool held = rc::check([] {
    Open open;
    RC_ASSERT(open.start({{0, 10 * page_size}, {12 * page_size, 52 * page_size}}));
    std::uint64_t model = 0;
    std::multimap<std::uint64_t, std::pair<std::uint64_t, iommu::DmaPin>> pins;
    const auto bits = [](std::uint64_t page, std::uint64_t pages) {
      return ((std::uint64_t{1} << pages) - 1) << page & ~(0b11ULL << 10);
    };
    const auto steps = *rc::gen::container<std::vector<Step>>(
        rc::gen::build<Step>(rc::gen::set(&Step::kind, rc::gen::inRange(0U, 6U)),
                             rc::gen::set(&Step::page, rc::gen::inRange<std::uint64_t>(0, memory_pages - 8)),
                             rc::gen::set(&Step::pages, rc::gen::inRange<std::uint64_t>(1, 8))));
    for (const Step& step : steps) {
      const std::uint64_t touched = bits(step.page, step.pages);
      if (step.kind < 3) {
        open.write(step.page * page_size + 5, step.pages * page_size - 9);
        model |= touched;
      } else if (step.kind == 3) {
        pins.emplace(step.page, std::pair(touched, open.pin(step.page, step.pages)));
        model |= touched;
      } else if (step.kind == 4 && !pins.empty()) {
        model |= pins.begin()->second.first;
        pins.erase(pins.begin());
      } else {
        for (const auto& [page, pin] : pins) model |= pin.first;
        RC_ASSERT(open.dirty() == model);
        model = 0;
      }
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace umdev::vfio
