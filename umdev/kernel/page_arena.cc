#include "umdev/kernel/page_arena.h"

#include <fcntl.h>
#include <linux/falloc.h>

#include "umdev/os/memfd.h"

namespace umdev::kernel {

Result<> PageArena::open() {
  if (fd_) return {};
  constexpr std::size_t size = std::size_t{pages_max} * page_bytes;
  auto fd = UMDEV_TRY(os::create_memfd("umdev-module-pages", size));
  memory_ = UMDEV_TRY(os::Mapping::of_fd(fd.get(), 0, size, os::Protection::read_write));
  fd_ = std::move(fd);
  return {};
}

Result<::page*> PageArena::allocate(std::uint32_t count) {
  Lock lock(mutex_);
  UMDEV_TRY(open());
  if (count == 1 && !free_.empty()) {
    ::page& again = *pages_[free_.back()];
    free_.pop_back();
    again.references = 1;
    return &again;
  }
  if (count > pages_max - pages_.size()) return fail(ENOMEM, "the instance has too many pages");
  const auto first = static_cast<std::uint32_t>(pages_.size());
  for (std::uint32_t index = first; index < first + count; ++index) {
    auto made = std::make_unique<::page>();
    *made = {.arena = this,
             .index = index,
             .address = memory_.data() + std::size_t{index} * page_bytes,
             .references = 1};
    pages_.push_back(std::move(made));
  }
  return pages_[first].get();
}

void PageArena::get(::page& page) {
  Lock lock(mutex_);
  ++page.references;
}

void PageArena::put(::page& page) {
  Lock lock(mutex_);
  // Put more often than it was got: the driver's mistake, and harmless here.
  if (page.references == 0) return;
  --page.references;
  if (page.references > 0) return;
  // Gives the memory back, and the next who has the page finds zeroes.
  static_cast<void>(::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(std::size_t{page.index} * page_bytes), page_bytes));
  free_.push_back(page.index);
}

::page* PageArena::at(std::uint32_t index) {
  Lock lock(mutex_);
  return index < pages_.size() ? pages_[index].get() : nullptr;
}

int PageArena::fd() const {
  Lock lock(mutex_);
  return fd_.get();
}

std::size_t PageArena::pages_in_use() const {
  Lock lock(mutex_);
  return pages_.size() - free_.size();
}

}  // namespace umdev::kernel
