// Accesses stay inside their region, whatever numbers they come with.
#include <algorithm>
#include <vector>

#include "tests/conformance/devices.h"
#include "umdev/abi/pci.h"

namespace umdev::conformance {
namespace {

constexpr std::uint32_t config_region = abi::vfio_pci_config_region_index;

TEST_P(Conformance, the_first_and_the_last_byte_of_a_region_can_be_accessed) {
  for (std::uint32_t region = 0; region < file().info()->num_regions; ++region) {
    const std::uint64_t size = region_size(region);
    if (size == 0) continue;
    const bool reads = (region_flags(region) & abi::vfio_region_info_flag_read) != 0;
    const bool writes = (region_flags(region) & abi::vfio_region_info_flag_write) != 0;
    for (const std::uint64_t offset : {std::uint64_t{0}, size - 1}) {
      EXPECT_EQ(read(region, offset, 1), reads ? 0 : EINVAL) << region << " at " << offset;
      EXPECT_EQ(write(region, offset, 1), writes ? 0 : EINVAL) << region << " at " << offset;
    }
  }
}

TEST_P(Conformance, what_does_not_lie_inside_a_region_is_einval) {
  for (std::uint32_t region = 0; region < file().info()->num_regions; ++region) {
    const std::uint64_t size = region_size(region);
    const struct {
      std::uint64_t offset;
      std::size_t count;
    } accesses[] = {{size, 1},                     // just past the end
                    {size, 8},                     //
                    {size > 0 ? size - 1 : 0, 2},  // straddling it
                    {size > 2 ? size - 3 : 0, size > 2 ? 4U : 4096U},
                    {0, size + 1},
                    {1, std::max<std::size_t>(size, 1)},
                    {1ULL << 40, 4},  // the next region's place in the file
                    {1ULL << 63, 8},
                    {~0ULL, 1},  // sums that wrap
                    {~0ULL, 8},
                    {~0ULL - 3, 4},
                    {~0ULL - 3, 8}};
    for (const auto& access : accesses) {
      EXPECT_EQ(read(region, access.offset, access.count), EINVAL)
          << "region " << region << " " << access.offset << "+" << access.count;
      EXPECT_EQ(write(region, access.offset, access.count), EINVAL)
          << "region " << region << " " << access.offset << "+" << access.count;
    }
  }
}

TEST_P(Conformance, an_access_does_all_of_what_was_asked) {
  for (std::uint32_t region = 0; region < file().info()->num_regions; ++region) {
    const std::uint64_t size = std::min<std::uint64_t>(region_size(region), 4096);
    for (std::size_t count = 1; count <= std::min<std::size_t>(size, 64); ++count)
      for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{size - count}}) {
        if ((region_flags(region) & abi::vfio_region_info_flag_read) != 0) {
          EXPECT_EQ(test::read_file(file(), region, offset, count).value().size(), count);
        }
        if ((region_flags(region) & abi::vfio_region_info_flag_write) != 0) {
          EXPECT_EQ(test::write_file(file(), region, offset, std::vector<std::byte>(count)).value(), count);
        }
      }
  }
}

TEST_P(Conformance, an_access_of_no_bytes_does_nothing) {
  for (std::uint32_t region = 0; region < file().info()->num_regions; ++region) {
    if (region_size(region) == 0) continue;
    if ((region_flags(region) & abi::vfio_region_info_flag_read) != 0) {
      EXPECT_EQ(read(region, 0, 0), 0);
    }
    EXPECT_EQ(read(region, region_size(region) + 1, 0), EINVAL);
  }
}

TEST_P(Conformance, config_space_reads_the_same_at_every_offset_and_size) {
  if (!is_pci()) GTEST_SKIP() << "no PCI device";
  const std::vector<std::byte> whole = config();
  ASSERT_TRUE(whole.size() == 256 || whole.size() == 4096) << whole.size();
  for (std::size_t offset = 0; offset < 256; ++offset)
    for (std::size_t size = 1; size <= 256 - offset; size += size < 9 ? 1 : 31) {
      const auto part = test::read_file(file(), config_region, offset, size).value();
      ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(offset)))
          << offset << "+" << size;
    }
}

TEST_P(Conformance, config_space_has_a_header_that_software_understands) {
  if (!is_pci()) GTEST_SKIP() << "no PCI device";
  const std::vector<std::byte> bytes = config();
  const auto at = [&]<typename T>(T, std::size_t offset) { return load_le<T>(bytes, offset).value(); };
  EXPECT_NE(at(std::uint16_t{}, abi::pci_vendor_id), 0xffff);
  EXPECT_NE(at(std::uint16_t{}, abi::pci_vendor_id), 0x0000);
  EXPECT_EQ(at(std::uint8_t{}, abi::pci_header_type) & 0x7f, 0) << "an ordinary function";
  const auto pin = at(std::uint8_t{}, abi::pci_interrupt_pin);
  EXPECT_LE(pin, 4);
  EXPECT_EQ(file().irq_info(abi::vfio_pci_intx_irq_index)->count, pin != 0 ? 1U : 0U);

  const bool has_list = (at(std::uint16_t{}, abi::pci_status) & abi::pci_status_cap_list) != 0;
  std::size_t found = 0;
  auto next = at(std::uint8_t{}, abi::pci_capability_list);
  EXPECT_EQ(next != 0, has_list);
  for (; next != 0 && found < 64; ++found) {
    ASSERT_GE(next, abi::pci_std_header_sizeof);
    ASSERT_EQ(next % 4, 0);
    next = at(std::uint8_t{}, next + 1U);
  }
  EXPECT_LT(found, 64U) << "the list goes round in a circle";
}

TEST_P(Conformance, bars_are_sized_as_their_regions_are) {
  if (!is_pci()) GTEST_SKIP() << "no PCI device";
  const auto dword = [&](std::uint64_t offset) {
    return load_le<std::uint32_t>(test::read_file(file(), config_region, offset, 4).value(), 0).value();
  };
  for (std::uint32_t bar = 0; bar < 6; ++bar) {
    SCOPED_TRACE(bar);
    const std::uint64_t offset = abi::pci_base_address_0 + 4ULL * bar;
    const std::uint32_t type = dword(offset);
    ASSERT_EQ(test::write_file(file(), config_region, offset, bytes_of(~0U)).value(), 4U);
    const std::uint32_t sized = dword(offset);
    const bool ports = (type & abi::pci_base_address_space_io) != 0;
    const bool wide = !ports && (type & abi::pci_base_address_mem_type_64) != 0;
    const std::uint32_t mask = ports ? abi::pci_base_address_io_mask : abi::pci_base_address_mem_mask;
    if (wide) {
      ++bar;  // its upper half
      continue;
    }
    EXPECT_EQ(region_size(bar), sized == 0 ? 0 : std::uint64_t{~(sized & mask)} + 1);
    EXPECT_EQ(sized & ~mask, type & ~mask) << "type bits are read-only";
  }
}

TEST_P(Conformance, nobody_can_write_who_the_function_is) {
  if (!is_pci()) GTEST_SKIP() << "no PCI device";
  const std::vector<std::byte> before = config();
  for (const std::byte value : {std::byte{0xff}, std::byte{0x00}, std::byte{0x5a}}) {
    ASSERT_TRUE(test::write_file(file(), config_region, 0, std::vector<std::byte>(before.size(), value)));
    const std::vector<std::byte> after = config();
    const struct {
      std::size_t offset, size;
    } fixed[] = {{abi::pci_vendor_id, 4},       {abi::pci_revision_id, 4},
                 {abi::pci_header_type, 1},     {abi::pci_subsystem_vendor_id, 4},
                 {abi::pci_capability_list, 1}, {abi::pci_interrupt_pin, 1}};
    for (const auto& field : fixed)
      for (std::size_t at = field.offset; at < field.offset + field.size; ++at)
        EXPECT_EQ(after[at], before[at]) << "byte " << at;
  }
}

TEST_P(Conformance, a_region_that_cannot_be_mapped_is_not_mapped) {
  for (std::uint32_t region = 0; region < file().info()->num_regions; ++region) {
    const auto mapped = file().mmap({.region = region, .offset = 0, .length = 4096});
    if ((region_flags(region) & abi::vfio_region_info_flag_mmap) == 0) {
      EXPECT_EQ(test::error_of(mapped), EINVAL) << region;
      continue;
    }
    const std::uint64_t beyond = region_size(region);
    EXPECT_EQ(test::error_of(file().mmap({.region = region, .offset = beyond, .length = 4096})), EINVAL);
    EXPECT_EQ(test::error_of(file().mmap({.region = region, .offset = 0, .length = beyond + 4096})), EINVAL);
  }
}

}  // namespace
}  // namespace umdev::conformance
