#include "umdev/pci/config_space.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

namespace umdev::pci {
namespace {

std::vector<std::byte> read(const ConfigSpace& space, std::size_t offset, std::size_t size) {
  std::vector<std::byte> bytes(size, std::byte{0xee});
  EXPECT_TRUE(space.read(offset, bytes));
  return bytes;
}

ConfigChanges write32(ConfigSpace& space, std::uint16_t offset, std::uint32_t value) {
  return space.write(offset, bytes_of(value)).value();
}

TEST(ConfigSpace, every_offset_and_size_inside_reads_the_image) {
  ConfigLayout layout;
  for (std::uint16_t at = 0; at < 256; ++at) layout.set<std::uint8_t>(at, static_cast<std::uint8_t>(at * 7));
  const ConfigSpace space(layout);
  for (std::size_t offset = 0; offset <= 256; ++offset)
    for (std::size_t size = 0; size <= 256 - offset; ++size) {
      const auto bytes = read(space, offset, size);
      ASSERT_TRUE(std::ranges::equal(bytes, layout.image().subspan(offset, size))) << offset << "+" << size;
    }
}

TEST(ConfigSpace, nothing_past_the_end_is_read_or_written) {
  const ConfigLayout layout;
  ConfigSpace space(layout);
  const struct {
    std::uint64_t offset;
    std::size_t size;
  } ranges[] = {{256, 1}, {253, 4},   {255, 2},       {0, 257},
                {1, 256}, {~0ULL, 1}, {~0ULL - 3, 8}, {1ULL << 40, 4}};
  for (const auto& range : ranges) {
    std::vector<std::byte> bytes(range.size, std::byte{0xee});
    EXPECT_EQ(space.read(range.offset, bytes).error().code, EINVAL) << range.offset;
    EXPECT_EQ(bytes, std::vector<std::byte>(range.size, std::byte{0xee})) << "the buffer was touched";
    EXPECT_EQ(space.write(range.offset, bytes).error().code, EINVAL) << range.offset;
  }
}

TEST(ConfigSpace, an_express_function_has_4096_bytes) {
  ConfigLayout layout(4096);
  layout.set<std::uint32_t>(4092, 0, ~0U);
  ConfigSpace space(layout);
  write32(space, 4092, 0x12345678);
  EXPECT_EQ(space.value<std::uint32_t>(4092), 0x12345678U);
  std::byte byte{};
  EXPECT_FALSE(space.read(4096, Bytes(&byte, 1)));
}

TEST(ConfigSpace, writes_change_the_writable_bits_only) {
  ConfigLayout layout;
  layout.set<std::uint32_t>(0x80, 0xaaaa5555, 0x0ff00ff0);
  ConfigSpace space(layout);
  write32(space, 0x80, 0xffffffff);
  EXPECT_EQ(space.value<std::uint32_t>(0x80), 0xaffa5ff5U);
  write32(space, 0x80, 0);
  EXPECT_EQ(space.value<std::uint32_t>(0x80), 0xa00a5005U);
}

TEST(ConfigSpace, writing_one_clears_and_writing_zero_keeps) {
  ConfigLayout layout;
  layout.set<std::uint16_t>(0x80, 0, 0x000f, 0xff00);
  ConfigSpace space(layout);
  space.set_value<std::uint16_t>(0x80, 0x5500);
  ASSERT_TRUE(space.write(0x80, bytes_of<std::uint16_t>(0x1101)));
  EXPECT_EQ(space.value<std::uint16_t>(0x80), 0x4401);
  ASSERT_TRUE(space.write(0x80, bytes_of<std::uint16_t>(0)));
  EXPECT_EQ(space.value<std::uint16_t>(0x80), 0x4400);
}

TEST(ConfigSpace, reset_is_the_power_on_image) {
  ConfigLayout layout;
  layout.add_bar(0, {.kind = Bar::Kind::memory32, .size = 4096});
  layout.set<std::uint32_t>(0x80, 7, ~0U);
  ConfigSpace space(layout);
  write32(space, 0x10, 0xfebf0000);
  write32(space, 0x80, 99);
  space.set_value<std::uint16_t>(abi::pci_status, 0xffff);
  space.reset();
  EXPECT_TRUE(std::ranges::equal(read(space, 0, 256), layout.image()));
}

TEST(ConfigSpace, reset_of_the_function_keeps_what_a_kernel_restores) {
  ConfigLayout layout(abi::pci_cfg_space_exp_size);
  layout.identify({});
  layout.add_bar(0, {.kind = Bar::Kind::memory32, .size = 4096});
  layout.add_interrupt_pin(1);
  const std::uint16_t power = layout.add_power_management();
  const std::uint16_t msi = layout.add_msi({.vectors = 4, .address_64bit = true, .maskable = true});
  const std::uint16_t msix = layout.add_msix({});
  const std::uint16_t express = layout.add_express({});
  const std::uint16_t errors = layout.add_error_reporting();
  constexpr std::uint16_t own = 0x200;
  layout.set<std::uint32_t>(own, 7, ~0U);
  ConfigSpace space(layout);
  const ConfigSpace fresh(layout);
  space.reset_function();
  EXPECT_TRUE(std::ranges::equal(read(space, 0, 4096), layout.image())) << "nobody has written";

  ASSERT_TRUE(space.write(0, std::vector<std::byte>(4096, std::byte{0xff})));
  const ConfigSpace before = space;
  space.set_value<std::uint16_t>(abi::pci_status, 0xffff);
  space.reset_function();
  const auto kept = [&](std::uint16_t at) {
    return space.value<std::uint32_t>(at) == before.value<std::uint32_t>(at);
  };
  const auto is_fresh = [&](std::uint16_t at) {
    return space.value<std::uint32_t>(at) == fresh.value<std::uint32_t>(at);
  };
  EXPECT_TRUE(space.bus_master_enabled() && space.memory_enabled() && space.intx_disabled());
  EXPECT_EQ(space.value<std::uint16_t>(abi::pci_status), fresh.value<std::uint16_t>(abi::pci_status));
  for (const std::uint16_t at :
       {std::uint16_t{abi::pci_base_address_0}, std::uint16_t{abi::pci_interrupt_line}, msi,
        std::uint16_t(msi + 4), std::uint16_t(msi + 8), std::uint16_t(msi + 12), std::uint16_t(msi + 16),
        std::uint16_t(express + abi::pci_exp_devctl), std::uint16_t(errors + abi::pci_err_uncor_mask),
        std::uint16_t(errors + abi::pci_err_uncor_sever), std::uint16_t(errors + abi::pci_err_cor_mask)})
    EXPECT_TRUE(kept(at) && !is_fresh(at)) << at;
  EXPECT_EQ(space.value<std::uint16_t>(msix + abi::pci_msix_flags), abi::pci_msix_flags_enable)
      << "vectors are unmasked by their table's reset, and the function too";
  for (const std::uint16_t at : {std::uint16_t(power + abi::pci_pm_ctrl), own})
    EXPECT_TRUE(is_fresh(at)) << at;
}

TEST(ConfigSpace, two_spaces_of_one_layout_do_not_see_each_other) {
  ConfigLayout layout;
  layout.set<std::uint32_t>(0x80, 7, ~0U);
  ConfigSpace first(layout);
  ConfigSpace second(layout);
  write32(first, 0x80, 1);
  EXPECT_EQ(second.value<std::uint32_t>(0x80), 7U);
}

TEST(ConfigSpace, command_register_says_what_is_enabled) {
  ConfigLayout layout;
  layout.identify({});
  layout.add_bar(0, {.kind = Bar::Kind::io, .size = 8});
  layout.add_bar(1, {.kind = Bar::Kind::memory32, .size = 16});
  layout.add_interrupt_pin(1);
  ConfigSpace space(layout);
  EXPECT_FALSE(space.io_enabled() || space.memory_enabled() || space.bus_master_enabled() ||
               space.intx_disabled());
  ASSERT_TRUE(space.write(abi::pci_command, bytes_of<std::uint16_t>(0xffff)));
  EXPECT_EQ(space.value<std::uint16_t>(abi::pci_command), 0x0407) << "bits of no meaning here stay 0";
  EXPECT_TRUE(space.io_enabled() && space.memory_enabled() && space.bus_master_enabled() &&
              space.intx_disabled());
}

struct BarRow {
  Bar bar;
  std::uint64_t sized;  // what reads back after all ones
};

class BarSizing : public testing::TestWithParam<BarRow> {};

TEST_P(BarSizing, gives_size_and_type) {
  const auto& [bar, sized] = GetParam();
  const bool wide = bar.kind == Bar::Kind::memory64;
  const std::uint32_t index = 2;
  ConfigLayout layout;
  layout.add_bar(index, bar);
  ConfigSpace space(layout);
  const auto type = space.value<std::uint32_t>(0x18);
  EXPECT_EQ(space.bar_address(index), 0U);
  write32(space, 0x18, 0xffffffff);
  write32(space, 0x1c, 0xffffffff);
  EXPECT_EQ(space.value<std::uint64_t>(0x18), sized);
  EXPECT_EQ(~space.bar_address(index) + 1, wide ? bar.size : bar.size | 0xffffffff00000000ULL);

  const std::uint32_t type_mask = bar.kind == Bar::Kind::io ? 0x3 : 0xf;
  const std::uint64_t address = wide ? 0x0000004000000000ULL : 0x80000000ULL;
  write32(space, 0x18, static_cast<std::uint32_t>(address) | type_mask);
  write32(space, 0x1c, static_cast<std::uint32_t>(address >> 32));
  EXPECT_EQ(space.bar_address(index), address);
  EXPECT_EQ(space.value<std::uint32_t>(0x18) & type_mask, type) << "type bits are read-only";
}

constexpr std::uint64_t high = 0xffffffff00000000ULL;
INSTANTIATE_TEST_SUITE_P(
    all, BarSizing,
    testing::Values(BarRow{{.kind = Bar::Kind::io, .size = 8}, 0xfffffff9},
                    BarRow{{.kind = Bar::Kind::io, .size = 256}, 0xffffff01},
                    BarRow{{.kind = Bar::Kind::memory32, .size = 4096}, 0xfffff000},
                    BarRow{{.kind = Bar::Kind::memory32, .size = 1 << 24, .prefetchable = true}, 0xff000008},
                    BarRow{{.kind = Bar::Kind::memory32, .size = 1ULL << 31}, 0x80000000},
                    BarRow{{.kind = Bar::Kind::memory64, .size = 1 << 14}, high | 0xffffc004},
                    BarRow{{.kind = Bar::Kind::memory64, .size = 1ULL << 34, .prefetchable = true},
                           0xfffffffc0000000cULL}));

TEST(ConfigSpace, bars_that_are_not_implemented_read_zero) {
  ConfigLayout layout;
  layout.add_bar(0, {.kind = Bar::Kind::io, .size = 8});
  ConfigSpace space(layout);
  for (std::uint16_t offset = 0x14; offset <= 0x24; offset += 4) {
    write32(space, offset, 0xffffffff);
    EXPECT_EQ(space.value<std::uint32_t>(offset), 0U) << offset;
  }
  EXPECT_EQ(space.bar_address(1), 0U);
  EXPECT_EQ(space.bar_address(6), 0U);
}

TEST(ConfigSpace, rom_is_sized_as_qemu_does_it) {
  ConfigLayout layout;
  layout.add_rom(1 << 16);
  ConfigSpace with(layout);
  write32(with, abi::pci_rom_address, 0xfffff800);
  EXPECT_EQ(with.value<std::uint32_t>(abi::pci_rom_address), 0xffff0000U);
  write32(with, abi::pci_rom_address, 0xfe000001);
  EXPECT_EQ(with.value<std::uint32_t>(abi::pci_rom_address), 0xfe000001U) << "the enable bit is writable";

  const ConfigLayout bare;
  ConfigSpace without(bare);
  write32(without, abi::pci_rom_address, 0xfffff800);
  EXPECT_EQ(without.value<std::uint32_t>(abi::pci_rom_address), 0U);
}

TEST(ConfigSpace, a_watched_register_is_reported_when_its_value_changes) {
  ConfigLayout layout;
  layout.set<std::uint16_t>(0x80, 5, 0x00ff);
  layout.watch(0x80, 2);
  const std::uint16_t msi = layout.add_msi({}) + abi::pci_msi_flags;
  ConfigSpace space(layout);
  EXPECT_TRUE(write32(space, 0x84, 1).empty()) << "another register";
  EXPECT_TRUE(write32(space, 0x80, 5).empty()) << "the value that it had";
  EXPECT_TRUE(write32(space, 0x80, 0xff05).empty()) << "read-only bits";
  const ConfigChanges one = write32(space, 0x80, 6);
  ASSERT_EQ(std::distance(one.begin(), one.end()), 1);
  EXPECT_EQ(one.begin()->offset, 0x80);
  EXPECT_EQ(one.begin()->before, 5U);
  EXPECT_EQ(one.begin()->after, 6U);

  auto all = read(space, 0, 256);
  all[0x81 - 1] = std::byte{9};
  all[msi] |= std::byte{1};
  const ConfigChanges both = space.write(0, all).value();
  ASSERT_EQ(std::distance(both.begin(), both.end()), 2) << "one write over both";
  EXPECT_EQ(std::next(both.begin())->offset, msi);
  EXPECT_EQ(std::next(both.begin())->after & 1, 1U);
}

// The plain model: three arrays and a loop over bits.
struct Plain {
  std::vector<std::uint8_t> value, writable, clears;
  void write(std::size_t offset, const std::vector<std::uint8_t>& data) {
    for (std::size_t at = 0; at < data.size(); ++at)
      for (int bit = 0; bit < 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1 << bit);
        std::uint8_t& byte = value[offset + at];
        const bool one = (data[at] & mask) != 0;
        if ((writable[offset + at] & mask) != 0)
          byte = static_cast<std::uint8_t>(one ? byte | mask : byte & ~mask);
        if (one && (clears[offset + at] & mask) != 0) byte = static_cast<std::uint8_t>(byte & ~mask);
      }
  }
  // Nothing is said to be kept beyond the header.
  void reset_function(const Plain& power_on) {
    for (std::size_t at = 0; at < value.size(); ++at) {
      const unsigned kept = at < 64 ? writable[at] & ~unsigned{clears[at]} : 0;
      value[at] = static_cast<std::uint8_t>((value[at] & kept) | (power_on.value[at] & ~kept));
    }
  }
};

std::vector<std::uint8_t> arbitrary_bytes(std::size_t size) {
  return *rc::gen::container<std::vector<std::uint8_t>>(size, rc::gen::arbitrary<std::uint8_t>());
}

RC_GTEST_PROP(ConfigSpace, behaves_as_three_arrays, ()) {
  ConfigLayout layout;
  Plain plain{arbitrary_bytes(256), arbitrary_bytes(256), arbitrary_bytes(256)};
  for (std::uint16_t at = 0; at < 256; ++at)
    layout.set<std::uint8_t>(at, plain.value[at], plain.writable[at], plain.clears[at]);
  if (*rc::gen::arbitrary<bool>()) layout.watch(*rc::gen::inRange<std::uint16_t>(0, 253), 4);
  ConfigSpace space(layout);
  const Plain power_on = plain;

  const auto steps = *rc::gen::inRange(1, 40);
  for (int step = 0; step < steps; ++step) {
    const auto offset = *rc::gen::inRange<std::size_t>(0, 300);
    const auto data = arbitrary_bytes(*rc::gen::inRange<std::size_t>(0, 300));
    const bool fits = offset + data.size() <= 256;
    RC_ASSERT(space.write(offset, std::as_bytes(std::span(data))).has_value() == fits);
    if (fits) plain.write(offset, data);
    if (*rc::gen::inRange(0, 10) == 0) {
      space.reset();
      plain = power_on;
    }
    if (*rc::gen::inRange(0, 10) == 0) {
      space.reset_function();
      plain.reset_function(power_on);
    }
    const auto from = *rc::gen::inRange<std::size_t>(0, 256);
    const auto size = *rc::gen::inRange<std::size_t>(1, 257 - from);
    std::vector<std::uint8_t> seen(size);
    RC_ASSERT(space.read(from, std::as_writable_bytes(std::span(seen))).has_value());
    const auto first = plain.value.begin() + static_cast<std::ptrdiff_t>(from);
    RC_ASSERT(seen == std::vector<std::uint8_t>(first, first + static_cast<std::ptrdiff_t>(size)));
  }
}

// Whatever capabilities a function has and whatever is written, nobody can take the list apart or change who
// the function is, and a BAR stays aligned to its size.
RC_GTEST_PROP(ConfigSpace, no_write_breaks_the_structure, ()) {
  const bool is_express = *rc::gen::arbitrary<bool>();
  ConfigLayout layout(is_express ? abi::pci_cfg_space_exp_size : abi::pci_cfg_space_size);
  layout.identify({.vendor = 0x1234, .device = 0x5678, .class_code = 0x020000});
  const auto size = std::uint64_t{1} << *rc::gen::inRange(4, 40);
  layout.add_bar(0, {.kind = size > (1ULL << 31) ? Bar::Kind::memory64 : Bar::Kind::memory32, .size = size});
  const auto wanted =
      *rc::gen::container<std::vector<int>>(*rc::gen::inRange<std::size_t>(0, 7), rc::gen::inRange(0, 4));
  for (const int kind : wanted) {
    if (kind == 0) layout.add_power_management();
    if (kind == 1)
      layout.add_msi({.vectors = 1U << *rc::gen::inRange(0, 6),
                      .address_64bit = *rc::gen::arbitrary<bool>(),
                      .maskable = *rc::gen::arbitrary<bool>()});
    if (kind == 2) layout.add_msix({.vectors = *rc::gen::inRange(1U, 2049U)});
    if (kind == 3)
      layout.add_vendor_capability(std::vector<std::byte>(*rc::gen::inRange<std::size_t>(0, 10)));
  }
  if (is_express) {
    layout.add_express({});
    layout.add_error_reporting();
    layout.add_extended_capability(abi::pci_ext_cap_id_sriov, 1, std::vector<std::byte>(60));
  }
  ConfigSpace space(layout);
  for (int step = 0; step < 30; ++step) {
    const auto data = arbitrary_bytes(*rc::gen::inRange<std::size_t>(1, 257));
    const auto offset = *rc::gen::inRange<std::size_t>(0, layout.size() + 1 - data.size());
    RC_ASSERT(space.write(offset, std::as_bytes(std::span(data))).has_value());
    RC_ASSERT(space.value<std::uint32_t>(0) == 0x56781234U);
    RC_ASSERT(space.bar_address(0) % size == 0U);
    std::size_t found = 0;
    for (auto at = space.value<std::uint8_t>(abi::pci_capability_list); at != 0;
         at = space.value<std::uint8_t>(at + 1))
      ++found;
    RC_ASSERT(found == wanted.size() + (is_express ? 1 : 0));
    if (is_express) {
      RC_ASSERT(space.value<std::uint32_t>(0x100) == 0x14820001U);
      RC_ASSERT(space.value<std::uint32_t>(0x148) == 0x00010010U);
    }
  }
}

}  // namespace
}  // namespace umdev::pci
