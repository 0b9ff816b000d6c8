#include "umdev/pci/config_layout.h"

#include <algorithm>
#include <bit>

#include "umdev/support/assert.h"

namespace umdev::pci {
namespace {

std::uint16_t bar_offset(std::uint32_t index) {
  return static_cast<std::uint16_t>(abi::pci_base_address_0 + 4 * index);
}

// The bits of an address that a function decodes: the ones that sizing reads back as 1.
std::uint64_t address_bits(std::uint64_t size) {
  return ~(size - 1);
}

std::uint32_t type_bits(const Bar& bar) {
  if (bar.kind == Bar::Kind::io) return abi::pci_base_address_space_io;
  const std::uint32_t width =
      bar.kind == Bar::Kind::memory64 ? abi::pci_base_address_mem_type_64 : abi::pci_base_address_mem_type_32;
  return width | (bar.prefetchable ? abi::pci_base_address_mem_prefetch : 0);
}

}  // namespace

ConfigLayout::ConfigLayout(std::uint16_t size)
    : image_(size), writable_(size), write_1_clears_(size), kept_(size) {
  UMDEV_ASSERT(size == abi::pci_cfg_space_size || size == abi::pci_cfg_space_exp_size,
               "configuration space has 256 or 4096 bytes");
}

void ConfigLayout::set_bytes(std::uint16_t offset, ConstBytes value, ConstBytes writable,
                             ConstBytes write_1_clears) {
  UMDEV_ASSERT(range_fits(offset, value.size(), image_.size()), "outside configuration space");
  std::ranges::copy(value, image_.begin() + offset);
  std::ranges::copy(writable, writable_.begin() + offset);
  std::ranges::copy(write_1_clears, write_1_clears_.begin() + offset);
  if (offset < abi::pci_std_header_sizeof) {
    const std::size_t size = std::min<std::size_t>(value.size(), abi::pci_std_header_sizeof - offset);
    for (std::size_t at = 0; at < size; ++at) kept_[offset + at] = writable[at] & ~write_1_clears[at];
  }
}

void ConfigLayout::keep_bytes(std::uint16_t offset, ConstBytes bits) {
  UMDEV_ASSERT(range_fits(offset, bits.size(), image_.size()), "outside configuration space");
  for (std::size_t at = 0; at < bits.size(); ++at) kept_[offset + at] |= bits[at];
}

void ConfigLayout::set_text(std::uint16_t offset, std::string_view text) {
  const std::vector<std::byte> none(text.size());
  set_bytes(offset, std::as_bytes(std::span(text)), none, none);
}

void ConfigLayout::identify(const Identity& identity) {
  set<std::uint16_t>(abi::pci_vendor_id, identity.vendor);
  set<std::uint16_t>(abi::pci_device_id, identity.device);
  set<std::uint16_t>(abi::pci_subsystem_vendor_id, identity.subsystem_vendor);
  set<std::uint16_t>(abi::pci_subsystem_id, identity.subsystem);
  set<std::uint32_t>(abi::pci_revision_id, (identity.class_code << 8) | identity.revision);
  set<std::uint8_t>(abi::pci_cache_line_size, 0, 0xff);
  allow_command(abi::pci_command_master);
}

void ConfigLayout::allow_command(std::uint16_t bits) {
  const auto allowed = *load_le<std::uint16_t>(writable_, abi::pci_command);
  const auto power_on = *load_le<std::uint16_t>(image_, abi::pci_command);
  set<std::uint16_t>(abi::pci_command, power_on, allowed | bits);
}

void ConfigLayout::add_bar(std::uint32_t index, const Bar& bar) {
  const bool wide = bar.kind == Bar::Kind::memory64;
  const std::uint64_t least = bar.kind == Bar::Kind::io ? 4 : 16;
  UMDEV_ASSERT(bar.kind != Bar::Kind::none, "a BAR is ports or memory");
  UMDEV_ASSERT(index + (wide ? 1 : 0) < bars_.size(), "a function has six BARs");
  UMDEV_ASSERT(std::has_single_bit(bar.size) && bar.size >= least, "the size of a BAR is a power of two");
  UMDEV_ASSERT(wide || bar.size <= (1ULL << 31), "the BAR is too large for 32 bits");
  bars_[index] = bar;
  const std::uint64_t decoded = address_bits(bar.size);
  set<std::uint32_t>(bar_offset(index), type_bits(bar), static_cast<std::uint32_t>(decoded));
  if (wide) set<std::uint32_t>(bar_offset(index + 1), 0, static_cast<std::uint32_t>(decoded >> 32));
  allow_command(bar.kind == Bar::Kind::io ? abi::pci_command_io : abi::pci_command_memory);
}

void ConfigLayout::add_rom(std::uint32_t size) {
  UMDEV_ASSERT(std::has_single_bit(size) && size >= 2048, "the size of a ROM is a power of two from 2048");
  rom_size_ = size;
  const auto decoded = static_cast<std::uint32_t>(address_bits(size));
  set<std::uint32_t>(abi::pci_rom_address, 0, decoded | abi::pci_rom_address_enable);
}

void ConfigLayout::add_interrupt_pin(std::uint8_t pin) {
  UMDEV_ASSERT(pin >= 1 && pin <= 4, "interrupt pins are INTA to INTD");
  set<std::uint8_t>(abi::pci_interrupt_pin, pin);
  set<std::uint8_t>(abi::pci_interrupt_line, 0, 0xff);
  allow_command(abi::pci_command_intx_disable);
}

std::uint8_t ConfigLayout::interrupt_pin() const {
  return *load_le<std::uint8_t>(image_, abi::pci_interrupt_pin);
}

std::uint8_t ConfigLayout::add_capability(std::uint8_t id, ConstBytes body) {
  const std::uint16_t offset = next_capability_;
  UMDEV_ASSERT(range_fits(offset, body.size() + 2, abi::pci_cfg_space_size), "no room for the capability");
  const std::vector<std::byte> none(body.size());
  set<std::uint8_t>(offset, id);
  set<std::uint8_t>(offset + abi::pci_cap_list_next, 0);
  set_bytes(offset + 2, body, none, none);
  set<std::uint8_t>(last_link_, static_cast<std::uint8_t>(offset));
  last_link_ = offset + abi::pci_cap_list_next;
  next_capability_ = static_cast<std::uint16_t>((offset + 2 + body.size() + 3) & ~std::size_t{3});
  const auto status = *load_le<std::uint16_t>(image_, abi::pci_status);
  set<std::uint16_t>(abi::pci_status, status | abi::pci_status_cap_list);
  return static_cast<std::uint8_t>(offset);
}

std::uint8_t ConfigLayout::add_power_management() {
  const std::array<std::byte, abi::pci_pm_sizeof - 2> body{};
  const std::uint8_t offset = add_capability(abi::pci_cap_id_pm, body);
  set<std::uint16_t>(offset + abi::pci_pm_pmc, 3);  // version 1.2, D0 and D3 only
  set<std::uint16_t>(offset + abi::pci_pm_ctrl, abi::pci_pm_ctrl_no_soft_reset, abi::pci_pm_ctrl_state_mask,
                     abi::pci_pm_ctrl_pme_status);
  watch(offset + abi::pci_pm_ctrl, 2);
  return offset;
}

std::uint8_t ConfigLayout::add_msi(const MsiCapability& msi) {
  UMDEV_ASSERT(std::has_single_bit(msi.vectors) && msi.vectors <= 32, "MSI has 1, 2, 4, 8, 16 or 32 vectors");
  const std::size_t address = msi.address_64bit ? 8 : 4;
  const std::vector<std::byte> body(2 + address + (msi.maskable ? 12 : 2));
  const std::uint8_t offset = add_capability(abi::pci_cap_id_msi, body);
  const auto capable = static_cast<std::uint16_t>(std::countr_zero(msi.vectors) << 1);
  set<std::uint16_t>(offset + abi::pci_msi_flags,
                     static_cast<std::uint16_t>(capable | (msi.address_64bit ? abi::pci_msi_flags_64bit : 0) |
                                                (msi.maskable ? abi::pci_msi_flags_maskbit : 0)),
                     abi::pci_msi_flags_enable | abi::pci_msi_flags_qsize);
  keep<std::uint16_t>(offset + abi::pci_msi_flags, abi::pci_msi_flags_enable | abi::pci_msi_flags_qsize);
  set<std::uint32_t>(offset + abi::pci_msi_address_lo, 0, ~3U);
  keep<std::uint32_t>(offset + abi::pci_msi_address_lo, ~0U);
  if (msi.address_64bit) {
    set<std::uint32_t>(offset + abi::pci_msi_address_hi, 0, ~0U);
    keep<std::uint32_t>(offset + abi::pci_msi_address_hi, ~0U);
  }
  const auto data =
      static_cast<std::uint16_t>(offset + (msi.address_64bit ? abi::pci_msi_data_64 : abi::pci_msi_data_32));
  set<std::uint16_t>(data, 0, 0xffff);
  keep<std::uint16_t>(data, 0xffff);
  if (msi.maskable) {
    const auto mask = static_cast<std::uint16_t>(
        offset + (msi.address_64bit ? abi::pci_msi_mask_64 : abi::pci_msi_mask_32));
    set<std::uint32_t>(mask, 0, static_cast<std::uint32_t>((1ULL << msi.vectors) - 1));
    keep<std::uint32_t>(mask, ~0U);
  }
  msi_vectors_ = msi.vectors;
  msi_control_ = offset + abi::pci_msi_flags;
  watch(msi_control_, 2);
  return offset;
}

std::uint8_t ConfigLayout::add_msix(const MsixCapability& msix) {
  UMDEV_ASSERT(msix.vectors >= 1 && msix.vectors <= 2048, "MSI-X has 1 to 2048 vectors");
  UMDEV_ASSERT(((msix.table_offset | msix.pba_offset) & abi::pci_msix_table_bir) == 0,
               "MSI-X structures are 8-byte aligned");
  const std::array<std::byte, abi::pci_cap_msix_sizeof - 2> body{};
  const std::uint8_t offset = add_capability(abi::pci_cap_id_msix, body);
  set<std::uint16_t>(offset + abi::pci_msix_flags, static_cast<std::uint16_t>(msix.vectors - 1),
                     abi::pci_msix_flags_enable | abi::pci_msix_flags_maskall);
  keep<std::uint16_t>(offset + abi::pci_msix_flags, abi::pci_msix_flags_enable);
  set<std::uint32_t>(offset + abi::pci_msix_table, msix.table_offset | msix.table_bar);
  set<std::uint32_t>(offset + abi::pci_msix_pba, msix.pba_offset | msix.pba_bar);
  msix_ = msix;
  msix_control_ = offset + abi::pci_msix_flags;
  watch(msix_control_, 2);
  return offset;
}

std::uint8_t ConfigLayout::add_express(const ExpressCapability& express) {
  UMDEV_ASSERT(size() == abi::pci_cfg_space_exp_size, "an express function has 4096 bytes");
  constexpr std::uint16_t link_2_5_gt_x1 = 0x11;
  constexpr std::uint16_t read_512_bytes = 0x2000;
  constexpr std::uint16_t report_errors = 0x000f;
  const std::array<std::byte, abi::pci_exp_sltsta2> body{};
  const std::uint8_t offset = add_capability(abi::pci_cap_id_exp, body);
  const std::uint16_t type = express.integrated ? abi::pci_exp_type_rc_end : abi::pci_exp_type_endpoint;
  set<std::uint16_t>(offset + abi::pci_exp_flags, static_cast<std::uint16_t>(2 | (type << 4)));
  set<std::uint32_t>(offset + abi::pci_exp_devcap,
                     abi::pci_exp_devcap_rber | (express.function_level_reset ? abi::pci_exp_devcap_flr : 0));
  set<std::uint16_t>(offset + abi::pci_exp_devctl,
                     read_512_bytes | abi::pci_exp_devctl_relax_en | abi::pci_exp_devctl_nosnoop_en,
                     report_errors | abi::pci_exp_devctl_relax_en | abi::pci_exp_devctl_payload |
                         abi::pci_exp_devctl_nosnoop_en | abi::pci_exp_devctl_readrq);
  keep<std::uint16_t>(offset + abi::pci_exp_devctl, 0xffff);
  set<std::uint16_t>(offset + abi::pci_exp_devsta, 0, 0, report_errors);
  if (!express.integrated) {
    set<std::uint32_t>(offset + abi::pci_exp_lnkcap, link_2_5_gt_x1);
    set<std::uint16_t>(offset + abi::pci_exp_lnksta, link_2_5_gt_x1);
  }
  if (express.function_level_reset) function_level_reset_ = offset + abi::pci_exp_devctl;
  return offset;
}

std::uint16_t ConfigLayout::add_extended_capability(std::uint16_t id, std::uint8_t version, ConstBytes body) {
  const std::uint16_t offset = next_extended_;
  UMDEV_ASSERT(range_fits(offset, body.size() + 4, size()), "no room for the extended capability");
  const std::vector<std::byte> none(body.size());
  const auto place = static_cast<std::uint32_t>(offset) << abi::pci_ext_cap_next_shift;
  if (last_extended_ != 0)
    set<std::uint32_t>(last_extended_, *load_le<std::uint32_t>(image_, last_extended_) | place);
  set<std::uint32_t>(offset, id | (static_cast<std::uint32_t>(version) << abi::pci_ext_cap_version_shift));
  set_bytes(offset + 4, body, none, none);
  last_extended_ = offset;
  next_extended_ = static_cast<std::uint16_t>((offset + 4 + body.size() + 3) & ~std::size_t{3});
  return offset;
}

void ConfigLayout::begin_extended_at(std::uint16_t offset) {
  UMDEV_ASSERT(offset % 4 == 0 && last_extended_ != 0, "the list begins at 0x100, at whole dwords");
  next_extended_ = std::max(next_extended_, offset);
}

std::uint16_t ConfigLayout::add_error_reporting() {
  constexpr std::uint32_t uncorrectable = 0x005ff030;  // the errors that there are
  constexpr std::uint32_t fatal = 0x00062030;          // of these, the ones that are fatal at power-on
  constexpr std::uint32_t correctable = 0x000031c1;
  const std::array<std::byte, 0x44> body{};
  const std::uint16_t offset = add_extended_capability(abi::pci_ext_cap_id_err, 2, body);
  set<std::uint32_t>(offset + abi::pci_err_uncor_status, 0, 0, uncorrectable);
  set<std::uint32_t>(offset + abi::pci_err_uncor_mask, 0, uncorrectable);
  set<std::uint32_t>(offset + abi::pci_err_uncor_sever, fatal, uncorrectable);
  set<std::uint32_t>(offset + abi::pci_err_cor_status, 0, 0, correctable);
  set<std::uint32_t>(offset + abi::pci_err_cor_mask, 0x2000, correctable);
  for (const std::uint16_t set_up :
       {abi::pci_err_uncor_mask, abi::pci_err_uncor_sever, abi::pci_err_cor_mask})
    keep<std::uint32_t>(offset + set_up, ~0U);
  return offset;
}

std::uint16_t ConfigLayout::add_sriov(const SriovCapability& sriov) {
  UMDEV_ASSERT(sriov.total != 0 && sriov.first_offset != 0 && (sriov.stride != 0 || sriov.total == 1),
               "virtual functions have addresses of their own");
  constexpr std::uint32_t pages_of_4k = 1;
  const std::array<std::byte, abi::pci_sriov_sizeof - 4> body{};
  const std::uint16_t offset = add_extended_capability(abi::pci_ext_cap_id_sriov, 1, body);
  set<std::uint16_t>(offset + abi::pci_sriov_initial_vf, sriov.total);
  set<std::uint16_t>(offset + abi::pci_sriov_total_vf, sriov.total);
  set<std::uint16_t>(offset + abi::pci_sriov_vf_offset, sriov.first_offset);
  set<std::uint16_t>(offset + abi::pci_sriov_vf_stride, sriov.stride);
  set<std::uint16_t>(offset + abi::pci_sriov_vf_did, sriov.device);
  set<std::uint32_t>(offset + abi::pci_sriov_sup_pgsize, pages_of_4k);
  set<std::uint32_t>(offset + abi::pci_sriov_sys_pgsize, pages_of_4k);
  for (std::uint16_t index = 0; index < abi::pci_sriov_num_bars; ++index)
    if (sriov.bars[index].kind != Bar::Kind::none)
      set<std::uint32_t>(static_cast<std::uint16_t>(offset + abi::pci_sriov_bar + 4 * index),
                         type_bits(sriov.bars[index]));
  sriov_ = sriov;
  sriov_offset_ = offset;
  return offset;
}

std::uint8_t ConfigLayout::add_vendor_capability(ConstBytes body) {
  std::vector<std::byte> with_length(1 + body.size());
  with_length[0] = static_cast<std::byte>(3 + body.size());
  std::ranges::copy(body, with_length.begin() + 1);
  return add_capability(abi::pci_cap_id_vndr, with_length);
}

void ConfigLayout::watch(std::uint16_t offset, std::uint8_t size) {
  UMDEV_ASSERT(size == 1 || size == 2 || size == 4, "a watched register has 1, 2 or 4 bytes");
  UMDEV_ASSERT(range_fits(offset, size, image_.size()), "outside configuration space");
  UMDEV_ASSERT(watch_count_ < watches_.size(), "too many watched registers");
  watches_[watch_count_++] = {offset, size};
}

}  // namespace umdev::pci
