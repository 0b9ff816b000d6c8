// The argument of iommufd's commands, and of VFIO's newer ones: a structure that begins with its own size.
// Less than `minsz` is EINVAL; what is longer than what we know must be zero there (E2BIG).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "umdev/ioctl/argument.h"

namespace umdev::ioctl {

template <typename T>
struct Sized {
  T value{};
  std::uint32_t size = 0;  // what the caller has
};

template <typename T>
Result<Sized<T>> read_sized(Caller& caller, UserAddress address, std::size_t minsz = sizeof(T)) {
  constexpr std::uint32_t tail_max = 1 << 20;
  Sized<T> sized{.value = {}, .size = UMDEV_TRY(read_value<std::uint32_t>(caller, address))};
  if (sized.size < minsz) return fail(EINVAL, "the structure is shorter than it must be");
  const std::size_t known = std::min<std::size_t>(sized.size, sizeof(T));
  UMDEV_TRY(caller.read(address, std::as_writable_bytes(std::span(&sized.value, 1)).first(known)));
  if (sized.size > sizeof(T) + tail_max) return fail(E2BIG, "the structure is longer than anybody's");
  for (std::size_t at = sizeof(T); at < sized.size;) {
    std::array<std::byte, 256> piece{};
    const Bytes tail = Bytes(piece).first(std::min(piece.size(), sized.size - at));
    UMDEV_TRY(caller.read(address + at, tail));
    if (std::ranges::any_of(tail, [](std::byte byte) { return byte != std::byte{0}; }))
      return fail(E2BIG, "the structure says what is not known here");
    at += tail.size();
  }
  return sized;
}

// As much of it as the caller has.
template <typename T>
Result<> write_sized(Caller& caller, UserAddress address, const Sized<T>& sized) {
  return write_value(caller, address, sized.value, sized.size);
}

}  // namespace umdev::ioctl
