#include "umdev/iommu/type1.h"

#include <gtest/gtest.h>

#include "tests/unit/iommu/fixtures.h"
#include "umdev/abi/vfio.h"

namespace umdev::iommu {
namespace {

constexpr std::uint32_t rw = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
constexpr std::uint32_t set_vaddr = abi::vfio_dma_map_flag_vaddr;
constexpr std::uint32_t dirty = abi::vfio_dma_unmap_flag_get_dirty_bitmap;
constexpr std::uint32_t all = abi::vfio_dma_unmap_flag_all;
constexpr std::uint32_t vaddr = abi::vfio_dma_unmap_flag_vaddr;
constexpr std::uint64_t top = UINT64_MAX - page + 1;  // the last page

class Type1 : public testing::Test {
 public:
  Type1() {
    for (auto& instance : {v1, v2}) instance->register_user(user);
  }
  ~Type1() override {
    for (auto& instance : {v1, v2}) instance->unregister_user(user);
  }
  int map(IommuInstance& on, Iova iova, std::uint64_t size, std::uint32_t flags = rw, std::uint64_t at = 0) {
    return error_of(on.map({flags, iova, size, at, memory, 0}));
  }
  int unmap_error(IommuInstance& on, std::uint32_t flags, Iova iova, std::uint64_t size) {
    Outcome<std::uint64_t> outcome;
    on.unmap({flags, iova, size}, outcome.done());
    return outcome.error();
  }
  std::optional<std::uint64_t> unmap(IommuInstance& on, Iova iova, std::uint64_t size,
                                     std::uint32_t flags = 0) {
    Outcome<std::uint64_t> outcome;
    on.unmap({flags, iova, size}, outcome.done());
    return outcome.value();
  }
  int copy_error(IommuInstance& on, bool write, Iova iova) {
    std::byte byte{};
    Outcome<> outcome;
    if (write) {
      on.dma_write(user, iova, {&byte, 1}, outcome.done());
    } else {
      on.dma_read(user, iova, {&byte, 1}, outcome.done());
    }
    return outcome.error();
  }

  test::ManualClock clock;
  Limits limits{.mappings_per_container = 3};
  Type1Driver driver{clock, limits};
  std::shared_ptr<IommuInstance> v1 = *driver.open(abi::vfio_type1_iommu);
  std::shared_ptr<IommuInstance> v2 = *driver.open(abi::vfio_type1v2_iommu);
  FakeDmaUser user;
  std::shared_ptr<MemoryBacking> memory = std::make_shared<MemoryBacking>(16 * page);
};

TEST_F(Type1, C15_extensions_without_and_with_an_instance) {
  struct Case {
    std::uint32_t extension;
    int without;
    int with;
  };
  const Case cases[] = {
      {abi::vfio_type1_iommu, 1, 1},
      {abi::vfio_type1v2_iommu, 1, 1},
      {abi::vfio_unmap_all, 1, 1},
      {abi::vfio_dma_cc_iommu, 0, 1},
      {abi::vfio_update_vaddr, 0, 0},
      {abi::vfio_type1_nesting_iommu, 0, 0},
      {abi::vfio_spapr_tce_iommu, 0, 0},
      {abi::vfio_eeh, 0, 0},
      {abi::vfio_spapr_tce_v2_iommu, 0, 0},
      {abi::vfio_noiommu_iommu, 0, 0},
      {0, 0, 0},
      {11, 0, 0},
      {UINT32_MAX, 0, 0},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(driver.check_extension(test.extension), test.without) << test.extension;
    EXPECT_EQ(v1->check_extension(test.extension), test.with) << test.extension;
    EXPECT_EQ(v2->check_extension(test.extension), test.with) << test.extension;
  }
}

TEST_F(Type1, C2_is_a_back_end_with_devices_and_isolation) {
  EXPECT_EQ(driver.name(), "vfio-iommu-type1");
  EXPECT_FALSE(driver.no_iommu());
  EXPECT_TRUE(driver.registers_devices());
  EXPECT_TRUE(driver.unregisters_devices());
}

TEST_F(Type1, opens_its_types_only) {
  for (const std::uint32_t type : {0U, 2U, 4U, 5U, 7U, 8U, 9U, 10U, UINT32_MAX}) {
    EXPECT_EQ(error_of(driver.open(type)), EINVAL) << type;
  }
  const auto nesting = driver.open(abi::vfio_type1_nesting_iommu);
  ASSERT_TRUE(nesting.has_value());
  ASSERT_EQ(map(**nesting, 0, 2 * page), 0);
  EXPECT_EQ(unmap_error(**nesting, 0, 0, page), EINVAL) << "the rules of v2";
}

TEST_F(Type1, a_group_is_attached_once) {
  EXPECT_EQ(error_of(v2->attach_group({.iommu_group = 5})), 0);
  EXPECT_EQ(error_of(v2->attach_group({.iommu_group = 5})), EINVAL);
  EXPECT_EQ(error_of(v2->attach_group({.iommu_group = 6})), 0);
  v2->detach_group({.iommu_group = 5});
  EXPECT_EQ(error_of(v2->attach_group({.iommu_group = 5})), 0);
}

TEST_F(Type1, mappings_go_with_the_last_group) {
  ASSERT_TRUE(v2->attach_group({.iommu_group = 5}));
  ASSERT_TRUE(v2->attach_group({.iommu_group = 6}));
  ASSERT_EQ(map(*v2, 0, page), 0);
  v2->detach_group({.iommu_group = 7});
  v2->detach_group({.iommu_group = 5});
  EXPECT_EQ(v2->mapping_count(), 1U);
  v2->detach_group({.iommu_group = 6});
  EXPECT_EQ(v2->mapping_count(), 0U);
}

TEST_F(Type1, info_names_every_page_size_and_what_is_left) {
  const Result<IommuInfo> before = v2->info();
  ASSERT_TRUE(before.has_value());
  EXPECT_EQ(before->page_sizes, 0xfffffffffffff000U);
  EXPECT_EQ(before->dma_available, 3U);
  EXPECT_TRUE(before->valid_iova.empty());
  ASSERT_EQ(map(*v2, 0, page), 0);
  EXPECT_EQ(v2->info()->dma_available, 2U);
  EXPECT_EQ(Limits{}.mappings_per_container, 65535U) << "the kernel's dma_entry_limit";
}

TEST_F(Type1, map_checks_in_the_kernels_order) {
  ASSERT_EQ(map(*v2, 8 * page, 2 * page), 0);
  struct Case {
    const char* what;
    std::uint32_t flags;
    Iova iova;
    std::uint64_t size;
    std::uint64_t vaddr;
    int error;
  };
  const Case cases[] = {
      {"unknown flag", rw | 8, 0, page, 0, EINVAL},
      {"unknown flag before overflow", 1U << 31, top, 2 * page, 0, EINVAL},
      {"size 0", rw, 0, 0, 0, EINVAL},
      {"size 0, misaligned", rw, 1, 0, 1, EINVAL},
      {"iova wraps", rw, top, 2 * page, 0, EOVERFLOW},
      {"vaddr wraps", rw, 0, 2 * page, top, EOVERFLOW},
      {"wraps before flags", 0, top, 2 * page, 0, EOVERFLOW},
      {"wraps before alignment", rw, UINT64_MAX, 2, 0, EOVERFLOW},
      {"neither READ nor WRITE", 0, 0, page, 0, EINVAL},
      {"VADDR and READ", set_vaddr | abi::vfio_dma_map_flag_read, 8 * page, 2 * page, 0, EINVAL},
      {"VADDR and WRITE", set_vaddr | abi::vfio_dma_map_flag_write, 8 * page, 2 * page, 0, EINVAL},
      {"iova misaligned", rw, 0x800, page, 0, EINVAL},
      {"size misaligned", rw, 0, 0x800, 0, EINVAL},
      {"vaddr misaligned", rw, 0, page, 1, EINVAL},
      {"misaligned before overlap", rw, 8 * page + 1, page, 0, EINVAL},
      {"VADDR misaligned", set_vaddr, 1, page, 0, EINVAL},
      {"VADDR of nothing", set_vaddr, 0, page, 0, ENOENT},
      {"VADDR that is valid", set_vaddr, 8 * page, 2 * page, 0, EINVAL},
      {"VADDR of another range", set_vaddr, 8 * page, page, 0, EINVAL},
      {"overlap", rw, 9 * page, page, 0, EEXIST},
      {"overlap before the backing", rw, 0, 32 * page, 0, EEXIST},
      {"backing too short", rw, 32 * page, 17 * page, 0, EFAULT},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(map(*v2, test.iova, test.size, test.flags, test.vaddr), test.error) << test.what;
    EXPECT_EQ(v2->mapping_count(), 1U) << test.what;
  }
}

TEST_F(Type1, map_without_room_is_enospc_after_eexist_and_before_efault) {
  for (Iova iova = 0; iova != 3; ++iova) ASSERT_EQ(map(*v2, iova * page, page), 0);
  EXPECT_EQ(map(*v2, 0, page), EEXIST);
  EXPECT_EQ(map(*v2, 8 * page, 17 * page), ENOSPC);
}

TEST_F(Type1, map_takes_any_address) {
  for (const Iova iova : {Iova{0}, Iova{0xfee00000}, Iova{1} << 62}) {
    EXPECT_EQ(map(*v2, iova, page, rw, 0x7f0000000000), 0) << iova;
  }
  EXPECT_EQ(unmap(*v2, 0, 0, all), 3 * page);
  EXPECT_EQ(map(*v2, top, page, rw, top), 0);
}

TEST_F(Type1, flags_are_what_the_device_may_do) {
  ASSERT_EQ(map(*v2, 0, page, abi::vfio_dma_map_flag_read), 0);
  ASSERT_EQ(map(*v2, page, page, abi::vfio_dma_map_flag_write), 0);
  EXPECT_EQ(error_of(v2->pin(user, {0, 1}, Access::read)), 0);
  EXPECT_EQ(error_of(v2->pin(user, {0, 1}, Access::write)), EPERM);
  EXPECT_EQ(error_of(v2->pin(user, {page, 1}, Access::write)), 0);
  EXPECT_EQ(error_of(v2->pin(user, {page, 1}, Access::read)), EPERM);
}

TEST_F(Type1, unmap_checks_in_the_kernels_order) {
  ASSERT_EQ(map(*v2, 8 * page, 4 * page), 0);
  struct Case {
    const char* what;
    std::uint32_t flags;
    Iova iova;
    std::uint64_t size;
    int error;
  };
  const Case cases[] = {
      {"unknown flag", 8, 0, page, EINVAL},
      {"unknown flag before VADDR", 1U << 31 | vaddr, 0, page, EINVAL},
      {"DIRTY and ALL", dirty | all, 0, 0, EINVAL},
      {"DIRTY and VADDR", dirty | vaddr, 0, page, EINVAL},
      {"VADDR", vaddr, 8 * page, 4 * page, EBUSY},
      {"VADDR before the range", vaddr, 1, 0, EBUSY},
      {"VADDR and ALL", vaddr | all, 0, 0, EBUSY},
      {"iova misaligned", 0, 1, page, EINVAL},
      {"iova misaligned before overflow", 0, UINT64_MAX, page, EINVAL},
      {"ALL with iova", all, page, 0, EINVAL},
      {"ALL with size", all, 0, page, EINVAL},
      {"size 0", 0, 8 * page, 0, EINVAL},
      {"size misaligned", 0, 8 * page, 4 * page + 1, EINVAL},
      {"wraps", 0, top, 2 * page, EOVERFLOW},
      {"wraps before DIRTY", dirty, top, 2 * page, EOVERFLOW},
      {"DIRTY without tracking", dirty, 8 * page, 4 * page, EINVAL},
      {"cuts at its start", 0, 9 * page, 3 * page, EINVAL},
      {"cuts at its end", 0, 8 * page, page, EINVAL},
      {"cuts both", 0, 9 * page, page, EINVAL},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(unmap_error(*v2, test.flags, test.iova, test.size), test.error) << test.what;
    EXPECT_EQ(v2->mapping_count(), 1U) << test.what;
  }
}

TEST_F(Type1, v2_unmaps_whole_mappings_and_nothing_is_success) {
  ASSERT_EQ(map(*v2, page, page), 0);
  ASSERT_EQ(map(*v2, 4 * page, 2 * page), 0);
  EXPECT_EQ(unmap(*v2, 2 * page, 2 * page), 0U);
  EXPECT_EQ(unmap(*v2, 0, 0x1000000), 3 * page);
  EXPECT_EQ(unmap(*v2, 0, 0x1000000), 0U);
  EXPECT_EQ(unmap(*v2, 0, 0, all), 0U);
}

TEST_F(Type1, v1_unmaps_more_than_was_asked_or_nothing) {
  ASSERT_EQ(map(*v1, 4 * page, 4 * page), 0);
  EXPECT_EQ(unmap(*v1, 5 * page, 16 * page), 0U);
  EXPECT_EQ(unmap(*v1, 0, 5 * page), 4 * page);
  ASSERT_EQ(map(*v1, 4 * page, 4 * page), 0);
  EXPECT_EQ(unmap(*v1, 0, 0, all), 4 * page);
}

TEST_F(Type1, C37_v1_does_not_pin) {
  ASSERT_EQ(map(*v1, 0, page), 0);
  EXPECT_EQ(error_of(v1->pin(user, {0, 1}, Access::read)), EACCES);
  EXPECT_EQ(error_of(v1->pin(user, {0, 0}, Access::read)), EACCES) << "before everything else";
  EXPECT_EQ(copy_error(*v1, false, 0), 0);
  EXPECT_EQ(copy_error(*v1, true, 0), 0);
}

TEST_F(Type1, v1_lets_a_physical_device_reach_memory) {
  ASSERT_TRUE(v1->attach_group({.iommu_group = 1, .emulated = false}));
  ASSERT_EQ(map(*v1, 0, page), 0);
  EXPECT_TRUE(v1->pin(user, {0, 1}, Access::read));
  v1->detach_group({.iommu_group = 1, .emulated = false});
}

TEST_F(Type1, C37_dma_rw_needs_read_also_to_write) {
  ASSERT_EQ(map(*v2, 0, page, abi::vfio_dma_map_flag_read), 0);
  ASSERT_EQ(map(*v2, page, page, abi::vfio_dma_map_flag_write), 0);
  ASSERT_EQ(map(*v2, 2 * page, page), 0);
  EXPECT_EQ(copy_error(*v2, false, 0), 0);
  EXPECT_EQ(copy_error(*v2, true, 0), EPERM);
  EXPECT_EQ(copy_error(*v2, false, page), EPERM);
  EXPECT_EQ(copy_error(*v2, true, page), EPERM);
  EXPECT_EQ(copy_error(*v2, true, 2 * page), 0);
  EXPECT_EQ(copy_error(*v2, true, 3 * page), EINVAL);
}

TEST_F(Type1, an_unmap_waits_for_pins_and_says_how_many_there_are) {
  ASSERT_EQ(map(*v2, 0, page), 0);
  Result<DmaPin> held = v2->pin(user, {0, page}, Access::read_write);
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(v2->pin_count(), 1U);
  Outcome<std::uint64_t> outcome;
  v2->unmap({0, 0, page}, outcome.done());
  EXPECT_FALSE(outcome.is_done());
  EXPECT_EQ(map(*v2, 0, page), EEXIST);
  EXPECT_EQ(v2->info()->dma_available, 2U) << "until it is gone it counts";
  held->unpin();
  EXPECT_EQ(outcome.value(), page);
  EXPECT_EQ(v2->pin_count(), 0U);
  EXPECT_EQ(v2->mapping_count(), 0U);
}

}  // namespace
}  // namespace umdev::iommu
