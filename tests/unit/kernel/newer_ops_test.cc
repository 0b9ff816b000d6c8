// What vfio_device_ops got after 5.18: features of the driver's own, regions by a callback, tokens.
#include "tests/unit/kernel/module_fixture.h"
#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::kernel {
namespace {

using test::read_file;

constexpr std::uint32_t its_feature = 77;

class NewerOps : public OpenDeviceTest {
 public:
  void begin(const std::string& name, const std::string& lack = "0") {
    ASSERT_EQ(load(name), 0);
    ASSERT_TRUE(module().set_parameter("lack", lack));
    ASSERT_EQ(init(), 0);
    ASSERT_EQ(create(1, "mover", "mover-one"), 0);
    session = world.open_instance(test::MdevWorld::uuid(1));
  }
  // Of eight bytes, as its own is.
  int feature(std::uint32_t flags, const std::vector<std::byte>& data = {}, std::uint64_t room = 8) {
    return OpenDeviceTest::feature(flags, data, room);
  }
  // It has region 16 beside the one that it counts.
  void check_uncounted_region() {
    abi::VfioRegionInfo info{.argsz = 32, .index = 16};
    const Bytes bytes{reinterpret_cast<std::byte*>(&info), sizeof(info)};  // the structure's bytes
    const auto ask = [&](Bytes argument) {
      return session.device->ioctl({.command = abi::vfio_device_get_region_info, .argument = argument});
    };
    ASSERT_TRUE(ask(bytes));
    EXPECT_EQ(info.size, 16U);
    EXPECT_EQ(info.flags, abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write);
    EXPECT_EQ(info.cap_offset, 0U);
    EXPECT_EQ(session.device->region_info(16).error().code, EINVAL) << "not one of the core's";
    info.index = 15;
    const auto unknown = ask(bytes);
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, EINVAL);
    EXPECT_FALSE(ask(bytes.first(16))) << "too short";
  }
};

TEST_F(NewerOps, B14_features_of_the_drivers_own_are_read_written_and_probed) {
  ASSERT_NO_FATAL_FAILURE(begin("mover"));
  EXPECT_EQ(feature(its_feature | get | set | probe), 0);
  const std::vector<std::byte> written(8, std::byte{9});
  EXPECT_EQ(feature(its_feature | set, written), 0);
  EXPECT_TRUE(answer.empty());
  EXPECT_EQ(feature(its_feature | get), 0);
  EXPECT_EQ(answer, written);
  EXPECT_EQ(read_file(*session.device, 0, 0, 8).value(), written);
  EXPECT_EQ(feature(its_feature | get, {}, 7), EINVAL);
  EXPECT_EQ(feature(its_feature), EINVAL);
  EXPECT_EQ(feature(its_feature | get, {}, UINT64_MAX), 0) << "a driver is lent no more than a page";
  EXPECT_EQ(feature((its_feature + 1) | get), ENOTTY);
}

TEST_F(NewerOps, B14_without_the_callback_every_feature_is_unknown) {
  ASSERT_NO_FATAL_FAILURE(begin("mover", "9"));
  EXPECT_EQ(feature(its_feature | get), ENOTTY);
}

TEST_F(NewerOps, B8_the_driver_fills_the_region_and_its_capabilities) {
  ASSERT_NO_FATAL_FAILURE(begin("mover_7_0"));
  const auto region = session.device->region_info(0).value();
  EXPECT_EQ(region.size, 16U);
  EXPECT_EQ(region.flags, abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write);
  EXPECT_EQ(region.capabilities.size(), 2 * 16U) << "bytes of the chain";
  EXPECT_EQ(read_file(*session.device, 0, 3, 1).value(), std::vector<std::byte>{std::byte{3}});
}

TEST_F(NewerOps, B8_without_the_callback_the_ioctl_is_asked) {
  ASSERT_NO_FATAL_FAILURE(begin("mover"));
  EXPECT_EQ(session.device->region_info(0)->size, 16U);
  EXPECT_EQ(session.device->region_info(0)->capabilities.size(), 0U);
}

TEST_F(NewerOps, B8_a_region_that_is_not_counted_is_asked_for_by_its_index) {
  ASSERT_NO_FATAL_FAILURE(begin("mover_7_0"));
  check_uncounted_region();
}

TEST_F(NewerOps, B8_a_region_that_is_not_counted_is_asked_for_by_ioctl_without_the_callback) {
  ASSERT_NO_FATAL_FAILURE(begin("mover"));
  check_uncounted_region();
}

TEST_F(NewerOps, B12_the_driver_matches_the_token) {
  ASSERT_NO_FATAL_FAILURE(begin("mover_7_0"));
  const auto& device = session.device->device();
  EXPECT_TRUE(device.match_token(std::nullopt));
  EXPECT_EQ(device.match_token(Uuid::parse("22000000-0000-4000-8000-000000000000").value()).error().code,
            EACCES);
  EXPECT_TRUE(device.match_token(Uuid::parse("11000000-0000-4000-8000-000000000000").value()));
}

}  // namespace
}  // namespace umdev::kernel
