// A device that is asked when it is bound to an iommufd: what its user is told, by its node and by its group.
#include <gtest/gtest.h>

#include "tests/support/binding_device.h"
#include "tests/support/ioctl_world.h"
#include "umdev/abi/iommufd.h"
#include "umdev/abi/vfio_ioctl.h"

namespace umdev::ioctl {
namespace {

using test::IoctlWorld;

struct AskedDevice : testing::Test {
  AskedDevice() {
    parent = world.core.add_parent("d0");
    auto registered = world.core.core->register_emulated_device(
        std::make_unique<test::BindingDevice>(script, steps), {.parent = parent});
    device = registered->device;
    registration = std::move(registered->registration);
    iommufd_number = world.caller->add_file(iommufd);
  }

  std::uint32_t add_ioas() {
    EXPECT_EQ(world.call_with(iommufd, abi::iommu_ioas_alloc,
                              abi::IommuIoasAlloc{.size = sizeof(abi::IommuIoasAlloc)}),
              0);
    return world.argument<abi::IommuIoasAlloc>().out_ioas_id;
  }
  std::shared_ptr<File> bound() {
    auto node = world.nodes.open_device(device->index(), {}).value();
    EXPECT_EQ(world.call_with(node, abi::vfio_device_bind_iommufd,
                              abi::VfioDeviceBindIommufd{.argsz = 24, .iommufd = iommufd_number}),
              0);
    return node;
  }
  long attach(const std::shared_ptr<File>& node, const abi::VfioDeviceAttachIommufdPt& request) {
    return world.call_with(node, abi::vfio_device_attach_iommufd_pt, request);
  }
  long detach(const std::shared_ptr<File>& node, const abi::VfioDeviceDetachIommufdPt& request) {
    return world.call_with(node, abi::vfio_device_detach_iommufd_pt, request);
  }

  IoctlWorld world;
  std::shared_ptr<test::DeviceScript> script = std::make_shared<test::DeviceScript>();
  std::shared_ptr<test::BindingScript> steps = std::make_shared<test::BindingScript>();
  std::shared_ptr<device::Device> parent;
  std::shared_ptr<vfio::RegisteredDevice> device;
  Registration registration;
  std::shared_ptr<File> iommufd = world.nodes.open_iommufd({}).value();
  int iommufd_number = -1;
};

TEST_F(AskedDevice, its_numbers_are_written_to_its_user) {
  steps->adds_to_ids = 40;
  const std::uint32_t ioas = add_ioas();
  const auto node = bound();
  EXPECT_EQ(world.argument<abi::VfioDeviceBindIommufd>().out_devid, 42U);
  EXPECT_EQ(attach(node, {.argsz = 12, .pt_id = ioas}), 0);
  EXPECT_EQ(world.argument<abi::VfioDeviceAttachIommufdPt>().pt_id, 40 + ioas);
  EXPECT_EQ(detach(node, {.argsz = 8}), 0);
}

TEST_F(AskedDevice, a_number_that_cannot_be_written_is_given_back) {
  const std::uint32_t ioas = add_ioas();
  const auto node = bound();
  // Readable, and no more.
  const abi::VfioDeviceAttachIommufdPt request{.argsz = 12, .pt_id = ioas};
  std::memcpy(world.caller->at(IoctlWorld::read_only, 12), &request, 12);
  EXPECT_EQ(world.call(node, abi::vfio_device_attach_iommufd_pt, IoctlWorld::read_only), -EFAULT);
  EXPECT_EQ(script->count("attach 1"), 1U);
  EXPECT_EQ(script->count("detach"), 1U);
}

TEST_F(AskedDevice, pasids_are_checked_in_the_kernels_order) {
  constexpr std::uint32_t pasid = abi::vfio_device_attach_pasid;
  const std::uint32_t ioas = add_ioas();
  auto node = bound();
  EXPECT_EQ(attach(node, {.argsz = 12, .flags = pasid, .pt_id = ioas}), -EOPNOTSUPP);
  EXPECT_EQ(detach(node, {.argsz = 8, .flags = pasid}), -EOPNOTSUPP);
  node.reset();
  steps->has_pasids = true;
  node = bound();
  EXPECT_EQ(attach(node, {.argsz = 16, .flags = pasid | 2, .pt_id = ioas}), -EINVAL);
  EXPECT_EQ(attach(node, {.argsz = 12, .flags = pasid, .pt_id = ioas}), -EINVAL) << "no room for the PASID";
  EXPECT_EQ(attach(node, {.argsz = 16, .flags = pasid, .pt_id = ioas, .pasid = 7}), 0);
  EXPECT_EQ(world.argument<abi::VfioDeviceAttachIommufdPt>().pt_id, ioas + 1);
  EXPECT_EQ(detach(node, {.argsz = 8, .flags = pasid}), -EINVAL);
  EXPECT_EQ(detach(node, {.argsz = 12, .flags = pasid, .pasid = 7}), 0);
  EXPECT_EQ(script->count("attach 1 of pasid 7"), 1U);
  EXPECT_EQ(script->count("detach of pasid 7"), 1U);
  EXPECT_EQ(script->count("attach 1"), 0U);
}

TEST_F(AskedDevice, by_its_group_it_has_the_memory_of_the_compatibility_ioas) {
  auto group = world.nodes.open_group(device->group()->iommu_group().number(), {}).value();
  ASSERT_EQ(world.call_with(group, abi::vfio_group_set_container, iommufd_number), 0);
  ASSERT_EQ(world.get_device(group, "d0"), 0);
  const auto file = world.made();
  EXPECT_EQ(script->seen(), (std::vector<std::string>{"bind", "open", "attach 1"}));
  const abi::VfioIommuType1DmaMap request{
      .argsz = 32, .flags = 3, .vaddr = IoctlWorld::buffer, .iova = 0x3000, .size = 0x1000};
  EXPECT_EQ(world.call_with(iommufd, abi::vfio_iommu_map_dma, request), 0);
  EXPECT_TRUE(script->user->pin({.iova = 0x3000, .size = 1}, iommu::Access::write));
}

}  // namespace
}  // namespace umdev::ioctl
