// One driver in every form of the API between 4.10 and 6.0, and what it may do in a call: wait.
#include <thread>

#include "tests/support/fake_backing.h"
#include "tests/unit/kernel/module_fixture.h"

namespace umdev::kernel {
namespace {

using test::read_file;
using test::write_file;

// A read that may end later.
struct Reading {
  std::atomic<bool> over = false;
  Result<std::size_t> result = fail(EINPROGRESS, "not yet");
  std::array<std::byte, 1> data{};
};

class Embedded : public ModuleTest, public testing::WithParamInterface<const char*> {
 public:
  void begin() {
    // The generic driver takes every device up to 5.12; here another one is to have them.
    if (std::string(GetParam()) < "emb_5_13") {
      ASSERT_EQ(wait_for_end([&](Done<> done) {
                  world.vfio_mdev_registration.unregister(RemovePolicy::wait, std::move(done));
                }),
                0);
    }
    ASSERT_EQ(insmod(GetParam()), 0);
    ASSERT_EQ(create(1, "emb", "emb-one"), 0);
  }
  auto open() { return world.open_instance(test::MdevWorld::uuid(1)); }
  static std::shared_ptr<Reading> begin_read(vfio::DeviceFile& file, std::uint64_t offset) {
    auto reading = std::make_shared<Reading>();
    file.read(0, offset, reading->data, reading, [reading](Result<std::size_t> result) {
      reading->result = std::move(result);
      reading->over = true;
    });
    return reading;
  }
};

TEST_P(Embedded, A1_A3_A4_A5_A8_a_device_is_registered_opened_read_and_gone) {
  ASSERT_NO_FATAL_FAILURE(begin());
  {
    const auto session = open();
    EXPECT_EQ(read_file(*session.device, 0, 0, 1).value().front(), std::byte{1});
    EXPECT_EQ(read_file(*session.device, 0, 0, 2).error().code, EINVAL);
  }
  EXPECT_EQ(remove(1), 0);
  EXPECT_TRUE(world.host.log().contains("opened 1, closed 1"));
  EXPECT_EQ(unload(), 0);
  const bool adds = std::string(GetParam()) < "emb_5_12_";
  EXPECT_TRUE(world.host.log().contains(adds ? "again: -16" : "too early: -22"));
  EXPECT_FALSE(world.host.log().contains("not "));
}

TEST_P(Embedded, C27_C28_C29_C30_C31_C32_C34_a_driver_is_an_external_user_of_its_group) {
  ASSERT_NO_FATAL_FAILURE(begin());
  const auto session = open();
  ASSERT_TRUE(session.container->iommu().value()->map(
      {.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
       .iova = 0,
       .size = iommu::page_size,
       .vaddr = 0,
       .backing = std::make_shared<test::MemoryBacking>(iommu::page_size),
       .backing_offset = 0}));
  const auto written = write_file(*session.device, 0, 20, std::vector<std::byte>(1));
  EXPECT_EQ(written ? 0 : written.error().code, 0);
  EXPECT_FALSE(world.host.log().contains(": not "));
}

TEST_P(Embedded, B3_B4_open_is_for_each_file_up_to_5_14_and_for_the_device_since) {
  ASSERT_NO_FATAL_FAILURE(begin());
  const bool each = std::string(GetParam()) < "emb_5_15";
  const std::string name = test::MdevWorld::uuid(1).to_string();
  {
    auto session = open();
    std::vector<std::shared_ptr<vfio::DeviceFile>> files{session.device};
    for (int n = 0; n < 2; ++n) files.push_back(test::CoreWorld::get_device(*session.group, name).value());
    EXPECT_EQ(read_file(*session.device, 0, 0, 1).value().front(), std::byte(each ? 3 : 1));
    const auto fourth = test::CoreWorld::get_device(*session.group, name);
    EXPECT_EQ(fourth ? 0 : fourth.error().code, each ? EMFILE : 0);
    session.device.reset();
    files.erase(files.begin());
    EXPECT_TRUE(read_file(*files.front(), 0, 0, 1)) << "the others are open as before";
  }
  EXPECT_EQ(remove(1), 0);
  EXPECT_TRUE(world.host.log().contains(each ? "opened 3, closed 3" : "opened 1, closed 1"));
}

TEST_P(Embedded, a_call_that_waits_leaves_its_thread_to_others) {
  ASSERT_NO_FATAL_FAILURE(begin());
  const auto session = open();
  const auto reading = begin_read(*session.device, 8);
  EXPECT_FALSE(reading->over);
  EXPECT_TRUE(read_file(*session.device, 0, 0, 1));
  EXPECT_EQ(write_file(*session.device, 0, 0, std::vector<std::byte>(1)).value(), 1U);
  EXPECT_TRUE(run_until([&] { return reading->over.load(); }));
  EXPECT_EQ(reading->result.value(), 1U);
}

TEST_P(Embedded, a_mutex_is_handed_on_while_its_holder_sleeps) {
  ASSERT_NO_FATAL_FAILURE(begin());
  const auto session = open();
  std::vector<std::shared_ptr<Reading>> readings;
  for (int n = 0; n < 3; ++n) readings.push_back(begin_read(*session.device, 9));
  for (const auto& reading : readings) {
    EXPECT_TRUE(run_until([&] { return reading->over.load(); }));
    EXPECT_TRUE(reading->result);
  }
}

TEST_P(Embedded, a_wait_with_a_limit_ends_by_itself) {
  ASSERT_NO_FATAL_FAILURE(begin());
  const auto session = open();
  const auto reading = begin_read(*session.device, 10);
  EXPECT_TRUE(run_until([&] { return reading->over.load(); }));
  EXPECT_EQ(reading->result.error().code, ETIME);
}

INSTANTIATE_TEST_SUITE_P(Vintages, Embedded,
                         testing::Values("emb_5_10", "emb_5_12_rc", "emb_5_13", "emb_5_15", "emb_5_16",
                                         "emb_5_19"),
                         [](const auto& vintage) { return std::string(vintage.param); });

}  // namespace
}  // namespace umdev::kernel
