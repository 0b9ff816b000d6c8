// The capability chain behind an info structure (vfio_info_cap_add and vfio_info_cap_shift of the kernel).
#pragma once

#include <cstdint>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::vfio {

// Capabilities one behind the other, each 8-byte aligned and zero padded; `next` fields count from the start
// of the chain until shift() makes them count from the start of the structure that the chain follows. A
// value.
class CapabilityChain {
 public:
  // Most that a chain may grow to, in bytes.
  static constexpr std::size_t size_max = 1 << 20;

  // Appends a capability of `payload` behind its header. ENOMEM past size_max: the chain is then empty, as in
  // the kernel.
  Result<> add(std::uint16_t id, std::uint16_t version, ConstBytes payload);

  bool empty() const { return bytes_.empty(); }
  std::size_t size() const { return bytes_.size(); }
  ConstBytes bytes() const { return bytes_; }

  // The bytes as they stand behind a structure of `struct_size` bytes: every `next` but the last one's 0 is
  // moved by it.
  std::vector<std::byte> shifted(std::uint32_t struct_size) const;

 private:
  std::vector<std::byte> bytes_;
  std::size_t last_ = 0;  // offset of the last capability's header
};

}  // namespace umdev::vfio
