// A driver's own log of its DMA (struct vfio_log_ops), asked by DMA_LOGGING_START, STOP and REPORT.
#include "tests/support/fake_backing.h"
#include "tests/unit/kernel/module_fixture.h"
#include "umdev/abi/migration.h"
#include "umdev/abi/vfio.h"

namespace umdev::kernel {
namespace {

using test::write_file;

constexpr std::uint64_t page = iommu::page_size;

class DmaLog : public OpenDeviceTest, public testing::WithParamInterface<const char*> {
 public:
  void begin(const std::string& log) {
    ASSERT_EQ(load(GetParam()), 0);
    ASSERT_TRUE(module().set_parameter("log", log));
    ASSERT_EQ(init(), 0);
    ASSERT_EQ(create(1, "reacher", "reacher-one"), 0);
    session = world.open_instance(test::MdevWorld::uuid(1));
  }
  int start(const std::vector<iommu::IovaRange>& ranges, std::uint64_t page_size = page) {
    const abi::VfioDmaLoggingStart control{
        .page_size = page_size, .num_ranges = static_cast<std::uint32_t>(ranges.size()), .reserved = 0};
    std::vector<std::byte> data(bytes_of(control).begin(), bytes_of(control).end());
    for (const iommu::IovaRange range : ranges) {
      const abi::VfioDmaLoggingRange said{.iova = range.iova, .length = range.size};
      data.insert(data.end(), bytes_of(said).begin(), bytes_of(said).end());
    }
    return feature(abi::vfio_device_feature_dma_logging_start | set, data);
  }
  int stop() { return feature(abi::vfio_device_feature_dma_logging_stop | set); }
  int report(std::uint64_t iova, std::uint64_t length, std::uint64_t page_size = page) {
    const abi::VfioDmaLoggingReport asked{.iova = iova, .length = length, .page_size = page_size};
    return feature(abi::vfio_device_feature_dma_logging_report | get,
                   {bytes_of(asked).begin(), bytes_of(asked).end()});
  }
  std::uint64_t bits() { return load_le<std::uint64_t>(answer, sizeof(abi::VfioDmaLoggingReport)).value(); }
  int write(unsigned region, std::uint64_t offset) {
    return test::error_of(write_file(*session.device, region, offset, std::vector<std::byte>(1)));
  }
};

TEST_P(DmaLog, A17_the_driver_is_given_the_ranges_and_sets_the_bits) {
  ASSERT_NO_FATAL_FAILURE(begin("1"));
  EXPECT_EQ(feature(abi::vfio_device_feature_dma_logging_report | get | probe), 0);
  EXPECT_EQ(start({{.iova = 8 * page, .size = 8 * page}, {.iova = 0, .size = 2 * page}}, page), 0);
  EXPECT_EQ(load_struct<abi::VfioDmaLoggingStart>(answer)->page_size, page);
  EXPECT_TRUE(world.host.log().contains("logs 0 to 1fff of 2"));
  EXPECT_TRUE(world.host.log().contains("logs 8000 to ffff of 2"));
  EXPECT_EQ(write(2, 9 * page + 5), 0);
  EXPECT_EQ(write(2, page), 0);
  EXPECT_EQ(report(8 * page, 8 * page), 0);
  EXPECT_EQ(bits(), 1U << 1);
  EXPECT_EQ(report(8 * page, 8 * page), 0);
  EXPECT_EQ(bits(), 0U) << "read and cleared";
  EXPECT_EQ(report(0, 16 * page, 2 * page), 0);
  EXPECT_EQ(bits(), 1U) << "a bit for two pages";
  EXPECT_EQ(stop(), 0);
}

TEST_P(DmaLog, A17_what_umdev_sees_is_in_the_report_too) {
  ASSERT_NO_FATAL_FAILURE(begin("1"));
  ASSERT_TRUE(session.container->iommu().value()->map(
      {.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
       .iova = 0,
       .size = 16 * page,
       .vaddr = 0,
       .backing = std::make_shared<test::MemoryBacking>(16 * page),
       .backing_offset = 0}));
  EXPECT_EQ(start({{.iova = 0, .size = 16 * page}}), 0);
  EXPECT_EQ(write(1, 3 * page), 0);
  EXPECT_EQ(write(2, 5 * page), 0);
  EXPECT_EQ(report(0, 16 * page), 0);
  EXPECT_EQ(bits(), (1U << 3) | (1U << 5));
}

TEST_P(DmaLog, A17_its_errors_are_its_users) {
  ASSERT_NO_FATAL_FAILURE(begin("1"));
  EXPECT_EQ(stop(), ENXIO);
  EXPECT_EQ(report(0, page), ENXIO);
  EXPECT_EQ(start({{.iova = 0, .size = page}}), 0);
  EXPECT_EQ(start({{.iova = 0, .size = page}}), EEXIST);
  EXPECT_EQ(start({{.iova = 0, .size = page}, {.iova = 0, .size = page}}), EINVAL)
      << "the core's: they overlap";
  EXPECT_EQ(report(0, page), 0) << "on as before";
  EXPECT_EQ(stop(), 0);
  EXPECT_EQ(stop(), ENXIO);
}

TEST_P(DmaLog, A17_without_log_ops_there_is_no_log_and_with_half_of_them_no_device) {
  ASSERT_NO_FATAL_FAILURE(begin("0"));
  EXPECT_EQ(stop(), ENOTTY);
  EXPECT_EQ(start({{.iova = 0, .size = page}}), ENOTTY);
  EXPECT_EQ(report(0, page), ENOTTY);
  session = {};
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(unload(), 0);
  reset();
  ASSERT_EQ(load(GetParam()), 0);
  ASSERT_TRUE(module().set_parameter("log", "2"));
  ASSERT_EQ(init(), 0);
  EXPECT_EQ(create(1, "reacher", "reacher-one"), EINVAL);
}

TEST_P(DmaLog, A17_a_log_that_cannot_be_read_forgets_nothing_of_what_umdev_saw) {
  ASSERT_NO_FATAL_FAILURE(begin("3"));
  EXPECT_EQ(start({{.iova = 0, .size = page}}), 0);
  EXPECT_EQ(report(0, page), EDOM);
}

INSTANTIATE_TEST_SUITE_P(Vintages, DmaLog, testing::Values("reacher", "reacher_7_0"),
                         [](const auto& name) { return std::string(name.param); });

// Since 6.6 a driver has them combined.
struct CombinedLog : DmaLog {};

TEST_P(CombinedLog, C43_of_three_ranges_the_two_with_the_smallest_gap_become_one) {
  ASSERT_NO_FATAL_FAILURE(begin("1"));
  EXPECT_EQ(
      start(
          {{.iova = 0, .size = page}, {.iova = 16 * page, .size = page}, {.iova = 18 * page, .size = page}}),
      0);
  EXPECT_TRUE(world.host.log().contains("logs 0 to fff of 3"));
  EXPECT_TRUE(world.host.log().contains("logs 10000 to 12fff of 3"));
  EXPECT_FALSE(world.host.log().contains("logs 12000 to 12fff"));
}

INSTANTIATE_TEST_SUITE_P(Since66, CombinedLog, testing::Values("reacher_7_0"));

}  // namespace
}  // namespace umdev::kernel
