// Names of PCI configuration space: registers, bits, capabilities. Offsets are bytes from the start of
// configuration space, or from the start of the capability that the name begins with. Names only, no logic;
// tests/unit/abi checks them against linux/pci_regs.h.
#pragma once

#include <cstdint>

namespace umdev::abi {

// How large the configuration space of a conventional and of an express function is, and where the first
// may be used by capabilities.
inline constexpr std::uint16_t pci_cfg_space_size = 256;
inline constexpr std::uint16_t pci_cfg_space_exp_size = 4096;
inline constexpr std::uint16_t pci_std_header_sizeof = 64;
inline constexpr std::uint32_t pci_std_num_bars = 6;

// The header of type 0.
inline constexpr std::uint16_t pci_vendor_id = 0x00;
inline constexpr std::uint16_t pci_device_id = 0x02;
inline constexpr std::uint16_t pci_command = 0x04;
inline constexpr std::uint16_t pci_status = 0x06;
inline constexpr std::uint16_t pci_revision_id = 0x08;
inline constexpr std::uint16_t pci_class_prog = 0x09;
inline constexpr std::uint16_t pci_class_device = 0x0a;
inline constexpr std::uint16_t pci_cache_line_size = 0x0c;
inline constexpr std::uint16_t pci_latency_timer = 0x0d;
inline constexpr std::uint16_t pci_header_type = 0x0e;
inline constexpr std::uint16_t pci_base_address_0 = 0x10;
inline constexpr std::uint16_t pci_base_address_5 = 0x24;
inline constexpr std::uint16_t pci_subsystem_vendor_id = 0x2c;
inline constexpr std::uint16_t pci_subsystem_id = 0x2e;
inline constexpr std::uint16_t pci_rom_address = 0x30;
inline constexpr std::uint16_t pci_capability_list = 0x34;
inline constexpr std::uint16_t pci_interrupt_line = 0x3c;
inline constexpr std::uint16_t pci_interrupt_pin = 0x3d;

inline constexpr std::uint16_t pci_command_io = 0x1;
inline constexpr std::uint16_t pci_command_memory = 0x2;
inline constexpr std::uint16_t pci_command_master = 0x4;
inline constexpr std::uint16_t pci_command_parity = 0x40;
inline constexpr std::uint16_t pci_command_serr = 0x100;
inline constexpr std::uint16_t pci_command_intx_disable = 0x400;

inline constexpr std::uint16_t pci_status_interrupt = 0x08;
inline constexpr std::uint16_t pci_status_cap_list = 0x10;
inline constexpr std::uint16_t pci_status_devsel_medium = 0x200;

inline constexpr std::uint32_t pci_base_address_space_io = 0x01;
inline constexpr std::uint32_t pci_base_address_mem_type_32 = 0x00;
inline constexpr std::uint32_t pci_base_address_mem_type_64 = 0x04;
inline constexpr std::uint32_t pci_base_address_mem_prefetch = 0x08;
inline constexpr std::uint32_t pci_base_address_io_mask = ~0x03U;
inline constexpr std::uint32_t pci_base_address_mem_mask = ~0x0fU;
inline constexpr std::uint32_t pci_rom_address_enable = 0x01;
inline constexpr std::uint32_t pci_rom_address_mask = ~0x7ffU;

// Capabilities: id, then the offset of the next one.
inline constexpr std::uint8_t pci_cap_list_id = 0;
inline constexpr std::uint8_t pci_cap_list_next = 1;
enum PciCapabilityId : std::uint8_t {
  pci_cap_id_pm = 0x01,
  pci_cap_id_msi = 0x05,
  pci_cap_id_vndr = 0x09,
  pci_cap_id_exp = 0x10,
  pci_cap_id_msix = 0x11,
};

// Power management.
inline constexpr std::uint16_t pci_pm_pmc = 2;
inline constexpr std::uint16_t pci_pm_ctrl = 4;
inline constexpr std::uint16_t pci_pm_sizeof = 8;
inline constexpr std::uint16_t pci_pm_cap_ver_mask = 0x0007;
inline constexpr std::uint16_t pci_pm_ctrl_state_mask = 0x0003;
inline constexpr std::uint16_t pci_pm_ctrl_no_soft_reset = 0x0008;
inline constexpr std::uint16_t pci_pm_ctrl_pme_enable = 0x0100;
inline constexpr std::uint16_t pci_pm_ctrl_pme_status = 0x8000;

// MSI.
inline constexpr std::uint16_t pci_msi_flags = 0x02;
inline constexpr std::uint16_t pci_msi_address_lo = 0x04;
inline constexpr std::uint16_t pci_msi_address_hi = 0x08;
inline constexpr std::uint16_t pci_msi_data_32 = 0x08;
inline constexpr std::uint16_t pci_msi_mask_32 = 0x0c;
inline constexpr std::uint16_t pci_msi_data_64 = 0x0c;
inline constexpr std::uint16_t pci_msi_mask_64 = 0x10;
inline constexpr std::uint16_t pci_msi_pending_64 = 0x14;
inline constexpr std::uint16_t pci_msi_flags_enable = 0x0001;
inline constexpr std::uint16_t pci_msi_flags_qmask = 0x000e;
inline constexpr std::uint16_t pci_msi_flags_qsize = 0x0070;
inline constexpr std::uint16_t pci_msi_flags_64bit = 0x0080;
inline constexpr std::uint16_t pci_msi_flags_maskbit = 0x0100;

// MSI-X.
inline constexpr std::uint16_t pci_msix_flags = 2;
inline constexpr std::uint16_t pci_msix_table = 4;
inline constexpr std::uint16_t pci_msix_pba = 8;
inline constexpr std::uint16_t pci_cap_msix_sizeof = 12;
inline constexpr std::uint16_t pci_msix_flags_qsize = 0x07ff;
inline constexpr std::uint16_t pci_msix_flags_maskall = 0x4000;
inline constexpr std::uint16_t pci_msix_flags_enable = 0x8000;
inline constexpr std::uint32_t pci_msix_table_bir = 0x00000007;
inline constexpr std::uint16_t pci_msix_entry_size = 16;
inline constexpr std::uint16_t pci_msix_entry_lower_addr = 0;
inline constexpr std::uint16_t pci_msix_entry_upper_addr = 4;
inline constexpr std::uint16_t pci_msix_entry_data = 8;
inline constexpr std::uint16_t pci_msix_entry_vector_ctrl = 12;
inline constexpr std::uint32_t pci_msix_entry_ctrl_maskbit = 0x1;

// PCI Express.
inline constexpr std::uint16_t pci_exp_flags = 0x02;
inline constexpr std::uint16_t pci_exp_devcap = 0x04;
inline constexpr std::uint16_t pci_exp_devctl = 0x08;
inline constexpr std::uint16_t pci_exp_devsta = 0x0a;
inline constexpr std::uint16_t pci_exp_lnkcap = 0x0c;
inline constexpr std::uint16_t pci_exp_lnkctl = 0x10;
inline constexpr std::uint16_t pci_exp_lnksta = 0x12;
inline constexpr std::uint16_t pci_exp_devcap2 = 0x24;
inline constexpr std::uint16_t pci_exp_devctl2 = 0x28;
inline constexpr std::uint16_t pci_exp_sltsta2 = 0x3a;
inline constexpr std::uint16_t pci_exp_flags_type = 0x00f0;
inline constexpr std::uint16_t pci_exp_type_endpoint = 0x0;
inline constexpr std::uint16_t pci_exp_type_rc_end = 0x9;
inline constexpr std::uint32_t pci_exp_devcap_rber = 0x00008000;
inline constexpr std::uint32_t pci_exp_devcap_flr = 0x10000000;
inline constexpr std::uint16_t pci_exp_devctl_relax_en = 0x0010;
inline constexpr std::uint16_t pci_exp_devctl_payload = 0x00e0;
inline constexpr std::uint16_t pci_exp_devctl_nosnoop_en = 0x0800;
inline constexpr std::uint16_t pci_exp_devctl_readrq = 0x7000;
inline constexpr std::uint16_t pci_exp_devctl_bcr_flr = 0x8000;

// Extended capabilities: id, version and the offset of the next one in a dword, from 0x100 on.
inline constexpr std::uint16_t pci_ext_cap_first = 0x100;
inline constexpr std::uint32_t pci_ext_cap_version_shift = 16;
inline constexpr std::uint32_t pci_ext_cap_next_shift = 20;
enum PciExtendedCapabilityId : std::uint16_t {
  pci_ext_cap_id_err = 0x01,
  pci_ext_cap_id_sriov = 0x10,
};

// Advanced error reporting.
inline constexpr std::uint16_t pci_err_uncor_status = 0x04;
inline constexpr std::uint16_t pci_err_uncor_mask = 0x08;
inline constexpr std::uint16_t pci_err_uncor_sever = 0x0c;
inline constexpr std::uint16_t pci_err_cor_status = 0x10;
inline constexpr std::uint16_t pci_err_cor_mask = 0x14;
inline constexpr std::uint16_t pci_err_cap = 0x18;

// Single Root I/O Virtualization, of a physical function.
inline constexpr std::uint16_t pci_sriov_ctrl = 0x08;
inline constexpr std::uint16_t pci_sriov_initial_vf = 0x0c;
inline constexpr std::uint16_t pci_sriov_total_vf = 0x0e;
inline constexpr std::uint16_t pci_sriov_num_vf = 0x10;
inline constexpr std::uint16_t pci_sriov_vf_offset = 0x14;
inline constexpr std::uint16_t pci_sriov_vf_stride = 0x16;
inline constexpr std::uint16_t pci_sriov_vf_did = 0x1a;
inline constexpr std::uint16_t pci_sriov_sup_pgsize = 0x1c;
inline constexpr std::uint16_t pci_sriov_sys_pgsize = 0x20;
inline constexpr std::uint16_t pci_sriov_bar = 0x24;
inline constexpr std::uint16_t pci_sriov_num_bars = 6;
inline constexpr std::uint16_t pci_sriov_sizeof = 0x40;
inline constexpr std::uint16_t pci_sriov_ctrl_vfe = 0x01;
inline constexpr std::uint16_t pci_sriov_ctrl_mse = 0x08;

}  // namespace umdev::abi
