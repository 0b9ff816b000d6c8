// What a device says of itself is complete, makes sense, and never changes.
#include <bit>
#include <string>

#include "tests/conformance/devices.h"
#include "tests/support/feature.h"

namespace umdev::conformance {
namespace {

using test::error_of;

INSTANTIATE_TEST_SUITE_P(all, Conformance, testing::ValuesIn(subjects), name_of);

constexpr std::uint32_t known_region_flags =
    abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write | abi::vfio_region_info_flag_mmap;
constexpr std::uint32_t known_irq_flags = abi::vfio_irq_info_eventfd | abi::vfio_irq_info_maskable |
                                          abi::vfio_irq_info_automasked | abi::vfio_irq_info_noresize;

TEST_P(Conformance, device_info_is_within_what_clients_take) {
  const auto info = file().info().value();
  EXPECT_EQ(info.flags & abi::vfio_device_flags_caps, 0U) << "the door's to set";
  constexpr std::uint32_t buses = abi::vfio_device_flags_pci | abi::vfio_device_flags_platform |
                                  abi::vfio_device_flags_amba | abi::vfio_device_flags_ccw |
                                  abi::vfio_device_flags_ap;
  EXPECT_TRUE(std::has_single_bit(info.flags & buses));
  if (!is_pci()) return;
  EXPECT_GE(info.num_regions, std::uint32_t{abi::vfio_pci_num_regions});
  EXPECT_LE(info.num_regions, 100U) << "QEMU's limit";
  EXPECT_GE(info.num_irqs, 3U);
  EXPECT_LE(info.num_irqs, 50U);
}

TEST_P(Conformance, every_region_has_an_answer) {
  for (std::uint32_t index = 0; index < file().info()->num_regions; ++index) {
    const auto region = file().region_info(index);
    ASSERT_TRUE(region) << index;
    EXPECT_EQ(region->flags & ~known_region_flags, 0U) << index;
    EXPECT_EQ(region->size != 0, region->flags != 0) << "region " << index << ": a size with no way in";
    if (is_pci()) {
      EXPECT_EQ(region->offset, std::uint64_t{index} << abi::vfio_pci_offset_shift) << index;
    }
  }
}

TEST_P(Conformance, regions_do_not_overlap_in_the_file) {
  const std::uint32_t count = file().info()->num_regions;
  for (std::uint32_t first = 0; first < count; ++first)
    for (std::uint32_t second = first + 1; second < count; ++second) {
      const auto one = file().region_info(first).value();
      const auto other = file().region_info(second).value();
      if (one.size == 0 || other.size == 0) continue;
      EXPECT_TRUE(one.offset + one.size <= other.offset || other.offset + other.size <= one.offset)
          << first << " and " << second;
    }
}

TEST_P(Conformance, interrupt_infos_make_sense) {
  for (std::uint32_t index = 0; index < file().info()->num_irqs; ++index) {
    const auto irq = file().irq_info(index);
    if (!irq) {
      EXPECT_EQ(irq.error().code, EINVAL) << index;
      continue;
    }
    EXPECT_EQ(irq->flags & ~known_irq_flags, 0U) << index;
    EXPECT_LE(irq->count, 2048U) << index;
    if (irq->count > 0) {
      EXPECT_NE(irq->flags & abi::vfio_irq_info_eventfd, 0U) << index;
    }
    if ((irq->flags & abi::vfio_irq_info_automasked) != 0) {
      EXPECT_NE(irq->flags & abi::vfio_irq_info_maskable, 0U)
          << "index " << index << " could never be unmasked";
    }
  }
}

TEST_P(Conformance, unknown_indexes_are_einval) {
  const auto info = file().info().value();
  for (const std::uint32_t beyond : {0U, 1U, 1000U, 0x7fffffffU}) {
    EXPECT_EQ(error_of(file().region_info(info.num_regions + beyond)), EINVAL) << beyond;
    EXPECT_EQ(error_of(file().irq_info(info.num_irqs + beyond)), EINVAL) << beyond;
    EXPECT_EQ(read(info.num_regions + beyond, 0, 1), EINVAL) << beyond;
    EXPECT_EQ(write(info.num_regions + beyond, 0, 1), EINVAL) << beyond;
    EXPECT_EQ(set_irqs(abi::vfio_irq_set_data_none | abi::vfio_irq_set_action_trigger, info.num_irqs + beyond,
                       0, 1),
              EINVAL);
  }
  EXPECT_EQ(error_of(file().region_info(~0U)), EINVAL);
  EXPECT_EQ(error_of(file().irq_info(~0U)), EINVAL);
}

TEST_P(Conformance, unknown_features_and_commands_are_enotty) {
  EXPECT_EQ(error_of(test::feature(file(), {.flags = abi::vfio_device_feature_get | 0xfff0, .data = {}})),
            ENOTTY);
  EXPECT_EQ(error_of(file().ioctl({.command = 0xdeadbeef, .argument = {}})), ENOTTY);
}

// Everything that a device says of itself, as text.
std::string all_infos(vfio::DeviceFile& file) {
  std::string text;
  const auto append = [&](std::uint64_t number) { text += std::to_string(number) + " "; };
  const auto info = file.info().value();
  for (const std::uint32_t number : {info.flags, info.num_regions, info.num_irqs}) append(number);
  for (std::uint32_t index = 0; index < info.num_regions; ++index) {
    const auto region = file.region_info(index);
    append(region ? region->flags : ~0U);
    append(region ? region->size : 0);
    append(region ? region->offset : 0);
  }
  for (std::uint32_t index = 0; index < info.num_irqs; ++index) {
    const auto irq = file.irq_info(index);
    append(irq ? irq->flags : ~0U);
    append(irq ? irq->count : 0);
  }
  return text;
}

TEST_P(Conformance, no_info_depends_on_what_was_called_before) {
  // The first call of all is one about an interrupt, on a file that is fresh.
  const auto irq = file().irq_info(0);
  const std::string before = all_infos(file());
  EXPECT_EQ(error_of(file().irq_info(0)), error_of(irq));
  for (std::uint32_t region = 0; region < file().info()->num_regions; ++region) {
    read(region, 0, 1);
    write(region, 0, 1);
  }
  for (const std::uint32_t index : indexes_with_vectors()) set_empty_eventfds(index, 0, 1);
  EXPECT_EQ(all_infos(file()), before) << "after accesses";
  if ((file().info()->flags & abi::vfio_device_flags_reset) != 0) {
    EXPECT_EQ(reset(), 0);
    EXPECT_EQ(all_infos(file()), before) << "after a reset";
  }
  reopen();
  EXPECT_EQ(all_infos(file()), before) << "for the next user";
}

}  // namespace
}  // namespace umdev::conformance
