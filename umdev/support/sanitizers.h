// Which sanitizer this build has: g++ says it by macros, clang by features.
#pragma once

#if defined(__has_feature)
#define UMDEV_HAS_FEATURE(feature) __has_feature(feature)
#else
#define UMDEV_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || UMDEV_HAS_FEATURE(address_sanitizer)
#define UMDEV_ADDRESS_SANITIZER 1
#else
#define UMDEV_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__) || UMDEV_HAS_FEATURE(thread_sanitizer)
#define UMDEV_THREAD_SANITIZER 1
#else
#define UMDEV_THREAD_SANITIZER 0
#endif

namespace umdev {

inline constexpr bool has_address_sanitizer = UMDEV_ADDRESS_SANITIZER != 0;
inline constexpr bool has_thread_sanitizer = UMDEV_THREAD_SANITIZER != 0;
// It has an operator new and a malloc of its own, so that nothing can be counted.
inline constexpr bool has_own_heap = has_address_sanitizer || has_thread_sanitizer;

}  // namespace umdev
