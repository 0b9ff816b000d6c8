// /dev/iommu, a device bound to it by its own node, and VFIO's commands on it.
#include "umdev/abi/iommufd.h"

#include <gtest/gtest.h>

#include "tests/support/ioctl_world.h"
#include "tests/support/outcome.h"

namespace umdev::ioctl {
namespace {

using test::error_of;
using test::IoctlWorld;

constexpr std::uint32_t fixed = abi::iommu_ioas_map_fixed_iova;
constexpr std::uint32_t readable = abi::iommu_ioas_map_readable;
constexpr std::uint32_t rw = abi::iommu_ioas_map_readable | abi::iommu_ioas_map_writeable;

struct IommufdTest : testing::Test {
  template <typename T>
  long call(std::uint32_t command, T argument) {
    argument.size = sizeof argument;
    return world.call_with(iommufd, command, argument);
  }
  std::uint32_t add_ioas() {
    EXPECT_EQ(call(abi::iommu_ioas_alloc, abi::IommuIoasAlloc{}), 0);
    return world.argument<abi::IommuIoasAlloc>().out_ioas_id;
  }
  static abi::IommuIoasMap map_of(std::uint32_t ioas, std::uint64_t iova, std::uint64_t length,
                                  std::uint32_t flags = fixed | rw) {
    return {.flags = flags, .ioas_id = ioas, .user_va = IoctlWorld::buffer, .length = length, .iova = iova};
  }
  long map(const abi::IommuIoasMap& request) { return call(abi::iommu_ioas_map, request); }
  long unmap(std::uint32_t ioas, std::uint64_t iova, std::uint64_t length) {
    return call(abi::iommu_ioas_unmap, abi::IommuIoasUnmap{.ioas_id = ioas, .iova = iova, .length = length});
  }
  long destroy(std::uint32_t id) { return call(abi::iommu_destroy, abi::IommuDestroy{.id = id}); }

  // A device of a physical group, where `physical`; an mdev otherwise.
  std::shared_ptr<File> bound(const test::CoreWorld::Registered& wanted) {
    const auto node = world.nodes.open_device(wanted.device->index(), {}).value();
    EXPECT_EQ(bind(node, world.caller->add_file(iommufd)), 0);
    return node;
  }
  long bind(const std::shared_ptr<File>& node, int fd, std::uint32_t flags = 0) {
    return world.call_with(node, abi::vfio_device_bind_iommufd,
                           abi::VfioDeviceBindIommufd{.argsz = 24, .flags = flags, .iommufd = fd});
  }
  long attach(const std::shared_ptr<File>& node, std::uint32_t id) {
    return world.call_with(node, abi::vfio_device_attach_iommufd_pt,
                           abi::VfioDeviceAttachIommufdPt{.argsz = 12, .pt_id = id});
  }
  long detach(const std::shared_ptr<File>& node) {
    return world.call_with(node, abi::vfio_device_detach_iommufd_pt,
                           abi::VfioDeviceDetachIommufdPt{.argsz = 8});
  }
  test::CoreWorld::Registered add_physical(const std::string& name) {
    test::CoreWorld::Registered result{.script = std::make_shared<test::DeviceScript>(),
                                       .parent = world.core.add_parent(name)};
    auto group = world.core.core->create_iommu_group(name, vfio::IommuGroup::Kind::physical).value();
    EXPECT_TRUE(world.core.core->add_to_iommu_group(group, result.parent));
    auto registered = world.core.core->register_device(std::make_unique<test::ScriptedDevice>(result.script),
                                                       {.parent = result.parent});
    result.device = registered->device;
    result.registration = std::move(registered->registration);
    result.group = group->number();
    return result;
  }

  IoctlWorld world;
  test::CoreWorld::Registered device = world.core.add_device("d0");
  std::shared_ptr<File> iommufd = world.nodes.open_iommufd({}).value();
};

TEST_F(IommufdTest, every_structure_begins_with_its_size) {
  for (const std::uint32_t command :
       {abi::iommu_destroy, abi::iommu_ioas_alloc, abi::iommu_ioas_allow_iovas, abi::iommu_ioas_copy,
        abi::iommu_ioas_iova_ranges, abi::iommu_ioas_map, abi::iommu_ioas_unmap, abi::iommu_option,
        abi::iommu_vfio_ioas, abi::iommu_hwpt_alloc, abi::iommu_ioas_map_file}) {
    EXPECT_EQ(world.call(iommufd, command, IoctlWorld::nowhere), -EFAULT) << command;
    EXPECT_EQ(world.call_with(iommufd, command, std::uint32_t{7}), -EINVAL) << command;
    std::array<std::uint32_t, 16> longer{64};
    longer[15] = 1;
    EXPECT_EQ(world.call_with(iommufd, command, longer), -E2BIG) << command;
  }
  EXPECT_EQ(world.call(iommufd, 0x3b8e, IoctlWorld::arguments), -ENOTTY);
}

TEST_F(IommufdTest, ids_begin_at_1_and_the_lowest_free_one_is_next) {
  EXPECT_EQ(add_ioas(), 1U);
  EXPECT_EQ(add_ioas(), 2U);
  EXPECT_EQ(destroy(1), 0);
  EXPECT_EQ(add_ioas(), 1U);
  EXPECT_EQ(destroy(7), -ENOENT);
  EXPECT_EQ(call(abi::iommu_ioas_alloc, abi::IommuIoasAlloc{.flags = 1}), -EOPNOTSUPP);
}

TEST_F(IommufdTest, an_id_that_cannot_be_told_is_not_taken) {
  world.caller->put(IoctlWorld::arguments, abi::IommuIoasAlloc{.size = 12});
  std::memcpy(world.caller->at(IoctlWorld::read_only, 12), world.caller->at(IoctlWorld::arguments, 12), 12);
  EXPECT_EQ(world.call(iommufd, abi::iommu_ioas_alloc, IoctlWorld::read_only), -EFAULT);
  EXPECT_EQ(add_ioas(), 1U);
}

TEST_F(IommufdTest, map_checks_in_the_kernels_order) {
  const std::uint32_t ioas = add_ioas();
  struct Row {
    abi::IommuIoasMap map;
    int error;
  };
  auto reserved = map_of(ioas, 0, 0x1000);
  reserved.reserved = 1;
  auto wraps = map_of(ioas, 0, 0x2000);
  wraps.user_va = ~0xfffULL;
  ASSERT_EQ(map(map_of(ioas, 0x100000, 0x2000)), 0);
  for (const Row& row :
       {Row{map_of(ioas, 0, 0x1000, 8 | rw), EOPNOTSUPP}, Row{reserved, EOPNOTSUPP},
        Row{map_of(ioas, UINT64_MAX, 0x1000), EOVERFLOW}, Row{map_of(ioas, 0, UINT64_MAX), EOVERFLOW},
        Row{map_of(ioas, 0, 0x1000, fixed), EINVAL}, Row{map_of(77, 0, 0x1000), ENOENT},
        Row{map_of(ioas, 0, 0), EINVAL}, Row{wraps, EOVERFLOW},
        Row{map_of(ioas, ~0xfffULL, 0x2000), EOVERFLOW}, Row{map_of(ioas, 0x101000, 0x1000), EEXIST},
        Row{map_of(ioas, 0, 0, rw), EINVAL}})
    EXPECT_EQ(map(row.map), -row.error) << std::hex << row.map.iova << " " << row.map.flags;
}

TEST_F(IommufdTest, map_without_an_address_finds_room_behind_the_first_page) {
  const std::uint32_t ioas = add_ioas();
  ASSERT_EQ(map(map_of(ioas, 0, 0x1000, rw)), 0);
  EXPECT_EQ(world.argument<abi::IommuIoasMap>().iova, 0x1000U);
  ASSERT_EQ(map(map_of(ioas, 0, 0x1000, rw)), 0);
  EXPECT_EQ(world.argument<abi::IommuIoasMap>().iova, 0x2000U);
  ASSERT_EQ(map(map_of(ioas, 0, 0x4000, rw)), 0);
  EXPECT_EQ(world.argument<abi::IommuIoasMap>().iova, 0x4000U) << "aligned as its length";
  // Only what is allowed is given out.
  world.caller->put(IoctlWorld::arguments + 256, abi::IommuIovaRange{.start = 0x80000, .last = 0x80fff});
  ASSERT_EQ(call(abi::iommu_ioas_allow_iovas,
                 abi::IommuIoasAllowIovas{
                     .ioas_id = ioas, .num_iovas = 1, .allowed_iovas = IoctlWorld::arguments + 256}),
            0);
  ASSERT_EQ(map(map_of(ioas, 0, 0x1000, rw)), 0);
  EXPECT_EQ(world.argument<abi::IommuIoasMap>().iova, 0x80000U);
  EXPECT_EQ(map(map_of(ioas, 0, 0x1000, rw)), -ENOSPC);
}

TEST_F(IommufdTest, unmap_is_of_whole_mappings_or_of_everything) {
  const std::uint32_t ioas = add_ioas();
  ASSERT_EQ(map(map_of(ioas, 0x10000, 0x2000)), 0);
  ASSERT_EQ(map(map_of(ioas, 0x20000, 0x1000)), 0);
  EXPECT_EQ(unmap(ioas, 0x10000, 0), -EINVAL);
  EXPECT_EQ(unmap(ioas, ~0ULL, 2), -EOVERFLOW);
  EXPECT_EQ(unmap(77, 0, 0x1000), -ENOENT);
  EXPECT_EQ(unmap(ioas, 0, 0x1000), -ENOENT) << "nothing is there";
  EXPECT_EQ(unmap(ioas, 0x10000, 0x1000), -ENOENT) << "cut at its end";
  EXPECT_EQ(unmap(ioas, 0x11000, 0x1000), -ENOENT) << "cut at its begin";
  EXPECT_EQ(unmap(ioas, 0x10000, 0x20000), 0);
  EXPECT_EQ(world.argument<abi::IommuIoasUnmap>().length, 0x3000U);
  EXPECT_EQ(unmap(ioas, 0, UINT64_MAX), 0) << "everything, of which there is nothing";
}

TEST_F(IommufdTest, until_a_device_uses_it_a_mapping_is_of_bytes) {
  const std::uint32_t ioas = add_ioas();
  abi::IommuIoasIovaRanges ranges{
      .ioas_id = ioas, .num_iovas = 1, .allowed_iovas = IoctlWorld::arguments + 256};
  ASSERT_EQ(call(abi::iommu_ioas_iova_ranges, ranges), 0);
  ranges = world.argument<abi::IommuIoasIovaRanges>();
  EXPECT_EQ(ranges.num_iovas, 1U);
  EXPECT_EQ(ranges.out_iova_alignment, 1U);
  EXPECT_EQ(world.caller->get<abi::IommuIovaRange>(IoctlWorld::arguments + 256).last, UINT64_MAX);
  ASSERT_EQ(map(map_of(ioas, 0x10, 0x20)), 0);
  const auto node = bound(device);
  EXPECT_EQ(attach(node, ioas), -EADDRINUSE);
  EXPECT_EQ(unmap(ioas, 0x10, 0x20), 0);
  EXPECT_EQ(attach(node, ioas), 0);
  EXPECT_EQ(map(map_of(ioas, 0x10, 0x20)), -EINVAL);
}

TEST_F(IommufdTest, iova_ranges_say_how_many_there_are) {
  const std::uint32_t ioas = add_ioas();
  EXPECT_EQ(call(abi::iommu_ioas_iova_ranges, abi::IommuIoasIovaRanges{.ioas_id = ioas}), -EMSGSIZE);
  EXPECT_EQ(world.argument<abi::IommuIoasIovaRanges>().num_iovas, 1U);
}

TEST_F(IommufdTest, copy_shares_the_memory_of_a_mapping) {
  const std::uint32_t from = add_ioas();
  const std::uint32_t to = add_ioas();
  ASSERT_EQ(map(map_of(from, 0x10000, 0x2000)), 0);
  abi::IommuIoasCopy copy{.flags = fixed | rw,
                          .dst_ioas_id = to,
                          .src_ioas_id = from,
                          .length = 0x1000,
                          .dst_iova = 0x5000,
                          .src_iova = 0x11000};
  ASSERT_EQ(call(abi::iommu_ioas_copy, copy), 0);
  const auto node = bound(device);
  ASSERT_EQ(attach(node, to), 0);
  *world.caller->at(IoctlWorld::buffer + 0x1234) = std::byte{9};
  std::array<std::byte, 1> seen{};
  device.script->user->dma_read(0x5234, seen, [](Result<> result) { EXPECT_TRUE(result); });
  EXPECT_EQ(seen[0], std::byte{9});
  copy.src_iova = 0x40000;
  EXPECT_EQ(call(abi::iommu_ioas_copy, copy), -ENOENT);
}

TEST_F(IommufdTest, copy_over_several_mappings_makes_one_for_each) {
  const std::uint32_t from = add_ioas();
  const std::uint32_t to = add_ioas();
  ASSERT_EQ(map(map_of(from, 0x10000, 0x2000)), 0);
  ASSERT_EQ(map(map_of(from, 0x12000, 0x1000)), 0);
  const abi::IommuIoasCopy copy{.flags = fixed | rw,
                                .dst_ioas_id = to,
                                .src_ioas_id = from,
                                .length = 0x2000,
                                .dst_iova = 0x5000,
                                .src_iova = 0x11000};
  ASSERT_EQ(call(abi::iommu_ioas_copy, copy), 0);
  // The second half of the first mapping, and the second one, each whole: none can be cut.
  const auto node = bound(device);
  ASSERT_EQ(attach(node, to), 0);
  *world.caller->at(IoctlWorld::buffer + 0x1234) = std::byte{8};
  *world.caller->at(IoctlWorld::buffer + 0x0567) = std::byte{9};
  std::array<std::byte, 1> seen{};
  device.script->user->dma_read(0x5234, seen, [](Result<> result) { EXPECT_TRUE(result); });
  EXPECT_EQ(seen[0], std::byte{8});
  device.script->user->dma_read(0x6567, seen, [](Result<> result) { EXPECT_TRUE(result); });
  EXPECT_EQ(seen[0], std::byte{9});
  EXPECT_EQ(unmap(to, 0x5000, 0x1000), 0);
  EXPECT_EQ(unmap(to, 0x6000, 0x1000), 0);
}

TEST_F(IommufdTest, copy_over_several_mappings_finds_room_for_all_of_them) {
  const std::uint32_t from = add_ioas();
  const std::uint32_t to = add_ioas();
  ASSERT_EQ(map(map_of(from, 0x10000, 0x1000)), 0);
  ASSERT_EQ(map(map_of(from, 0x11000, 0x1000)), 0);
  const abi::IommuIoasCopy copy{
      .flags = rw, .dst_ioas_id = to, .src_ioas_id = from, .length = 0x2000, .src_iova = 0x10000};
  ASSERT_EQ(call(abi::iommu_ioas_copy, copy), 0);
  const std::uint64_t iova = world.argument<abi::IommuIoasCopy>().dst_iova;
  EXPECT_EQ(unmap(to, iova, 0x1000), 0);
  EXPECT_EQ(unmap(to, iova + 0x1000, 0x1000), 0);
}

TEST_F(IommufdTest, copy_over_several_mappings_is_all_or_nothing) {
  const std::uint32_t from = add_ioas();
  const std::uint32_t to = add_ioas();
  ASSERT_EQ(map(map_of(from, 0x10000, 0x1000)), 0);
  ASSERT_EQ(map(map_of(from, 0x11000, 0x1000, fixed | readable)), 0);
  abi::IommuIoasCopy copy{.flags = fixed | rw,
                          .dst_ioas_id = to,
                          .src_ioas_id = from,
                          .length = 0x2000,
                          .dst_iova = 0x5000,
                          .src_iova = 0x10000};
  EXPECT_EQ(call(abi::iommu_ioas_copy, copy), -EPERM);
  copy.flags = fixed | readable;
  ASSERT_EQ(map(map_of(to, 0x6000, 0x1000)), 0);
  EXPECT_EQ(call(abi::iommu_ioas_copy, copy), -EEXIST);
  EXPECT_EQ(unmap(to, 0x5000, 0x1000), -ENOENT);
  copy.length = 0x3000;
  EXPECT_EQ(call(abi::iommu_ioas_copy, copy), -ENOENT);
}

TEST_F(IommufdTest, hardware_information_is_of_devices_with_dma_of_their_own_and_says_none) {
  const auto physical = add_physical("d1");
  const auto emulated = bound(device);
  const auto node = bound(physical);
  abi::IommuHwInfo info{.dev_id = 1, .data_len = 8, .data_uptr = IoctlWorld::buffer};
  EXPECT_EQ(call(abi::iommu_get_hw_info, info), -ENOENT);
  info.dev_id = 2;
  std::memset(world.caller->at(IoctlWorld::buffer, 9), 0x55, 9);
  ASSERT_EQ(call(abi::iommu_get_hw_info, info), 0);
  const auto said = world.argument<abi::IommuHwInfo>();
  EXPECT_EQ(said.data_type, 0U);
  EXPECT_EQ(said.data_len, 0U);
  EXPECT_EQ(*world.caller->at(IoctlWorld::buffer + 7), std::byte{0});
  EXPECT_EQ(*world.caller->at(IoctlWorld::buffer + 8), std::byte{0x55});
  info.data_uptr = IoctlWorld::nowhere;
  EXPECT_EQ(call(abi::iommu_get_hw_info, info), -EFAULT);
  info.data_len = 0;
  EXPECT_EQ(call(abi::iommu_get_hw_info, info), 0);
  info.flags = 2;
  EXPECT_EQ(call(abi::iommu_get_hw_info, info), -EOPNOTSUPP);
  info.flags = 1;
  EXPECT_EQ(call(abi::iommu_get_hw_info, info), 0);
  info.data_type = 1;
  EXPECT_EQ(call(abi::iommu_get_hw_info, info), -EOPNOTSUPP);
  info.flags = 0;
  info.reserved[1] = 1;
  EXPECT_EQ(call(abi::iommu_get_hw_info, info), -EOPNOTSUPP);
}

TEST_F(IommufdTest, option_of_accounting_needs_privilege_and_an_empty_table) {
  const auto option = [&](std::uint16_t op, std::uint64_t value) {
    return call(abi::iommu_option, abi::IommuOption{.op = op, .val64 = value});
  };
  EXPECT_EQ(option(abi::iommu_option_op_set, 1), -EPERM);
  world.caller->rights().sys_resource = true;
  EXPECT_EQ(option(abi::iommu_option_op_set, 2), -EINVAL);
  EXPECT_EQ(option(abi::iommu_option_op_set, 1), 0);
  EXPECT_EQ(option(abi::iommu_option_op_get, 0), 0);
  EXPECT_EQ(world.argument<abi::IommuOption>().val64, 1U);
  add_ioas();
  EXPECT_EQ(option(abi::iommu_option_op_set, 0), -EBUSY);
  EXPECT_EQ(call(abi::iommu_option, abi::IommuOption{.option_id = 9}), -EOPNOTSUPP);
}

// --- Devices

TEST_F(IommufdTest, E6_before_bind_everything_is_einval) {
  const auto node = world.nodes.open_device(device.device->index(), {}).value();
  for (const std::uint32_t command : {0x3b6bU, 0x3b6cU, 0x3b6eU, 0x3b6fU, 0x3b75U, 0x3b77U, 0x3b78U, 0U})
    EXPECT_EQ(world.call(node, command, IoctlWorld::arguments), -EINVAL) << command;
  int error = 0;
  std::array<std::byte, 4> bytes{};
  node->read(0, bytes, nullptr, [&](Result<std::size_t> count) { error = count ? 0 : count.error().code; });
  EXPECT_EQ(error, EINVAL);
  EXPECT_EQ(node->mmap({.offset = 0, .length = 4096}).error().code, EINVAL);
  EXPECT_EQ(world.nodes.open_device(1000, {}).error().code, ENODEV);
}

TEST_F(IommufdTest, E6_bind_then_attach_gives_the_device_its_memory) {
  const std::uint32_t ioas = add_ioas();
  ASSERT_EQ(map(map_of(ioas, 0x10000, 0x1000)), 0);
  const auto node = bound(device);
  EXPECT_EQ(world.argument<abi::VfioDeviceBindIommufd>().out_devid, 2U);
  EXPECT_EQ(error_of(device.script->user->pin({.iova = 0x10000, .size = 1}, iommu::Access::read)), ENOENT);
  ASSERT_EQ(attach(node, ioas), 0);
  EXPECT_EQ(world.argument<abi::VfioDeviceAttachIommufdPt>().pt_id, ioas)
      << "an mdev keeps the IOAS's number";
  auto pin = device.script->user->pin({.iova = 0x10000, .size = 1}, iommu::Access::read);
  EXPECT_TRUE(pin);
  EXPECT_EQ(destroy(ioas), -EBUSY);
  EXPECT_EQ(detach(node), 0);
  EXPECT_EQ(device.script->count("dma_unmap"), 1U);
  EXPECT_TRUE(pin->revoked()) << "the device kept it";
  EXPECT_EQ(detach(node), 0) << "attached nowhere";
  EXPECT_EQ(destroy(ioas), 0);
  EXPECT_EQ(destroy(2), -EBUSY) << "a bound device";
}

TEST_F(IommufdTest, bind_says_what_is_wrong) {
  const auto node = world.nodes.open_device(device.device->index(), {}).value();
  const int fd = world.caller->add_file(iommufd);
  EXPECT_EQ(bind(node, -1), -EINVAL);
  EXPECT_EQ(bind(node, fd, 2), -EINVAL);
  EXPECT_EQ(bind(node, 99), -EBADF);
  EXPECT_EQ(bind(node, world.caller->add_file(node)), -EBADFD);
  EXPECT_EQ(world.call(node, abi::vfio_device_bind_iommufd, IoctlWorld::nowhere), -EFAULT);
  EXPECT_EQ(world.call_with(node, abi::vfio_device_bind_iommufd, std::uint32_t{15}), -EINVAL);
  {
    const auto group = world.nodes.open_group(device.group, {}).value();
    EXPECT_EQ(bind(node, fd), -EBUSY) << "the group is open";
  }
  ASSERT_EQ(bind(node, fd), 0);
  EXPECT_EQ(bind(node, fd), -EINVAL) << "bound already";
  const auto second = world.nodes.open_device(device.device->index(), {}).value();
  EXPECT_EQ(bind(second, fd), -EINVAL) << "open elsewhere";
  EXPECT_EQ(world.nodes.open_group(device.group, {}).error().code, EBUSY);
  EXPECT_EQ(attach(node, 99), -ENOENT);
  EXPECT_EQ(attach(node, 1), -ENOENT) << "the device itself is no IOAS";
}

TEST_F(IommufdTest, closing_the_node_ends_the_binding) {
  const std::uint32_t ioas = add_ioas();
  auto node = bound(device);
  ASSERT_EQ(attach(node, ioas), 0);
  node.reset();
  EXPECT_EQ(device.device->open_count(), 0U);
  EXPECT_EQ(destroy(ioas), 0) << "nobody uses it";
  EXPECT_TRUE(world.nodes.open_group(device.group, {}));
  EXPECT_EQ(add_ioas(), 1U) << "the device's number is free as well";
}

TEST_F(IommufdTest, the_iommufd_may_be_closed_before_the_device) {
  const std::uint32_t ioas = add_ioas();
  ASSERT_EQ(map(map_of(ioas, 0, 0x1000)), 0);
  const auto node = world.nodes.open_device(device.device->index(), {}).value();
  const int fd = world.caller->add_file(iommufd);
  ASSERT_EQ(bind(node, fd), 0);
  ASSERT_EQ(attach(node, ioas), 0);
  world.caller->close_fd(fd);
  iommufd.reset();
  EXPECT_TRUE(device.script->user->pin({.iova = 0, .size = 1}, iommu::Access::read));
}

TEST_F(IommufdTest, a_device_with_dma_of_its_own_gets_a_page_table) {
  auto physical = add_physical("p0");
  const std::uint32_t ioas = add_ioas();
  auto node = bound(physical);
  ASSERT_EQ(attach(node, ioas), 0);
  const std::uint32_t table = world.argument<abi::VfioDeviceAttachIommufdPt>().pt_id;
  EXPECT_EQ(table, 3U);
  EXPECT_EQ(call(abi::iommu_ioas_iova_ranges, abi::IommuIoasIovaRanges{.ioas_id = ioas}), -EMSGSIZE);
  EXPECT_EQ(world.argument<abi::IommuIoasIovaRanges>().num_iovas, 2U) << "around the interrupt window";
  EXPECT_EQ(map(map_of(ioas, 0xfee00000, 0x1000)), -EINVAL);
  auto missing = map_of(ioas, 0, 0x1000);
  missing.user_va = IoctlWorld::nowhere;
  EXPECT_EQ(map(missing), -EFAULT);
  world.caller->rights().memlock_limit = 0x1000;
  EXPECT_EQ(map(map_of(ioas, 0, 0x2000)), -ENOMEM);
  EXPECT_EQ(map(map_of(ioas, 0, 0x1000)), 0);
  EXPECT_EQ(map(map_of(ioas, 0x1000, 0x1000)), -ENOMEM);
  EXPECT_EQ(unmap(ioas, 0, 0x1000), 0);
  EXPECT_EQ(world.caller->locked_memory()->bytes(), 0U);
  EXPECT_EQ(destroy(table), -EBUSY);
  EXPECT_EQ(detach(node), 0);
  EXPECT_EQ(destroy(table), -ENOENT) << "it went with its last device";
  node.reset();
  test::Ending(physical.registration, RemovePolicy::force);
}

// --- VFIO's commands

TEST_F(IommufdTest, in_the_place_of_a_container) {
  EXPECT_EQ(world.call(iommufd, abi::vfio_get_api_version), 0);
  EXPECT_EQ(world.call(iommufd, abi::vfio_check_extension, abi::vfio_type1v2_iommu), 1);
  EXPECT_EQ(world.call(iommufd, abi::vfio_check_extension, abi::vfio_update_vaddr), 0);
  EXPECT_EQ(world.call(iommufd, abi::vfio_check_extension, abi::vfio_dma_cc_iommu), -ENODEV);
  EXPECT_EQ(world.call(iommufd, abi::vfio_set_iommu, abi::vfio_type1v2_iommu), -ENODEV);
  EXPECT_EQ(world.call(iommufd, abi::vfio_set_iommu, abi::vfio_noiommu_iommu), -EINVAL);
  auto group = world.nodes.open_group(device.group, {}).value();
  ASSERT_EQ(world.call_with(group, abi::vfio_group_set_container, world.caller->add_file(iommufd)), 0);
  EXPECT_EQ(world.call(iommufd, abi::vfio_set_iommu, abi::vfio_type1v2_iommu), 0);
  EXPECT_EQ(call(abi::iommu_vfio_ioas, abi::IommuVfioIoas{}), 0);
  EXPECT_EQ(world.argument<abi::IommuVfioIoas>().ioas_id, 1U);
  ASSERT_EQ(world.get_device(group, "d0"), 0);
  const auto file = world.made();
  const abi::VfioIommuType1DmaMap request{
      .argsz = 32, .flags = 3, .vaddr = IoctlWorld::buffer, .iova = 0x3000, .size = 0x1000};
  EXPECT_EQ(world.call_with(iommufd, abi::vfio_iommu_map_dma, request), 0);
  EXPECT_TRUE(device.script->user->pin({.iova = 0x3000, .size = 1}, iommu::Access::write));
  const auto unmap_dma = [&](std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0) {
    return world.call_with(
        iommufd, abi::vfio_iommu_unmap_dma,
        abi::VfioIommuType1DmaUnmap{.argsz = 24, .flags = flags, .iova = iova, .size = size});
  };
  EXPECT_EQ(unmap_dma(0x8000, 0x1000), 0) << "nothing there";
  EXPECT_EQ(unmap_dma(0, 0, 1), -EINVAL) << "no bitmaps";
  EXPECT_EQ(unmap_dma(0x3000, 0x1000), 0);
  EXPECT_EQ(world.argument<abi::VfioIommuType1DmaUnmap>().size, 0x1000U);
  EXPECT_EQ(world.call(iommufd, abi::vfio_iommu_dirty_pages, IoctlWorld::arguments), -ENOTTY);
}

TEST_F(IommufdTest, linux_6_1_has_neither_of_the_nodes) {
  IoctlWorld old(Profile::linux_6_1);
  const auto other = old.core.add_device("d0");
  EXPECT_EQ(old.nodes.open_iommufd({}).error().code, ENODEV);
  EXPECT_EQ(old.nodes.open_device(other.device->index(), {}).error().code, ENODEV);
}

}  // namespace
}  // namespace umdev::ioctl
