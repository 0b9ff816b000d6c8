// Memory of modules, and of whoever asks them.
#include <cstdlib>
#include <cstring>

#include "umdev/iommu/container_commands.h"
#include "umdev/kernel/call.h"
#include "umdev/kernel/services.h"

namespace umdev::kernel {
namespace {

// kmalloc(0) gives a pointer that is none; so may malloc's be.
bool is_user_memory(const void* at, unsigned long size, bool for_writing) {
  const Call* const call = current_call();
  if (call == nullptr) return false;
  const auto begin = reinterpret_cast<std::uintptr_t>(at);
  for (std::size_t i = 0; i < call->user_range_count; ++i) {
    const Call::UserRange& range = call->user_ranges[i];
    const auto start = reinterpret_cast<std::uintptr_t>(range.data);
    if (begin >= start && size <= range.size && begin - start <= range.size - size)
      return range.writable || !for_writing;
  }
  return false;
}

iommu::CallerMemory* memory_of_caller() {
  const Call* const call = current_call();
  return call == nullptr ? nullptr : call->caller;
}

}  // namespace

void* allocate(std::size_t size, bool zero) {
  return zero ? std::calloc(1, size) : std::malloc(size);
}

void* reallocate(const void* memory, std::size_t size) {
  return std::realloc(const_cast<void*>(memory), size);
}

void release(const void* memory) {
  std::free(const_cast<void*>(memory));
}

unsigned long copy_to_user(void* to, const void* from, unsigned long size) {
  if (is_user_memory(to, size, /*for_writing=*/true)) {
    std::memcpy(to, from, size);
    return 0;
  }
  iommu::CallerMemory* const caller = memory_of_caller();
  const ConstBytes bytes{static_cast<const std::byte*>(from), size};
  return caller != nullptr && caller->write(reinterpret_cast<std::uintptr_t>(to), bytes) ? 0 : size;
}

unsigned long copy_from_user(void* to, const void* from, unsigned long size) {
  if (is_user_memory(from, size, /*for_writing=*/false)) {
    std::memcpy(to, from, size);
    return 0;
  }
  iommu::CallerMemory* const caller = memory_of_caller();
  const Bytes bytes{static_cast<std::byte*>(to), size};
  return caller != nullptr && caller->read(reinterpret_cast<std::uintptr_t>(from), bytes) ? 0 : size;
}

}  // namespace umdev::kernel
