// The MSI-X table and the pending bits of one function, as they lie in its BARs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "umdev/pci/config_layout.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::pci {

// A part of an access to a BAR that lies wholly in one of the structures, or outside both.
struct MsixPiece {
  enum class Where : std::uint8_t { device, table, pending_bits };
  Where where = Where::device;
  std::uint64_t offset = 0;  // into the structure; into the BAR for the device's own
  std::uint64_t size = 0;
};

// The first part of an access of `size` bytes, which is not empty. Without the capability all of it is the
// device's.
MsixPiece first_piece(const MsixCapability& msix, std::uint32_t bar, std::uint64_t offset,
                      std::uint64_t size);

// Who sends what is decided by SET_IRQS, as for every VFIO device; what a user writes into the table is kept
// for it to read, and its mask bits are obeyed. A vector that nobody has masked is not masked, other than at
// the power-on of real hardware: VFIO's users set vectors up with no look at the table.
//
// A message that comes while its vector, or the whole function, is masked is remembered in the pending bits;
// take_sendable() gives it out once it may be sent. However many came, it is one.
//
// Accesses may be of any size and at any offset inside; nothing outside is touched. Not thread-safe.
class MsixTable {
 public:
  explicit MsixTable(std::uint32_t vectors) : entries_(vectors), pending_((vectors + 63) / 64) {}

  // The device wants to send: true when it may, else it is remembered. A vector that does not exist may not.
  bool may_send(std::uint32_t vector);
  // A message that was remembered and may be sent now; it is forgotten.
  std::optional<std::uint32_t> take_sendable();

  void set_function_mask(bool masked) { function_masked_ = masked; }
  // Whether SET_IRQS has enabled MSI-X: until then a vector reads as masked. Disabling forgets what is
  // pending.
  void set_enabled(bool enabled);

  void read_table(std::uint64_t offset, Bytes into) const;
  void write_table(std::uint64_t offset, ConstBytes from);
  void read_pending(std::uint64_t offset, Bytes into) const;

  // Back to power-on, but enabled as it was.
  void reset();

  bool enabled() const { return enabled_; }
  std::uint32_t vectors() const { return static_cast<std::uint32_t>(entries_.size()); }
  // What a user has set up and what waits, for who moves the function: the table as it was written, and the
  // pending bits, 64 to a word.
  std::vector<std::byte> save() const;
  // EINVAL, and nothing has changed, for bytes that are not of a table of this size.
  Result<> load(ConstBytes saved);

 private:
  struct Entry {
    std::uint32_t address_low = 0;
    std::uint32_t address_high = 0;
    std::uint32_t data = 0;
    std::uint32_t control = 0;
  };
  static_assert(sizeof(Entry) == abi::pci_msix_entry_size);

  bool masked(std::uint32_t vector) const {
    return function_masked_ || (entries_[vector].control & abi::pci_msix_entry_ctrl_maskbit) != 0;
  }
  ConstBytes table() const { return std::as_bytes(std::span(entries_)); }
  void forget_pending();

  std::vector<Entry> entries_;
  std::vector<std::uint64_t> pending_;
  bool function_masked_ = false;
  bool enabled_ = false;
};

}  // namespace umdev::pci
