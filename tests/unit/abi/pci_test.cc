// The names of umdev/abi/pci.h against the system's header.
#include "umdev/abi/pci.h"

#include <gtest/gtest.h>
#include <linux/pci_regs.h>

#include <cstdint>

namespace umdev::abi {
namespace {

struct Name {
  const char* text;
  std::uint64_t ours;
  std::uint64_t system;
};

const Name names[] = {
    {"pci_cfg_space_size", pci_cfg_space_size, PCI_CFG_SPACE_SIZE},
    {"pci_cfg_space_exp_size", pci_cfg_space_exp_size, PCI_CFG_SPACE_EXP_SIZE},
    {"pci_std_header_sizeof", pci_std_header_sizeof, PCI_STD_HEADER_SIZEOF},
    {"pci_std_num_bars", pci_std_num_bars, PCI_STD_NUM_BARS},
    {"pci_vendor_id", pci_vendor_id, PCI_VENDOR_ID},
    {"pci_device_id", pci_device_id, PCI_DEVICE_ID},
    {"pci_command", pci_command, PCI_COMMAND},
    {"pci_status", pci_status, PCI_STATUS},
    {"pci_revision_id", pci_revision_id, PCI_REVISION_ID},
    {"pci_class_prog", pci_class_prog, PCI_CLASS_PROG},
    {"pci_class_device", pci_class_device, PCI_CLASS_DEVICE},
    {"pci_cache_line_size", pci_cache_line_size, PCI_CACHE_LINE_SIZE},
    {"pci_latency_timer", pci_latency_timer, PCI_LATENCY_TIMER},
    {"pci_header_type", pci_header_type, PCI_HEADER_TYPE},
    {"pci_base_address_0", pci_base_address_0, PCI_BASE_ADDRESS_0},
    {"pci_base_address_5", pci_base_address_5, PCI_BASE_ADDRESS_5},
    {"pci_subsystem_vendor_id", pci_subsystem_vendor_id, PCI_SUBSYSTEM_VENDOR_ID},
    {"pci_subsystem_id", pci_subsystem_id, PCI_SUBSYSTEM_ID},
    {"pci_rom_address", pci_rom_address, PCI_ROM_ADDRESS},
    {"pci_capability_list", pci_capability_list, PCI_CAPABILITY_LIST},
    {"pci_interrupt_line", pci_interrupt_line, PCI_INTERRUPT_LINE},
    {"pci_interrupt_pin", pci_interrupt_pin, PCI_INTERRUPT_PIN},
    {"pci_command_io", pci_command_io, PCI_COMMAND_IO},
    {"pci_command_memory", pci_command_memory, PCI_COMMAND_MEMORY},
    {"pci_command_master", pci_command_master, PCI_COMMAND_MASTER},
    {"pci_command_parity", pci_command_parity, PCI_COMMAND_PARITY},
    {"pci_command_serr", pci_command_serr, PCI_COMMAND_SERR},
    {"pci_command_intx_disable", pci_command_intx_disable, PCI_COMMAND_INTX_DISABLE},
    {"pci_status_interrupt", pci_status_interrupt, PCI_STATUS_INTERRUPT},
    {"pci_status_cap_list", pci_status_cap_list, PCI_STATUS_CAP_LIST},
    {"pci_status_devsel_medium", pci_status_devsel_medium, PCI_STATUS_DEVSEL_MEDIUM},
    {"pci_base_address_space_io", pci_base_address_space_io, PCI_BASE_ADDRESS_SPACE_IO},
    {"pci_base_address_mem_type_32", pci_base_address_mem_type_32, PCI_BASE_ADDRESS_MEM_TYPE_32},
    {"pci_base_address_mem_type_64", pci_base_address_mem_type_64, PCI_BASE_ADDRESS_MEM_TYPE_64},
    {"pci_base_address_mem_prefetch", pci_base_address_mem_prefetch, PCI_BASE_ADDRESS_MEM_PREFETCH},
    {"pci_base_address_io_mask", pci_base_address_io_mask,
     static_cast<std::uint32_t>(PCI_BASE_ADDRESS_IO_MASK)},
    {"pci_base_address_mem_mask", pci_base_address_mem_mask,
     static_cast<std::uint32_t>(PCI_BASE_ADDRESS_MEM_MASK)},
    {"pci_rom_address_enable", pci_rom_address_enable, PCI_ROM_ADDRESS_ENABLE},
    {"pci_rom_address_mask", pci_rom_address_mask, static_cast<std::uint32_t>(PCI_ROM_ADDRESS_MASK)},
    {"pci_cap_list_id", pci_cap_list_id, PCI_CAP_LIST_ID},
    {"pci_cap_list_next", pci_cap_list_next, PCI_CAP_LIST_NEXT},
    {"pci_cap_id_pm", pci_cap_id_pm, PCI_CAP_ID_PM},
    {"pci_cap_id_msi", pci_cap_id_msi, PCI_CAP_ID_MSI},
    {"pci_cap_id_vndr", pci_cap_id_vndr, PCI_CAP_ID_VNDR},
    {"pci_cap_id_exp", pci_cap_id_exp, PCI_CAP_ID_EXP},
    {"pci_cap_id_msix", pci_cap_id_msix, PCI_CAP_ID_MSIX},
    {"pci_pm_pmc", pci_pm_pmc, PCI_PM_PMC},
    {"pci_pm_ctrl", pci_pm_ctrl, PCI_PM_CTRL},
    {"pci_pm_sizeof", pci_pm_sizeof, PCI_PM_SIZEOF},
    {"pci_pm_cap_ver_mask", pci_pm_cap_ver_mask, PCI_PM_CAP_VER_MASK},
    {"pci_pm_ctrl_state_mask", pci_pm_ctrl_state_mask, PCI_PM_CTRL_STATE_MASK},
    {"pci_pm_ctrl_no_soft_reset", pci_pm_ctrl_no_soft_reset, PCI_PM_CTRL_NO_SOFT_RESET},
    {"pci_pm_ctrl_pme_enable", pci_pm_ctrl_pme_enable, PCI_PM_CTRL_PME_ENABLE},
    {"pci_pm_ctrl_pme_status", pci_pm_ctrl_pme_status, PCI_PM_CTRL_PME_STATUS},
    {"pci_msi_flags", pci_msi_flags, PCI_MSI_FLAGS},
    {"pci_msi_address_lo", pci_msi_address_lo, PCI_MSI_ADDRESS_LO},
    {"pci_msi_address_hi", pci_msi_address_hi, PCI_MSI_ADDRESS_HI},
    {"pci_msi_data_32", pci_msi_data_32, PCI_MSI_DATA_32},
    {"pci_msi_mask_32", pci_msi_mask_32, PCI_MSI_MASK_32},
    {"pci_msi_data_64", pci_msi_data_64, PCI_MSI_DATA_64},
    {"pci_msi_mask_64", pci_msi_mask_64, PCI_MSI_MASK_64},
    {"pci_msi_pending_64", pci_msi_pending_64, PCI_MSI_PENDING_64},
    {"pci_msi_flags_enable", pci_msi_flags_enable, PCI_MSI_FLAGS_ENABLE},
    {"pci_msi_flags_qmask", pci_msi_flags_qmask, PCI_MSI_FLAGS_QMASK},
    {"pci_msi_flags_qsize", pci_msi_flags_qsize, PCI_MSI_FLAGS_QSIZE},
    {"pci_msi_flags_64bit", pci_msi_flags_64bit, PCI_MSI_FLAGS_64BIT},
    {"pci_msi_flags_maskbit", pci_msi_flags_maskbit, PCI_MSI_FLAGS_MASKBIT},
    {"pci_msix_flags", pci_msix_flags, PCI_MSIX_FLAGS},
    {"pci_msix_table", pci_msix_table, PCI_MSIX_TABLE},
    {"pci_msix_pba", pci_msix_pba, PCI_MSIX_PBA},
    {"pci_cap_msix_sizeof", pci_cap_msix_sizeof, PCI_CAP_MSIX_SIZEOF},
    {"pci_msix_flags_qsize", pci_msix_flags_qsize, PCI_MSIX_FLAGS_QSIZE},
    {"pci_msix_flags_maskall", pci_msix_flags_maskall, PCI_MSIX_FLAGS_MASKALL},
    {"pci_msix_flags_enable", pci_msix_flags_enable, PCI_MSIX_FLAGS_ENABLE},
    {"pci_msix_table_bir", pci_msix_table_bir, PCI_MSIX_TABLE_BIR},
    {"pci_msix_entry_size", pci_msix_entry_size, PCI_MSIX_ENTRY_SIZE},
};

TEST(PciNames, are_those_of_the_system_header) {
  for (const Name& name : names) EXPECT_EQ(name.ours, name.system) << name.text;
}

}  // namespace
}  // namespace umdev::abi
