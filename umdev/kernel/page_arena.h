// Pages of memory that a driver allocates one by one and gives to its client through fault handlers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/os/mapping.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/error.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {
class PageArena;
}

// A page by its number in its arena. What kmap() gives stays as long as the page has references.
// NOLINTNEXTLINE(readability-identifier-naming): the kernel's
struct page {
  umdev::kernel::PageArena* arena = nullptr;
  std::uint32_t index = 0;
  std::byte* address = nullptr;
  int references = 0;  // of the arena's mutex
};

namespace umdev::kernel {

// One file, of which a page is a piece. A client that maps a page is given the file, and could map the rest
// of it: so each instance has an arena of its own. Any thread. Pages must have gone before it.
class PageArena {
 public:
  static constexpr std::size_t page_bytes = 4096;
  // 1 GiB an instance. Memory is taken when a page is touched.
  static constexpr std::uint32_t pages_max = 1U << 18U;

  PageArena() = default;
  PageArena(const PageArena&) = delete;
  PageArena& operator=(const PageArena&) = delete;

  // `count` pages that lie one behind the other, zeroed, each with one reference. ENOMEM.
  Result<::page*> allocate(std::uint32_t count) UMDEV_EXCLUDES(mutex_);
  void get(::page& page) UMDEV_EXCLUDES(mutex_);
  // The last one frees the page; what a client has mapped of it reads zero then.
  void put(::page& page) UMDEV_EXCLUDES(mutex_);
  ::page* at(std::uint32_t index) UMDEV_EXCLUDES(mutex_);

  int fd() const UMDEV_EXCLUDES(mutex_);
  std::size_t pages_in_use() const UMDEV_EXCLUDES(mutex_);

 private:
  Result<> open() UMDEV_REQUIRES(mutex_);

  mutable Mutex mutex_;
  os::UniqueFd fd_ UMDEV_GUARDED_BY(mutex_);
  os::Mapping memory_ UMDEV_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<::page>> pages_ UMDEV_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> free_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::kernel
