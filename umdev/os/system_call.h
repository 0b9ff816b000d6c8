// System calls on the paths that every message and every interrupt takes.
#pragma once

#include <cerrno>
#include <type_traits>

#include "umdev/support/sanitizers.h"

#if defined(__x86_64__) && !defined(UMDEV_OWN_HEAP) && !defined(UMDEV_LIBRARY_SYSTEM_CALLS)
#define UMDEV_DIRECT_SYSTEM_CALLS
#endif

namespace umdev::os {

template <typename T>
long as_register(T value) {
  if constexpr (std::is_pointer_v<T>)
    return reinterpret_cast<long>(value);
  else if constexpr (std::is_null_pointer_v<T>)
    return 0;
  else
    return static_cast<long>(value);
}

// The call's result, or the negative errno. `function` is the C library's, which takes the same arguments.
//
// Here the call is part of its caller, for two reasons. A processor that is made to forget its return
// addresses in the kernel, for safety's sake, pays some 30 to 70 ns for each of the first two returns after
// it. And a call that may wait is a point of cancellation in the C library, which a program with threads pays
// for twice. The sanitizers have to see the library's,
// and so do tests that count (UMDEV_LIBRARY_SYSTEM_CALLS).
template <auto function, long number, typename... Arguments>
[[gnu::always_inline]] inline long system_call(Arguments... arguments) {
  static_assert(sizeof...(Arguments) <= 5);
#if defined(UMDEV_DIRECT_SYSTEM_CALLS)
  const long values[5] = {as_register(arguments)...};
  long result = number;
  register long fourth asm("r10") = values[3];
  register long fifth asm("r8") = values[4];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(values[0]), "S"(values[1]), "d"(values[2]), "r"(fourth), "r"(fifth)
               : "rcx", "r11", "memory");
  return result;
#else
  const long result = function(arguments...);
  return result == -1 ? -errno : result;
#endif
}

// Repeats such a call while a signal interrupts it.
template <typename Call>
[[gnu::always_inline]] inline long repeat_interrupted(Call call) {
  for (;;) {
    const long result = call();
    if (result != -EINTR) [[likely]]
      return result;
  }
}

}  // namespace umdev::os
