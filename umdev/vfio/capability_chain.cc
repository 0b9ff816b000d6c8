#include "umdev/vfio/capability_chain.h"

#include <algorithm>
#include <cstddef>

#include "umdev/abi/vfio.h"
#include "umdev/support/assert.h"

namespace umdev::vfio {
namespace {

constexpr std::size_t header_size = sizeof(abi::VfioInfoCapHeader);
constexpr std::size_t next_offset = offsetof(abi::VfioInfoCapHeader, next);

// linux/vfio.h promises no alignment, but the kernel rounds each capability up so that its 64-bit fields are
// aligned when the structure before it is.
constexpr std::size_t round_up_to_8(std::size_t size) {
  return (size + 7) & ~std::size_t{7};
}

void store_next(std::vector<std::byte>& bytes, std::size_t header, std::uint32_t next) {
  const bool stored = store_le(Bytes(bytes), header + next_offset, next);
  UMDEV_ASSERT(stored, "a capability's header lies inside its chain");
}

}  // namespace

Result<> CapabilityChain::add(std::uint16_t id, std::uint16_t version, ConstBytes payload) {
  const std::size_t offset = bytes_.size();
  if (payload.size() > size_max - header_size ||
      round_up_to_8(header_size + payload.size()) > size_max - offset) {
    bytes_.clear();
    last_ = 0;
    return fail(ENOMEM, "the capability chain is too long");
  }
  bytes_.resize(offset + round_up_to_8(header_size + payload.size()));
  const abi::VfioInfoCapHeader header{.id = id, .version = version, .next = 0};
  std::ranges::copy(bytes_of(header), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  std::ranges::copy(payload, bytes_.begin() + static_cast<std::ptrdiff_t>(offset + header_size));
  if (offset != 0) store_next(bytes_, last_, static_cast<std::uint32_t>(offset));
  last_ = offset;
  return {};
}

std::vector<std::byte> CapabilityChain::shifted(std::uint32_t struct_size) const {
  std::vector<std::byte> result = bytes_;
  for (std::size_t header = 0; header != last_;) {
    const std::uint32_t next = load_le<std::uint32_t>(bytes_, header + next_offset).value_or(0);
    store_next(result, header, next + struct_size);
    header = next;
  }
  return result;
}

}  // namespace umdev::vfio
