#include "umdev/pci/config_layout.h"

#include <gtest/gtest.h>

#include <vector>

#include "umdev/pci/config_space.h"

namespace umdev::pci {
namespace {

template <std::unsigned_integral T>
T at(ConstBytes bytes, std::size_t offset) {
  return load_le<T>(bytes, offset).value();
}

TEST(ConfigLayout, begins_all_zero_and_read_only) {
  const ConfigLayout layout;
  for (const ConstBytes table : {layout.image(), layout.writable(), layout.write_1_clears()})
    EXPECT_EQ(std::vector<std::byte>(table.begin(), table.end()), std::vector<std::byte>(256));
}

TEST(ConfigLayout, identity_lies_where_the_header_has_it) {
  ConfigLayout layout;
  layout.identify({.vendor = 0x1af4,
                   .device = 0x1041,
                   .subsystem_vendor = 0x1af5,
                   .subsystem = 0x1100,
                   .class_code = 0x010802,
                   .revision = 7});
  EXPECT_EQ(at<std::uint32_t>(layout.image(), 0x00), 0x10411af4U);
  EXPECT_EQ(at<std::uint32_t>(layout.image(), 0x08), 0x01080207U);
  EXPECT_EQ(at<std::uint32_t>(layout.image(), 0x2c), 0x11001af5U);
  EXPECT_EQ(at<std::uint16_t>(layout.writable(), 0x00), 0);
}

TEST(ConfigLayout, command_decodes_only_what_has_a_bar) {
  ConfigLayout ports;
  ports.add_bar(0, {.kind = Bar::Kind::io, .size = 8});
  EXPECT_EQ(at<std::uint16_t>(ports.writable(), abi::pci_command), abi::pci_command_io);
  ConfigLayout memory;
  memory.add_bar(2, {.kind = Bar::Kind::memory32, .size = 4096});
  EXPECT_EQ(at<std::uint16_t>(memory.writable(), abi::pci_command), abi::pci_command_memory);
  EXPECT_EQ(at<std::uint16_t>(memory.image(), abi::pci_command), 0) << "off at power-on";
}

TEST(ConfigLayout, interrupt_pin_brings_the_line_register_and_the_intx_disable_bit) {
  ConfigLayout layout;
  layout.add_interrupt_pin(2);
  EXPECT_EQ(layout.interrupt_pin(), 2);
  EXPECT_EQ(at<std::uint8_t>(layout.writable(), abi::pci_interrupt_pin), 0);
  EXPECT_EQ(at<std::uint8_t>(layout.writable(), abi::pci_interrupt_line), 0xff);
  EXPECT_EQ(at<std::uint16_t>(layout.writable(), abi::pci_command), abi::pci_command_intx_disable);
}

TEST(ConfigLayout, without_capabilities_the_list_is_empty) {
  const ConfigLayout layout;
  EXPECT_EQ(at<std::uint8_t>(layout.image(), abi::pci_capability_list), 0);
  EXPECT_EQ(at<std::uint16_t>(layout.image(), abi::pci_status) & abi::pci_status_cap_list, 0);
}

TEST(ConfigLayout, capabilities_form_a_list_in_the_order_they_were_added) {
  ConfigLayout layout;
  const std::uint8_t pm = layout.add_power_management();
  const std::uint8_t msi = layout.add_msi({.vectors = 4});
  const std::uint8_t msix = layout.add_msix({.vectors = 3, .table_bar = 2, .pba_bar = 2, .pba_offset = 64});
  const std::uint8_t vendor = layout.add_vendor_capability(std::vector<std::byte>(5, std::byte{0xaa}));
  const ConstBytes image = layout.image();
  EXPECT_NE(at<std::uint16_t>(image, abi::pci_status) & abi::pci_status_cap_list, 0);
  std::vector<std::pair<std::uint8_t, std::uint8_t>> list;
  for (auto offset = at<std::uint8_t>(image, abi::pci_capability_list); offset != 0;
       offset = at<std::uint8_t>(image, offset + 1U))
    list.emplace_back(at<std::uint8_t>(image, offset), offset);
  EXPECT_EQ(list, (decltype(list){{abi::pci_cap_id_pm, pm},
                                  {abi::pci_cap_id_msi, msi},
                                  {abi::pci_cap_id_msix, msix},
                                  {abi::pci_cap_id_vndr, vendor}}));
  EXPECT_EQ(pm, 0x40) << "the first byte behind the header";
  for (const auto& [id, offset] : list) EXPECT_EQ(offset % 4, 0) << "capability " << int{id};
  EXPECT_EQ(at<std::uint8_t>(image, vendor + 2U), 8) << "the length counts id, next and itself";
}

TEST(ConfigLayout, power_management_state_is_writable_and_pme_status_clears_by_writing_one) {
  ConfigLayout layout;
  const std::uint16_t ctrl = layout.add_power_management() + abi::pci_pm_ctrl;
  ConfigSpace space(layout);
  space.set_value<std::uint16_t>(ctrl, abi::pci_pm_ctrl_pme_status | abi::pci_pm_ctrl_no_soft_reset);
  ASSERT_TRUE(space.write(ctrl, bytes_of<std::uint16_t>(3)));
  EXPECT_EQ(space.value<std::uint16_t>(ctrl),
            abi::pci_pm_ctrl_pme_status | abi::pci_pm_ctrl_no_soft_reset | 3);
  ASSERT_TRUE(space.write(ctrl, bytes_of<std::uint16_t>(abi::pci_pm_ctrl_pme_status)));
  EXPECT_EQ(space.value<std::uint16_t>(ctrl), abi::pci_pm_ctrl_no_soft_reset);
}

struct MsiRow {
  MsiCapability msi;
  std::uint16_t flags;
  std::size_t size;
  std::uint32_t mask_bits;
};

class MsiShape : public testing::TestWithParam<MsiRow> {};

TEST_P(MsiShape, follows_its_flags) {
  const MsiRow& row = GetParam();
  ConfigLayout layout;
  const std::uint8_t msi = layout.add_msi(row.msi);
  const std::uint8_t behind = layout.add_vendor_capability({});
  EXPECT_EQ(at<std::uint16_t>(layout.image(), msi + 2U), row.flags);
  EXPECT_EQ(at<std::uint16_t>(layout.writable(), msi + 2U), 0x71) << "enable and the number of messages";
  EXPECT_EQ(static_cast<std::size_t>(behind - msi), row.size);
  EXPECT_EQ(layout.msi_vectors(), row.msi.vectors);
  const std::size_t address_size = row.msi.address_64bit ? 8 : 4;
  EXPECT_EQ(at<std::uint32_t>(layout.writable(), msi + 4U), 0xfffffffcU);
  EXPECT_EQ(at<std::uint16_t>(layout.writable(), msi + 4 + address_size), 0xffff) << "the data register";
  if (row.msi.maskable) {
    EXPECT_EQ(at<std::uint32_t>(layout.writable(), msi + 8 + address_size), row.mask_bits);
    EXPECT_EQ(at<std::uint32_t>(layout.writable(), msi + 12 + address_size), 0U) << "pending bits";
  }
}

INSTANTIATE_TEST_SUITE_P(
    all, MsiShape,
    testing::Values(MsiRow{{.vectors = 1, .address_64bit = false}, 0x0000, 12, 0},
                    MsiRow{{.vectors = 1, .address_64bit = true}, 0x0080, 16, 0},
                    MsiRow{{.vectors = 8, .address_64bit = false, .maskable = true}, 0x0106, 20, 0xff},
                    MsiRow{
                        {.vectors = 32, .address_64bit = true, .maskable = true}, 0x018a, 24, 0xffffffff}));

TEST(ConfigLayout, msix_says_where_table_and_pending_bits_are) {
  ConfigLayout layout;
  const std::uint8_t msix = layout.add_msix(
      {.vectors = 2048, .table_bar = 4, .table_offset = 0x2000, .pba_bar = 5, .pba_offset = 0x3000});
  EXPECT_EQ(at<std::uint16_t>(layout.image(), msix + 2U), 2047);
  EXPECT_EQ(at<std::uint16_t>(layout.writable(), msix + 2U), 0xc000);
  EXPECT_EQ(at<std::uint32_t>(layout.image(), msix + 4U), 0x2004U);
  EXPECT_EQ(at<std::uint32_t>(layout.image(), msix + 8U), 0x3005U);
  EXPECT_EQ(layout.msix_vectors(), 2048U);
}

TEST(ConfigLayoutDeathTest, what_a_driver_cannot_mean_is_an_assertion) {
  EXPECT_DEATH(ConfigLayout(255), "256 or 4096");
  EXPECT_DEATH(ConfigLayout().set<std::uint32_t>(0xfd, 0), "outside configuration space");
  EXPECT_DEATH(ConfigLayout().add_bar(0, {.kind = Bar::Kind::memory32, .size = 100}), "power of two");
  EXPECT_DEATH(ConfigLayout().add_bar(6, {.kind = Bar::Kind::io, .size = 8}), "six BARs");
  EXPECT_DEATH(ConfigLayout().add_bar(5, {.kind = Bar::Kind::memory64, .size = 4096}), "six BARs");
  EXPECT_DEATH(ConfigLayout().add_bar(0, {.kind = Bar::Kind::memory32, .size = 1ULL << 32}), "too large");
  EXPECT_DEATH(ConfigLayout().add_rom(1024), "2048");
  EXPECT_DEATH(ConfigLayout().add_vendor_capability(std::vector<std::byte>(250)), "no room");
}

TEST(ConfigLayout, express_says_what_it_is_and_that_it_resets) {
  for (const bool integrated : {false, true}) {
    ConfigLayout layout(abi::pci_cfg_space_exp_size);
    const std::uint8_t express = layout.add_express({.integrated = integrated});
    EXPECT_EQ(express + 0x3c, layout.add_vendor_capability({})) << "its size in version 2";
    EXPECT_EQ(at<std::uint16_t>(layout.image(), express + abi::pci_exp_flags), integrated ? 0x92 : 0x02);
    EXPECT_EQ(at<std::uint32_t>(layout.image(), express + abi::pci_exp_devcap), 0x10008000U);
    EXPECT_EQ(at<std::uint32_t>(layout.image(), express + abi::pci_exp_lnkcap), integrated ? 0U : 0x11U);
    EXPECT_EQ(layout.function_level_reset(), express + abi::pci_exp_devctl);
    ConfigSpace space(layout);
    ASSERT_TRUE(space.write(express + abi::pci_exp_devctl, bytes_of<std::uint16_t>(0xffff)));
    EXPECT_EQ(space.value<std::uint16_t>(express + abi::pci_exp_devctl), 0x78ff) << "the reset bit reads 0";
  }
  ConfigLayout plain(abi::pci_cfg_space_exp_size);
  const std::uint8_t express = plain.add_express({.function_level_reset = false});
  EXPECT_EQ(at<std::uint32_t>(plain.image(), express + abi::pci_exp_devcap), 0x00008000U);
  EXPECT_EQ(plain.function_level_reset(), 0);
}

TEST(ConfigLayout, extended_capabilities_form_a_list_from_0x100) {
  ConfigLayout layout(abi::pci_cfg_space_exp_size);
  EXPECT_EQ(layout.add_error_reporting(), 0x100);
  const std::vector<std::byte> body(9, std::byte{0x5a});
  EXPECT_EQ(layout.add_extended_capability(0x0b, 1, body), 0x148);
  EXPECT_EQ(layout.add_extended_capability(0x03, 2, {}), 0x158);
  EXPECT_EQ(at<std::uint32_t>(layout.image(), 0x100), 0x14820001U);
  EXPECT_EQ(at<std::uint32_t>(layout.image(), 0x148), 0x1581000bU);
  EXPECT_EQ(at<std::uint32_t>(layout.image(), 0x158), 0x00020003U);
  EXPECT_EQ(at<std::uint8_t>(layout.image(), 0x154), 0x5a);
  ConfigSpace space(layout);
  space.set_value<std::uint32_t>(0x104, 0xffffffff);
  ASSERT_TRUE(space.write(0x104, bytes_of<std::uint32_t>(0x10)));
  EXPECT_EQ(space.value<std::uint32_t>(0x104), 0xffffffefU) << "an error's status clears by writing one";
  ASSERT_TRUE(space.write(0x100, bytes_of<std::uint32_t>(0)));
  EXPECT_EQ(space.value<std::uint32_t>(0x100), 0x14820001U);
}

TEST(ConfigLayout, sriov_says_what_virtual_functions_there_may_be_and_nobody_writes_it) {
  ConfigLayout layout(abi::pci_cfg_space_exp_size);
  const std::uint16_t errors = layout.add_error_reporting();
  layout.begin_extended_at(0x200);
  const std::uint16_t at = layout.add_sriov({.total = 8,
                                             .first_offset = 0x80,
                                             .stride = 2,
                                             .device = 0x154c,
                                             .bars = {Bar{.kind = Bar::Kind::memory64, .size = 0x4000}}});
  EXPECT_EQ(at, 0x200);
  EXPECT_EQ(layout.sriov_offset(), at);
  EXPECT_EQ(layout.sriov().total, 8);
  ConfigSpace space(layout);
  EXPECT_EQ(space.value<std::uint32_t>(errors) >> abi::pci_ext_cap_next_shift, at);
  EXPECT_EQ(space.value<std::uint32_t>(at), 0x00010010U);
  EXPECT_EQ(space.value<std::uint16_t>(at + abi::pci_sriov_initial_vf), 8);
  EXPECT_EQ(space.value<std::uint16_t>(at + abi::pci_sriov_total_vf), 8);
  EXPECT_EQ(space.value<std::uint16_t>(at + abi::pci_sriov_num_vf), 0);
  EXPECT_EQ(space.value<std::uint16_t>(at + abi::pci_sriov_vf_offset), 0x80);
  EXPECT_EQ(space.value<std::uint16_t>(at + abi::pci_sriov_vf_stride), 2);
  EXPECT_EQ(space.value<std::uint16_t>(at + abi::pci_sriov_vf_did), 0x154c);
  EXPECT_EQ(space.value<std::uint32_t>(at + abi::pci_sriov_sup_pgsize), 1U);
  EXPECT_EQ(space.value<std::uint32_t>(at + abi::pci_sriov_bar), 4U) << "64 bits";
  const std::vector<std::byte> ones(abi::pci_sriov_sizeof, std::byte{0xff});
  ASSERT_TRUE(space.write(at, ones));
  std::vector<std::byte> after(ones.size());
  ASSERT_TRUE(space.read(at, after));
  EXPECT_TRUE(std::ranges::equal(after, layout.image().subspan(at, after.size())));
}

}  // namespace
}  // namespace umdev::pci
