// Commands of a container: vfio-uapi of Linux 7.2, checked against the errno tables of the kernel's own
// answers.
#include <gtest/gtest.h>

#include "tests/support/ioctl_world.h"

namespace umdev::ioctl {
namespace {

using test::FakeCaller;
using test::IoctlWorld;

constexpr std::uint32_t rw = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

abi::VfioIommuType1DmaMap map_of(std::uint64_t iova, std::uint64_t size, std::uint32_t flags = rw) {
  return {.argsz = 32, .flags = flags, .vaddr = IoctlWorld::buffer, .iova = iova, .size = size};
}

abi::VfioIommuType1DmaUnmap unmap_of(std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0) {
  return {.argsz = 24, .flags = flags, .iova = iova, .size = size};
}

struct ContainerFileTest : testing::Test {
  long map(const abi::VfioIommuType1DmaMap& request) {
    return world.call_with(opened.container, abi::vfio_iommu_map_dma, request);
  }
  long unmap(const abi::VfioIommuType1DmaUnmap& request) {
    return world.call_with(opened.container, abi::vfio_iommu_unmap_dma, request);
  }

  IoctlWorld world;
  test::CoreWorld::Registered device = world.core.add_device("d0");
  IoctlWorld::Opened opened = world.open(device);
};

TEST_F(ContainerFileTest, E1_api_version_and_type1_extensions) {
  const auto fresh = world.nodes.open_container({});
  EXPECT_EQ(world.call(fresh, abi::vfio_get_api_version), 0);
  EXPECT_EQ(world.call(fresh, abi::vfio_check_extension, abi::vfio_type1_iommu), 1);
  EXPECT_EQ(world.call(fresh, abi::vfio_check_extension, abi::vfio_type1v2_iommu), 1);
  EXPECT_EQ(world.call(fresh, abi::vfio_check_extension, abi::vfio_dma_cc_iommu), 0)
      << "without an IOMMU driver";
  EXPECT_EQ(world.call(opened.container, abi::vfio_check_extension, abi::vfio_dma_cc_iommu), 1);
  EXPECT_EQ(world.call(opened.container, abi::vfio_check_extension, 77), 0);
}

TEST_F(ContainerFileTest, C17_every_other_command_is_einval_without_an_iommu_driver_and_enotty_with_one) {
  const auto fresh = world.nodes.open_container({});
  for (const std::uint32_t command : {0x3b70U, 0x3b71U, 0x3b72U, 0x3b75U, 0x3b7fU, 0x1234U})
    EXPECT_EQ(world.call(fresh, command, IoctlWorld::nowhere), -EINVAL) << command;
  for (const std::uint32_t command : {0x3b73U, 0x3b74U, 0x3b7fU, 0x1234U})
    EXPECT_EQ(world.call(opened.container, command, IoctlWorld::nowhere), -ENOTTY) << command;
  EXPECT_EQ(world.call(fresh, abi::vfio_set_iommu, abi::vfio_type1_iommu), -EINVAL) << "no group is in it";
  EXPECT_EQ(world.call(opened.container, abi::vfio_set_iommu, abi::vfio_type1_iommu), -EINVAL)
      << "set already";
}

TEST_F(ContainerFileTest, a_container_has_neither_read_nor_write_nor_mmap) {
  std::array<std::byte, 4> bytes{};
  int error = 0;
  opened.container->read(0, bytes, nullptr, [&](Result<std::size_t> count) { error = count.error().code; });
  EXPECT_EQ(error, EINVAL);
  EXPECT_EQ(opened.container->mmap({.offset = 0, .length = 4096}).error().code, ENODEV);
}

// --- GET_INFO

TEST_F(ContainerFileTest, E3_iommu_info_says_page_sizes_and_capabilities) {
  struct Whole {
    abi::VfioIommuType1Info info;
    std::array<std::byte, 104> rest;
  };
  Whole whole{.info = {.argsz = sizeof(Whole)}, .rest = {}};
  ASSERT_EQ(world.call_with(opened.container, abi::vfio_iommu_get_info, whole), 0);
  whole = world.argument<Whole>();
  EXPECT_EQ(whole.info.argsz, sizeof(Whole));
  EXPECT_EQ(whole.info.flags, abi::vfio_iommu_info_pgsizes | abi::vfio_iommu_info_caps);
  EXPECT_EQ(whole.info.iova_pgsizes, 0xfffffffffffff000U);
  ASSERT_EQ(whole.info.cap_offset, 24U);
  const auto first = world.caller->get<abi::VfioInfoCapHeader>(IoctlWorld::arguments + 24);
  EXPECT_EQ(first.id, abi::vfio_iommu_type1_info_cap_migration);
  const auto second = world.caller->get<abi::VfioInfoCapHeader>(IoctlWorld::arguments + first.next);
  EXPECT_EQ(second.id, abi::vfio_iommu_type1_info_dma_avail);
  EXPECT_EQ(second.next, 0U) << "emulated groups have no ranges";
  EXPECT_EQ(world.caller->get<std::uint32_t>(IoctlWorld::arguments + first.next + 8), 65535U);
}

TEST_F(ContainerFileTest, iommu_info_says_how_much_room_its_capabilities_need) {
  for (const std::uint32_t argsz : {16U, 20U, 24U, 40U}) {
    std::array<std::uint32_t, 10> info{argsz, 0, 0, 0, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa};
    ASSERT_EQ(world.call_with(opened.container, abi::vfio_iommu_get_info, info), 0) << argsz;
    info = world.argument<std::array<std::uint32_t, 10>>();
    EXPECT_GT(info[0], 24U);
    EXPECT_EQ(info[4], argsz >= 20 ? 0U : 0xaaaaaaaaU) << "cap_offset";
    for (std::size_t word = argsz / 4; word < 8; ++word)
      EXPECT_EQ(info[word], 0xaaaaaaaa) << "beyond argsz " << argsz;
  }
}

TEST_F(ContainerFileTest, bad_arguments_of_every_command) {
  struct Row {
    std::uint32_t command;
    std::uint32_t minsz;
  };
  for (const Row row : {Row{abi::vfio_iommu_get_info, 16}, Row{abi::vfio_iommu_map_dma, 32},
                        Row{abi::vfio_iommu_unmap_dma, 24}, Row{abi::vfio_iommu_dirty_pages, 8}}) {
    EXPECT_EQ(world.call(opened.container, row.command, IoctlWorld::nowhere), -EFAULT) << row.command;
    const UserAddress end = IoctlWorld::arguments + 4 * FakeCaller::page;
    EXPECT_EQ(world.call(opened.container, row.command, end - row.minsz + 4), -EFAULT) << row.command;
    EXPECT_EQ(world.call_with(opened.container, row.command, row.minsz - 1), -EINVAL) << row.command;
  }
  EXPECT_EQ(world.call(opened.container, abi::vfio_iommu_get_info, IoctlWorld::read_only), -EINVAL)
      << "argsz 0";
}

// --- MAP_DMA

TEST_F(ContainerFileTest, E4_map_dma_checks_in_the_kernels_order) {
  struct Row {
    abi::VfioIommuType1DmaMap map;
    int error;
  };
  const auto vaddr = [](abi::VfioIommuType1DmaMap map, std::uint64_t address) {
    map.vaddr = address;
    return map;
  };
  ASSERT_EQ(map(map_of(0x100000, 0x2000)), 0);
  for (const Row& row :
       {Row{map_of(0, 0x1000, 8), EINVAL}, Row{map_of(0, 0), EINVAL},
        Row{map_of(~0xfffULL, 0x2000), EOVERFLOW}, Row{vaddr(map_of(0, 0x2000), ~0xfffULL), EOVERFLOW},
        Row{map_of(0, 0x1000, 0), EINVAL}, Row{map_of(0, 0x1000, 5), EINVAL}, Row{map_of(0, 0x800), EINVAL},
        Row{map_of(0x800, 0x1000), EINVAL}, Row{vaddr(map_of(0, 0x1000), 1), EINVAL},
        Row{map_of(0, 0x1000, 4), ENOENT}, Row{map_of(0x100000, 0x2000, 4), EINVAL},
        Row{map_of(0x101000, 0x1000), EEXIST}, Row{map_of(0xff000, 0x3000), EEXIST}})
    EXPECT_EQ(map(row.map), -row.error) << std::hex << row.map.iova << " " << row.map.flags;
}

TEST_F(ContainerFileTest, emulated_groups_take_any_address_and_memory_that_is_not_there) {
  auto request = map_of(0xfee00000, 0x1000);
  request.vaddr = IoctlWorld::nowhere;
  EXPECT_EQ(map(request), 0);
  EXPECT_EQ(map(map_of(1ULL << 62, 0x1000)), 0);
  EXPECT_EQ(world.caller->locked_memory()->bytes(), 0U) << "nothing is pinned by mapping";
}

TEST_F(ContainerFileTest, what_is_mapped_is_the_callers_memory) {
  ASSERT_EQ(map(map_of(0x40000, 0x2000)), 0);
  *world.caller->at(IoctlWorld::buffer + 0x1010) = std::byte{0x77};
  auto pin = device.script->user->pin({.iova = 0x41010, .size = 1}, iommu::Access::read);
  ASSERT_TRUE(pin);
  EXPECT_EQ(pin->segments()[0].data[0], std::byte{0x77});
}

// --- UNMAP_DMA

TEST_F(ContainerFileTest, E4_unmap_dma_checks_in_the_kernels_order_and_says_how_much) {
  ASSERT_EQ(map(map_of(0x100000, 0x2000)), 0);
  struct Row {
    abi::VfioIommuType1DmaUnmap unmap;
    int error;
  };
  for (const Row& row :
       {Row{unmap_of(0, 0x1000, 8), EINVAL}, Row{unmap_of(0, 0, 3), EINVAL},
        Row{unmap_of(0, 0x1000, 4), EBUSY}, Row{unmap_of(1, 0x1000), EINVAL},
        Row{unmap_of(0x1000, 0, 2), EINVAL}, Row{unmap_of(0, 0), EINVAL}, Row{unmap_of(0, 1), EINVAL},
        Row{unmap_of(~0xfffULL, 0x2000), EOVERFLOW}, Row{unmap_of(0x101000, 0x1000), EINVAL},
        Row{unmap_of(0xff000, 0x2000), EINVAL}, Row{unmap_of(0, 0x1000, 1), EINVAL}})
    EXPECT_EQ(unmap(row.unmap), -row.error) << std::hex << row.unmap.iova << " " << row.unmap.flags;
  ASSERT_EQ(unmap(unmap_of(0, 0x1000)), 0);
  EXPECT_EQ(world.argument<abi::VfioIommuType1DmaUnmap>().size, 0U) << "nothing is there";
  ASSERT_EQ(unmap(unmap_of(0xf0000, 0x20000)), 0);
  EXPECT_EQ(world.argument<abi::VfioIommuType1DmaUnmap>().size, 0x2000U);
  ASSERT_EQ(map(map_of(0, 0x1000)), 0);
  ASSERT_EQ(map(map_of(0x8000, 0x1000)), 0);
  ASSERT_EQ(unmap(unmap_of(0, 0, abi::vfio_dma_unmap_flag_all)), 0);
  EXPECT_EQ(world.argument<abi::VfioIommuType1DmaUnmap>().size, 0x2000U);
}

TEST_F(ContainerFileTest, an_unmap_completes_when_the_last_pin_is_gone) {
  ASSERT_EQ(map(map_of(0, 0x1000)), 0);
  auto pin = device.script->user->pin({.iova = 0, .size = 1}, iommu::Access::read);
  ASSERT_TRUE(pin);
  EXPECT_EQ(unmap(unmap_of(0, 0x1000)), -EINPROGRESS);
  pin = fail(0, "dropped");
  EXPECT_EQ(world.outcome(), 0);
  EXPECT_EQ(world.argument<abi::VfioIommuType1DmaUnmap>().size, 0x1000U);
}

TEST_F(ContainerFileTest, a_caller_that_dies_during_its_call_is_answered_efault_and_the_unmap_is_done) {
  ASSERT_EQ(map(map_of(0, 0x1000)), 0);
  auto pin = device.script->user->pin({.iova = 0, .size = 1}, iommu::Access::read);
  EXPECT_EQ(unmap(unmap_of(0, 0x1000)), -EINPROGRESS);
  world.caller->die();
  opened = {};
  pin = fail(0, "dropped");
  EXPECT_EQ(world.outcome(), -EFAULT);
}

// --- DIRTY_PAGES

TEST_F(ContainerFileTest, dirty_pages_of_v1_are_eacces_and_of_v2_a_bitmap) {
  using Head = abi::VfioIommuType1DirtyBitmap;
  struct Get {
    Head head;
    abi::VfioIommuType1DirtyBitmapGet get;
  };
  const auto control = [&](std::uint32_t flags) {
    return world.call_with(opened.container, abi::vfio_iommu_dirty_pages, Head{.argsz = 8, .flags = flags});
  };
  Get get{.head = {.argsz = sizeof(Get), .flags = 4},
          .get = {.iova = 0,
                  .size = 0x4000,
                  .bitmap = {.pgsize = 4096, .size = 8, .data = IoctlWorld::arguments + 0x800}}};
  const auto report = [&] { return world.call_with(opened.container, abi::vfio_iommu_dirty_pages, get); };
  for (const std::uint32_t flags : {0U, 3U, 5U, 8U}) EXPECT_EQ(control(flags), -EINVAL) << flags;
  EXPECT_EQ(report(), -EINVAL) << "tracking is off";
  EXPECT_EQ(control(4), -EINVAL) << "argsz without the range";
  EXPECT_EQ(control(1), 0);
  EXPECT_EQ(control(1), 0) << "twice is the same";
  ASSERT_EQ(map(map_of(0, 0x4000)), 0);
  std::array<std::byte, 1> byte{};
  device.script->user->dma_write(0x2000, byte, [](Result<> written) { EXPECT_TRUE(written); });
  EXPECT_EQ(report(), 0);
  EXPECT_EQ(world.caller->get<std::uint64_t>(IoctlWorld::arguments + 0x800), 4U);
  const Get good = get;
  get.get.size = 0;
  EXPECT_EQ(report(), -EINVAL);
  get = good;
  get.get.iova = ~0xfffULL;
  EXPECT_EQ(report(), -EOVERFLOW);
  get = good;
  get.get.bitmap.pgsize = 8192;
  EXPECT_EQ(report(), -EINVAL);
  get = good;
  get.get.bitmap.size = 1ULL << 40;
  EXPECT_EQ(report(), -EINVAL);
  get = good;
  get.get.iova = 0x1000;
  EXPECT_EQ(report(), -EINVAL) << "it cuts a mapping";
  get = good;
  get.get.bitmap.data = IoctlWorld::nowhere;
  EXPECT_EQ(report(), -EFAULT);
  EXPECT_EQ(control(2), 0);

  const auto other = world.core.add_device("d1");
  const auto v1 = world.open(other, abi::vfio_type1_iommu);
  EXPECT_EQ(world.call_with(v1.container, abi::vfio_iommu_dirty_pages, Head{.argsz = 8, .flags = 1}),
            -EACCES);
}

// --- Other kernels

TEST(ContainerOf61, a_range_that_wraps_is_einval) {
  IoctlWorld world(Profile::linux_6_1);
  const auto device = world.core.add_device("d0");
  const auto opened = world.open(device);
  EXPECT_EQ(world.call_with(opened.container, abi::vfio_iommu_map_dma, map_of(~0xfffULL, 0x2000)), -EINVAL);
  EXPECT_EQ(world.call_with(opened.container, abi::vfio_iommu_unmap_dma, unmap_of(~0xfffULL, 0x2000)),
            -EINVAL);
}

}  // namespace
}  // namespace umdev::ioctl
