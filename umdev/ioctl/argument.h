// The argument of an ioctl, as the kernel reads and writes it: the argsz discipline, in one place.
//
// A structure of VFIO begins with argsz, the size of what the caller has. `minsz` is the part that the kernel
// insists on: less is EINVAL, memory that is not there EFAULT, more is accepted and ignored. Flags are the
// command's own matter.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "umdev/ioctl/caller.h"
#include "umdev/vfio/capability_chain.h"

namespace umdev::ioctl {

// Some value of the caller's. EFAULT.
template <typename T>
  requires std::is_trivially_copyable_v<T>
Result<T> read_value(Caller& caller, UserAddress address) {
  T value;
  UMDEV_TRY(caller.read(address, std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

// The first `minsz` bytes of a structure, the rest of it zero.
template <typename T>
  requires std::is_trivially_copyable_v<T>
Result<T> read_argsz(Caller& caller, UserAddress address, std::size_t minsz = sizeof(T)) {
  T value{};
  UMDEV_TRY(caller.read(address, std::as_writable_bytes(std::span(&value, 1)).first(minsz)));
  if (value.argsz < minsz) return fail(EINVAL, "argsz is shorter than the structure");
  return value;
}

// What was said of a structure is written back: `size` bytes of it. EFAULT.
template <typename T>
  requires std::is_trivially_copyable_v<T>
Result<> write_value(Caller& caller, UserAddress address, const T& value, std::size_t size = sizeof(T)) {
  return caller.write(address, bytes_of(value).first(std::min(size, sizeof value)));
}

// An info structure with capabilities behind it. Where the caller has room for both, the chain goes behind
// the structure and `cap_offset` says so; otherwise `argsz` becomes what is needed, and `cap_offset` stays 0.
// Both succeed. `caps_flag` says that there are capabilities, in either case. Of the structure itself no more
// is written than the caller has.
template <typename T>
Result<> write_info(Caller& caller, UserAddress address, T info, const vfio::CapabilityChain& capabilities,
                    std::uint32_t caps_flag) {
  const std::size_t known = std::min<std::size_t>(info.argsz, sizeof info);
  info.cap_offset = 0;
  if (!capabilities.empty()) {
    info.flags |= caps_flag;
    const std::size_t needed = sizeof info + capabilities.size();
    if (info.argsz < needed) {
      info.argsz = static_cast<std::uint32_t>(needed);
    } else {
      UMDEV_TRY(caller.write(address + sizeof info, capabilities.shifted(sizeof info)));
      info.cap_offset = sizeof info;
    }
  }
  return write_value(caller, address, info, known);
}

}  // namespace umdev::ioctl
