// Commands of a group.
#include <gtest/gtest.h>

#include "tests/support/ioctl_world.h"

namespace umdev::ioctl {
namespace {

using test::FakeCaller;
using test::IoctlWorld;

struct GroupFileTest : testing::Test {
  long set_container(int fd) { return world.call_with(group, abi::vfio_group_set_container, fd); }
  std::uint32_t status() {
    EXPECT_EQ(world.call_with(group, abi::vfio_group_get_status, abi::VfioGroupStatus{.argsz = 8}), 0);
    return world.argument<abi::VfioGroupStatus>().flags;
  }

  IoctlWorld world;
  test::CoreWorld::Registered device = world.core.add_device("d0");
  std::shared_ptr<File> container = world.nodes.open_container({});
  std::shared_ptr<File> group = world.nodes.open_group(device.group, {}).value();
  int container_fd = world.caller->add_file(container);
};

TEST_F(GroupFileTest, C23_open_is_enodev_for_no_group_and_ebusy_for_an_open_one) {
  EXPECT_EQ(world.nodes.open_group(device.group, {}).error().code, EBUSY);
  EXPECT_EQ(world.nodes.open_group(1000, {}).error().code, ENODEV);
  group.reset();
  EXPECT_TRUE(world.nodes.open_group(device.group, {}));
}

TEST_F(GroupFileTest, E2_status_is_viable_then_has_a_container) {
  EXPECT_EQ(status(), abi::vfio_group_flags_viable);
  ASSERT_EQ(set_container(container_fd), 0);
  EXPECT_EQ(status(), abi::vfio_group_flags_viable | abi::vfio_group_flags_container_set);
  EXPECT_EQ(world.call(group, abi::vfio_group_unset_container), 0);
  EXPECT_EQ(status(), abi::vfio_group_flags_viable);
}

TEST_F(GroupFileTest, C24_bad_arguments_and_unknown_commands) {
  EXPECT_EQ(world.call_with(group, abi::vfio_group_get_status, abi::VfioGroupStatus{.argsz = 7}), -EINVAL);
  EXPECT_EQ(world.call(group, abi::vfio_group_get_status, IoctlWorld::nowhere), -EFAULT);
  EXPECT_EQ(world.call(group, abi::vfio_group_set_container, IoctlWorld::nowhere), -EFAULT);
  EXPECT_EQ(world.call(group, abi::vfio_group_get_device_fd, IoctlWorld::nowhere), -EFAULT);
  for (const std::uint32_t command : {0x3b64U, 0x3b66U, 0x3b6bU, 0x3b7fU, 0U})
    EXPECT_EQ(world.call(group, command, IoctlWorld::arguments), -ENOTTY) << command;
}

TEST_F(GroupFileTest, C18_set_container_says_what_is_wrong_with_the_descriptor) {
  EXPECT_EQ(set_container(-1), -EBADF);
  EXPECT_EQ(set_container(99), -EBADF);
  EXPECT_EQ(set_container(world.caller->add_file(group)), -EBADFD);
  EXPECT_EQ(set_container(world.caller->add_fd(0)), -EBADFD);
  ASSERT_EQ(set_container(container_fd), 0);
  EXPECT_EQ(set_container(container_fd), -EINVAL) << "in one already";
}

TEST_F(GroupFileTest, C18_of_linux_6_1_is_einval_for_another_file) {
  IoctlWorld old(Profile::linux_6_1);
  const auto other = old.core.add_device("d0");
  const auto old_group = old.nodes.open_group(other.group, {}).value();
  const int fd = old.caller->add_file(old_group);
  EXPECT_EQ(old.call_with(old_group, abi::vfio_group_set_container, fd), -EINVAL);
}

TEST_F(GroupFileTest, C20_unset_container_needs_one_that_nobody_uses) {
  EXPECT_EQ(world.call(group, abi::vfio_group_unset_container), -EINVAL);
  ASSERT_EQ(set_container(container_fd), 0);
  ASSERT_EQ(world.call(container, abi::vfio_set_iommu, abi::vfio_type1v2_iommu), 0);
  ASSERT_EQ(world.get_device(group, "d0"), 0);
  const auto file = world.made();
  EXPECT_EQ(world.call(group, abi::vfio_group_unset_container), -EBUSY);
}

TEST_F(GroupFileTest, C25_get_device_looks_for_the_name_before_the_container) {
  EXPECT_EQ(world.get_device(group, "other"), -ENODEV);
  EXPECT_EQ(world.get_device(group, "d0"), -EINVAL) << "no container";
  ASSERT_EQ(set_container(container_fd), 0);
  EXPECT_EQ(world.get_device(group, "d0"), -EINVAL) << "no IOMMU driver";
  ASSERT_EQ(world.call(container, abi::vfio_set_iommu, abi::vfio_type1v2_iommu), 0);
  EXPECT_EQ(world.get_device(group, "d0 vf_token=x"), -ENODEV) << "an mdev is known by its name alone";
  ASSERT_EQ(world.get_device(group, "d0"), 0);
  ASSERT_TRUE(world.made());
  EXPECT_EQ(world.made()->kind(), FileKind::device);
}

TEST_F(GroupFileTest, a_name_ends_before_its_page_or_is_too_long) {
  const UserAddress end = IoctlWorld::arguments + 4 * FakeCaller::page;
  std::memcpy(world.caller->at(end - 3, 3), "d0", 3);
  EXPECT_EQ(world.call(group, abi::vfio_group_get_device_fd, end - 3), -EINVAL) << "found, no container";
  std::memcpy(world.caller->at(end - 2, 2), "d0", 2);
  EXPECT_EQ(world.call(group, abi::vfio_group_get_device_fd, end - 2), -EFAULT)
      << "no end before memory ends";
  std::memset(world.caller->at(IoctlWorld::arguments, 8192), 'x', 8192);
  EXPECT_EQ(world.call(group, abi::vfio_group_get_device_fd, IoctlWorld::arguments + 8), -EINVAL);
}

TEST_F(GroupFileTest, C3_files_may_be_closed_in_any_order) {
  const auto opened_by = [&] {
    ASSERT_EQ(set_container(container_fd), 0);
    ASSERT_EQ(world.call(container, abi::vfio_set_iommu, abi::vfio_type1v2_iommu), 0);
    ASSERT_EQ(world.get_device(group, "d0"), 0);
  };
  for (int order = 0; order < 6; ++order) {
    if (!group) {
      group = world.nodes.open_group(device.group, {}).value();
      container = world.nodes.open_container({});
      container_fd = world.caller->add_file(container);
    }
    opened_by();
    auto file = world.made();
    *world.last = std::nullopt;
    world.caller->close_fd(container_fd);
    std::array<std::shared_ptr<File>*, 3> files{&container, &group, &file};
    std::rotate(files.begin(), files.begin() + order % 3, files.end());
    if (order >= 3) std::swap(files[1], files[2]);
    for (auto* each : files) each->reset();
    EXPECT_EQ(device.device->open_count(), 0U) << order;
  }
}

TEST_F(GroupFileTest, a_device_that_is_closed_last_keeps_its_group_busy) {
  ASSERT_EQ(set_container(container_fd), 0);
  ASSERT_EQ(world.call(container, abi::vfio_set_iommu, abi::vfio_type1v2_iommu), 0);
  ASSERT_EQ(world.get_device(group, "d0"), 0);
  auto file = world.made();
  *world.last = std::nullopt;
  group.reset();
  EXPECT_EQ(world.nodes.open_group(device.group, {}).error().code, EBUSY);
  file.reset();
  EXPECT_TRUE(world.nodes.open_group(device.group, {}));
}

}  // namespace
}  // namespace umdev::ioctl
