// The kernel's way to answer with an errno where a pointer is expected (linux/err.h).
#pragma once

#include <cstdint>

namespace umdev::kernel {

// What IS_ERR() is true of. `code` is a positive errno.
template <typename T>
T* error_pointer(int code) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that it is a number is the point
  return reinterpret_cast<T*>(static_cast<std::intptr_t>(-code));
}

// The errno that a pointer is, or 0 (IS_ERR() and PTR_ERR()).
inline int error_of_pointer(const void* pointer) {
  constexpr std::intptr_t most = 4095;
  const auto value = reinterpret_cast<std::intptr_t>(pointer);
  return value < 0 && value >= -most ? static_cast<int>(-value) : 0;
}

}  // namespace umdev::kernel
