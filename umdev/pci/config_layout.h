// What configuration space looks like at power-on, and what a write may change: the part that all instances
// of one model share.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "umdev/abi/pci.h"
#include "umdev/abi/vfio.h"
#include "umdev/support/bytes.h"

namespace umdev::pci {

// Who the function is. `class_code` is class, subclass and programming interface: 0xCCSSPP.
struct Identity {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem = 0;
  std::uint32_t class_code = 0;
  std::uint8_t revision = 0;
};

// A base address register. `size` is in bytes, a power of two, at least 4 for ports and 16 for memory; 0 is a
// BAR that is not implemented. A memory64 BAR takes the next index as well. `region_flags` are what the
// region of the BAR answers to GET_REGION_INFO.
struct Bar {
  enum class Kind : std::uint8_t { none, io, memory32, memory64 };
  Kind kind = Kind::none;
  std::uint64_t size = 0;
  bool prefetchable = false;
  // With VFIO_REGION_INFO_FLAG_MMAP, programs whose door can do it may map the registers: their loads and
  // stores arrive as reads and writes. (Other doors do not offer it.)
  std::uint32_t region_flags = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write;
};

struct MsiCapability {
  std::uint32_t vectors = 1;  // a power of two, at most 32
  bool address_64bit = true;
  bool maskable = false;
};

// Offsets are in bytes into the BAR, multiples of 8.
struct MsixCapability {
  std::uint32_t vectors = 1;  // at most 2048
  std::uint8_t table_bar = 0;
  std::uint32_t table_offset = 0;
  std::uint8_t pba_bar = 0;
  std::uint32_t pba_offset = 0;
};

// `function_level_reset`: a write of devctl's FLR bit resets the function.
struct ExpressCapability {
  bool integrated = false;  // an endpoint of the root complex: it has no link
  bool function_level_reset = true;
};

// Of a physical function: its virtual functions, `total` at most. The first is `first_offset` functions
// behind it, the next `stride` behind that one, across the ends of devices and buses. `bars` are those of
// each of them.
struct SriovCapability {
  std::uint16_t total = 0;
  std::uint16_t first_offset = 1;
  std::uint16_t stride = 1;
  std::uint16_t device = 0;  // their device id; the vendor is the physical function's
  std::array<Bar, abi::pci_std_num_bars> bars = {};
};

// A table of bytes, each with the bits that a write may set (`writable`) and the bits that writing 1 clears
// (`write_1_clears`); everything else is read-only. Built once by a driver, then only read: safe from any
// thread. What it is asked to hold is the driver's choice, never a client's, so a mistake is an assertion.
class ConfigLayout {
 public:
  // How many registers may be watched.
  static constexpr std::size_t watches_max = 16;

  struct Watch {
    std::uint16_t offset = 0;
    std::uint8_t size = 0;
  };

  // All zero and read-only, with no capability. `size` is 256 or 4096.
  explicit ConfigLayout(std::uint16_t size = abi::pci_cfg_space_size);

  // The raw table: the value of a register at power-on and which of its bits a write changes. Later calls
  // replace what earlier ones said of the same bytes.
  template <std::unsigned_integral T>
  void set(std::uint16_t offset, T value, T writable = 0, T write_1_clears = 0) {
    set_bytes(offset, bytes_of(value), bytes_of(writable), bytes_of(write_1_clears));
  }
  // Read-only bytes.
  void set_text(std::uint16_t offset, std::string_view text);

  // Bits that a reset of the function leaves alone: what a kernel saves before the reset and restores after
  // it. All that can be written in the header are, and what the functions below add that a kernel restores.
  template <std::unsigned_integral T>
  void keep(std::uint16_t offset, T bits) {
    keep_bytes(offset, bytes_of(bits));
  }

  void identify(const Identity& identity);
  // Also lets the command register enable the BAR's kind of decoding (off at power-on).
  void add_bar(std::uint32_t index, const Bar& bar);
  // An option ROM of a power of two of at least 2048 bytes.
  void add_rom(std::uint32_t size);
  // 1 to 4 for INTA to INTD. The line register is writable, and the command register can disable INTx.
  void add_interrupt_pin(std::uint8_t pin);

  // Each appends to the list and returns the offset of the capability. Its control register is watched.
  std::uint8_t add_power_management();
  std::uint8_t add_msi(const MsiCapability& msi);
  // The framework keeps the table and the pending bits, in front of whatever the driver has behind the BAR.
  std::uint8_t add_msix(const MsixCapability& msix);
  // Version 2, for a configuration space of 4096 bytes.
  std::uint8_t add_express(const ExpressCapability& express);
  // `body` stands behind id, next and length, read-only.
  std::uint8_t add_vendor_capability(ConstBytes body);
  // Any other capability: `body` stands behind id and next, read-only until set() says otherwise.
  std::uint8_t add_capability(std::uint8_t id, ConstBytes body);

  // The same in extended space, which begins at 0x100: `body` stands behind the dword of id and next. Needs a
  // configuration space of 4096 bytes.
  std::uint16_t add_extended_capability(std::uint16_t id, std::uint8_t version, ConstBytes body);
  // The next one stands there, or further behind: before it are registers of the function's own.
  void begin_extended_at(std::uint16_t offset);
  // Advanced error reporting, of a function that never has an error to report.
  std::uint16_t add_error_reporting();
  // All of it is read-only, as vfio-pci shows it: the one who has the machine enables virtual functions.
  std::uint16_t add_sriov(const SriovCapability& sriov);

  // Asks for a ConfigChange whenever a write changes this register of 1, 2 or 4 bytes.
  void watch(std::uint16_t offset, std::uint8_t size);

  std::uint16_t size() const { return static_cast<std::uint16_t>(image_.size()); }
  ConstBytes image() const { return image_; }
  ConstBytes writable() const { return writable_; }
  ConstBytes write_1_clears() const { return write_1_clears_; }
  ConstBytes kept() const { return kept_; }
  std::span<const Watch> watches() const { return std::span(watches_).first(watch_count_); }
  const std::array<Bar, abi::pci_std_num_bars>& bars() const { return bars_; }
  std::uint32_t rom_size() const { return rom_size_; }
  std::uint8_t interrupt_pin() const;
  std::uint32_t msi_vectors() const { return msi_vectors_; }
  std::uint32_t msix_vectors() const { return msix_.vectors; }
  // Zero vectors: there is no such capability.
  const MsixCapability& msix() const { return msix_; }
  // Where the message control of MSI or MSI-X is; 0 without the capability.
  std::uint16_t msi_control() const { return msi_control_; }
  std::uint16_t msix_control() const { return msix_control_; }
  // A total of 0: the function has no virtual functions.
  const SriovCapability& sriov() const { return sriov_; }
  // Where that capability is; 0 without it.
  std::uint16_t sriov_offset() const { return sriov_offset_; }
  // Where devctl is, of a function that has function level reset; else 0.
  std::uint16_t function_level_reset() const { return function_level_reset_; }

 private:
  void set_bytes(std::uint16_t offset, ConstBytes value, ConstBytes writable, ConstBytes write_1_clears);
  void keep_bytes(std::uint16_t offset, ConstBytes bits);
  void allow_command(std::uint16_t bits);

  std::vector<std::byte> image_;
  std::vector<std::byte> writable_;
  std::vector<std::byte> write_1_clears_;
  std::vector<std::byte> kept_;
  std::array<Watch, watches_max> watches_;
  std::size_t watch_count_ = 0;
  std::array<Bar, abi::pci_std_num_bars> bars_;
  std::uint32_t rom_size_ = 0;
  std::uint32_t msi_vectors_ = 0;
  MsixCapability msix_{.vectors = 0};
  std::uint16_t msi_control_ = 0;
  std::uint16_t msix_control_ = 0;
  SriovCapability sriov_;
  std::uint16_t sriov_offset_ = 0;
  std::uint16_t function_level_reset_ = 0;
  std::uint16_t next_capability_ = abi::pci_std_header_sizeof;
  std::uint16_t last_link_ = abi::pci_capability_list;
  std::uint16_t next_extended_ = abi::pci_ext_cap_first;
  std::uint16_t last_extended_ = 0;
};

}  // namespace umdev::pci
