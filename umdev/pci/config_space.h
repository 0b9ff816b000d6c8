// The configuration space of one function: bytes that follow their layout.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "umdev/pci/config_layout.h"
#include "umdev/support/assert.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::pci {

// A watched register whose value a write has changed.
struct ConfigChange {
  std::uint16_t offset = 0;
  std::uint32_t before = 0;
  std::uint32_t after = 0;
};

// All that one write has changed, in the order of the layout's watches. A value; allocates nothing.
class ConfigChanges {
 public:
  void add(const ConfigChange& change) { changes_[count_++] = change; }
  auto begin() const { return changes_.begin(); }
  auto end() const { return changes_.begin() + count_; }
  bool empty() const { return count_ == 0; }

 private:
  std::array<ConfigChange, ConfigLayout::watches_max> changes_;
  std::uint8_t count_ = 0;
};

// Reads and writes of any size at any offset, as the layout allows them; nothing outside is ever touched.
// An instance that nobody has written to needs no memory beyond this object. Not thread-safe.
class ConfigSpace {
 public:
  // `layout` must outlive this.
  explicit ConfigSpace(const ConfigLayout& layout) : layout_(&layout) {}

  // EINVAL when the range does not lie wholly inside configuration space.
  Result<> read(std::uint64_t offset, Bytes into) const;
  // A write by the user. EINVAL as for read; then nothing was written.
  Result<ConfigChanges> write(std::uint64_t offset, ConstBytes from);

  // The device's own side: the value of a register, and setting one whatever a user might do to it.
  template <std::unsigned_integral T>
  T value(std::uint16_t offset) const {
    const auto found = load_le<T>(values(), offset);
    UMDEV_ASSERT(found, "outside configuration space");
    return *found;
  }
  template <std::unsigned_integral T>
  void set_value(std::uint16_t offset, T value) {
    const bool stored = store_le<T>(own_values(), offset, value);
    UMDEV_ASSERT(stored, "outside configuration space");
  }

  // What the command register says at present.
  bool io_enabled() const { return command(abi::pci_command_io); }
  bool memory_enabled() const { return command(abi::pci_command_memory); }
  bool bus_master_enabled() const { return command(abi::pci_command_master); }
  bool intx_disabled() const { return command(abi::pci_command_intx_disable); }

  // Where the user has put a BAR: the address without its type bits; 0 for a BAR that is not implemented.
  std::uint64_t bar_address(std::uint32_t index) const;

  // Back to power-on.
  void reset() { own_ = std::vector<std::byte>(); }
  // The same, but for what the layout keeps.
  void reset_function();

 private:
  bool command(std::uint16_t bit) const { return (value<std::uint16_t>(abi::pci_command) & bit) != 0; }
  ConstBytes values() const { return own_.empty() ? layout_->image() : ConstBytes(own_); }
  Bytes own_values();
  std::uint32_t watched_value(const ConfigLayout::Watch& watch) const;

  const ConfigLayout* layout_;
  std::vector<std::byte> own_;  // empty while all is as at power-on
};

}  // namespace umdev::pci
