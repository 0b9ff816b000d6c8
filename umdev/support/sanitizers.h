// Which sanitizer this build has: g++ says it by macros, clang by features.
#pragma once

#if defined(__has_feature)
#define UMDEV_HAS_FEATURE(feature) __has_feature(feature)
#else
#define UMDEV_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || UMDEV_HAS_FEATURE(address_sanitizer)
#define UMDEV_ADDRESS_SANITIZER
#endif
#if defined(__SANITIZE_THREAD__) || UMDEV_HAS_FEATURE(thread_sanitizer)
#define UMDEV_THREAD_SANITIZER
#endif
// It has an operator new and a malloc of its own, so that nothing can be counted.
#if defined(UMDEV_ADDRESS_SANITIZER) || defined(UMDEV_THREAD_SANITIZER)
#define UMDEV_OWN_HEAP
#endif

namespace umdev {

#if defined(UMDEV_THREAD_SANITIZER)
inline constexpr bool has_thread_sanitizer = true;
#else
inline constexpr bool has_thread_sanitizer = false;
#endif
#if defined(UMDEV_OWN_HEAP)
inline constexpr bool has_own_heap = true;
#else
inline constexpr bool has_own_heap = false;
#endif

}  // namespace umdev
