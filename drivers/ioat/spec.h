// Names of the I/OAT DMA engine's data sheet (QuickData Technology, version 3.3). Nothing else.
#pragma once

#include <cstdint>

namespace umdev::ioat::spec {

// The function: as in a Skylake server. Two structures of MSI-X, each on a page of its own.
inline constexpr std::uint16_t vendor_id = 0x8086;
inline constexpr std::uint16_t device_id = 0x2021;
inline constexpr std::uint32_t class_code = 0x088000;  // system peripheral, other
inline constexpr std::uint8_t revision = 0x04;
inline constexpr std::uint8_t interrupt_pin = 1;  // INTA
inline constexpr std::uint32_t registers_bar = 0;
inline constexpr std::uint64_t registers_size = 0x4000;
inline constexpr std::uint32_t msix_vectors = 4;
inline constexpr std::uint32_t msix_table = 0x2000;
inline constexpr std::uint32_t msix_pending_bits = 0x3000;

// Of configuration space. Each clears by writing ones.
inline constexpr std::uint16_t dmauncerrsts = 0x148;
inline constexpr std::uint16_t chanerr_int = 0x180;
inline constexpr std::uint16_t chanerrmsk_int = 0x184;

inline constexpr std::uint16_t own_registers_end = 0x188;

// Not of the data sheet, which knows no virtual functions: how many a physical function has, and where the
// first one is, half a bus behind it.
inline constexpr std::uint16_t virtual_functions = 7;
inline constexpr std::uint16_t virtual_function_offset = 0x80;

inline constexpr unsigned channels_max = 4;

// The registers of the engine as a whole.
inline constexpr std::uint16_t chancnt = 0x00;     // u8: number of channels
inline constexpr std::uint16_t xfercap = 0x01;     // u8: log2 of the largest transfer
inline constexpr std::uint16_t genctrl = 0x02;     // u8
inline constexpr std::uint16_t intrctrl = 0x03;    // u8
inline constexpr std::uint16_t attnstatus = 0x04;  // u32: a bit a channel
inline constexpr std::uint16_t cbver = 0x08;       // u8
inline constexpr std::uint16_t intrdelay = 0x0c;   // u16: microseconds
inline constexpr std::uint16_t cs_status = 0x0e;   // u16
inline constexpr std::uint16_t dmacap = 0x10;      // u32

inline constexpr std::uint8_t xfercap_value = 20;
inline constexpr std::uint32_t transfer_max = 1U << xfercap_value;
inline constexpr std::uint8_t genctrl_debug_en = 0x01;
inline constexpr std::uint8_t intrctrl_master_int_en = 0x01;
inline constexpr std::uint8_t intrctrl_int_status = 0x02;
inline constexpr std::uint8_t intrctrl_int = 0x04;
inline constexpr std::uint8_t intrctrl_msix_vector_control = 0x08;
inline constexpr std::uint8_t cbver_value = 0x33;
inline constexpr std::uint16_t intrdelay_mask = 0x3fff;
inline constexpr std::uint32_t dmacap_fill_block = 0x00000040;

// Channel n has its registers at (n + 1) * channel_size.
inline constexpr std::uint16_t channel_size = 0x80;
inline constexpr std::uint16_t chanctrl = 0x00;      // u16
inline constexpr std::uint16_t dma_comp = 0x02;      // u16
inline constexpr std::uint16_t chancmd = 0x04;       // u8
inline constexpr std::uint16_t dmacount = 0x06;      // u16
inline constexpr std::uint16_t chansts = 0x08;       // u64
inline constexpr std::uint16_t chainaddr = 0x10;     // u64
inline constexpr std::uint16_t chancmp = 0x18;       // u64
inline constexpr std::uint16_t cdar = 0x20;          // u64
inline constexpr std::uint16_t chanerr = 0x28;       // u32
inline constexpr std::uint16_t chanerr_mask = 0x2c;  // u32
inline constexpr std::uint16_t dcactrl = 0x30;       // u32

inline constexpr std::uint16_t chanctrl_int_rearm = 0x0001;  // reads as "told, and not armed again"
inline constexpr std::uint16_t chanctrl_err_completion_en = 0x0004;
inline constexpr std::uint16_t chanctrl_any_err_abort_en = 0x0008;
inline constexpr std::uint16_t chanctrl_err_int_en = 0x0010;
inline constexpr std::uint16_t chanctrl_writable = 0xf33c;

inline constexpr std::uint16_t dma_comp_v2 = 0x0002;

inline constexpr std::uint8_t chancmd_abort = 0x08;
inline constexpr std::uint8_t chancmd_suspend = 0x04;
inline constexpr std::uint8_t chancmd_resume = 0x10;
inline constexpr std::uint8_t chancmd_reset = 0x20;

// The state of a channel, in the low bits of CHANSTS; above them the address of the last descriptor done.
enum class State : std::uint8_t { active = 0, done = 1, suspended = 2, halted = 3, armed = 4 };
inline constexpr std::uint64_t chansts_address = ~std::uint64_t{0x3f};
inline constexpr std::uint64_t chancmp_mask = ~std::uint64_t{0x7};

inline constexpr std::uint32_t chanerr_src_addr = 0x0001;
inline constexpr std::uint32_t chanerr_dest_addr = 0x0002;
inline constexpr std::uint32_t chanerr_next_desc_align = 0x0008;
inline constexpr std::uint32_t chanerr_chain_addr_value = 0x0010;
inline constexpr std::uint32_t chanerr_read_data = 0x0100;  // a descriptor's as well
inline constexpr std::uint32_t chanerr_write_data = 0x0200;
inline constexpr std::uint32_t chanerr_control = 0x0400;
inline constexpr std::uint32_t chanerr_length = 0x0800;
inline constexpr std::uint32_t chanerr_completion_addr = 0x1000;

// A descriptor: 64 bytes, aligned to as many. What follows `next` is the client's.
inline constexpr std::uint32_t descriptor_size = 64;
inline constexpr std::uint32_t descriptor_size_field = 0x00;   // u32
inline constexpr std::uint32_t descriptor_control = 0x04;      // u32
inline constexpr std::uint32_t descriptor_source = 0x08;       // u64; the pattern of a fill
inline constexpr std::uint32_t descriptor_destination = 0x10;  // u64
inline constexpr std::uint32_t descriptor_next = 0x18;         // u64

inline constexpr std::uint32_t control_int = 0x00000001;
inline constexpr std::uint32_t control_completion = 0x00000008;
inline constexpr std::uint32_t control_null = 0x00000020;
inline constexpr std::uint32_t control_reserved = 0x00fff800;
inline constexpr std::uint32_t control_operation_shift = 24;
inline constexpr std::uint8_t operation_copy = 0x00;
inline constexpr std::uint8_t operation_fill = 0x01;

}  // namespace umdev::ioat::spec
