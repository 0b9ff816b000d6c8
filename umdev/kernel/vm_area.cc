#include "umdev/kernel/vm_area.h"

#include <cstdint>

#include "umdev/kernel/module.h"
#include "umdev/kernel/services.h"
#include "umdev/os/memfd.h"

namespace umdev::kernel {
namespace {

constexpr std::uint64_t page_bytes = PageArena::page_bytes;
// Where areas seem to begin: nowhere that is memory of ours.
constexpr unsigned long area_start = 1UL << 46;

// VM_READ, VM_WRITE, VM_SHARED as the headers have them.
constexpr unsigned long vm_read = 1;
constexpr unsigned long vm_write = 2;
constexpr unsigned long vm_shared = 8;

UserAllocations& user_allocations() {
  return current_call()->module->user_allocations();
}

}  // namespace

VmArea::VmArea(std::uint64_t file_offset, std::uint64_t length, bool writable) {
  area_.vm_start = area_start;
  area_.vm_end = area_start + length;
  area_.vm_pgoff = file_offset / page_bytes;
  area_.vm_flags = vm_read | vm_shared | (writable ? vm_write : 0);
  area_.umdev = this;
}

VmArea::~VmArea() {
  put_pages(pages_);
}

Result<> VmArea::add(std::uint64_t offset, std::uint64_t length, int fd, std::uint64_t fd_offset) {
  const std::uint64_t size = area_.vm_end - area_.vm_start;
  if (offset % page_bytes != 0 || fd_offset % page_bytes != 0 || length == 0 || offset > size ||
      length > size - offset)
    return fail(EINVAL, "the module maps outside of the area");
  if (!extents_.empty()) {
    vfio::MmapExtent& last = extents_.back();
    if (last.fd == fd && last.region_offset + last.length == offset &&
        last.fd_offset + last.length == fd_offset) {
      last.length += length;
      return {};
    }
  }
  extents_.push_back({.fd = fd, .fd_offset = fd_offset, .region_offset = offset, .length = length});
  return {};
}

Result<> VmArea::add_page(std::uint64_t offset, ::page& page) {
  return add(offset, page_bytes, page.arena->fd(), std::uint64_t{page.index} * page_bytes);
}

void VmArea::populate() {
  if (area_.vm_ops == nullptr || area_.vm_ops->fault == nullptr) return;
  for (std::uint64_t offset = 0; offset < area_.vm_end - area_.vm_start; offset += page_bytes) {
    ::vm_fault fault{.vma = &area_,
                     .flags = 0,
                     .pgoff = area_.vm_pgoff + offset / page_bytes,
                     .address = area_.vm_start + offset,
                     .page = nullptr};
    if (area_.vm_ops->fault(&fault) != 0 || fault.page == nullptr) continue;
    pages_.push_back(fault.page);
    static_cast<void>(add_page(offset, *fault.page));
  }
}

void put_pages(const std::vector<::page*>& pages) {
  for (::page* each : pages) put_page(each);
}

// --- The services.

void* vmalloc_user(std::size_t size) {
  if (size == 0) return nullptr;
  const std::size_t rounded = (size + page_bytes - 1) / page_bytes * page_bytes;
  auto fd = os::create_memfd("umdev-module-memory", rounded);
  if (!fd) return nullptr;
  auto memory = os::Mapping::of_fd(fd->get(), 0, rounded, os::Protection::read_write);
  if (!memory) return nullptr;
  auto allocation = std::make_unique<UserAllocation>(std::move(*fd), std::move(*memory));
  void* const address = allocation->memory.data();
  auto& all = user_allocations();
  Lock lock(all.mutex);
  all.allocations[address] = std::move(allocation);
  return address;
}

void vfree(const void* memory) {
  if (memory == nullptr) return;
  auto& all = user_allocations();
  {
    Lock lock(all.mutex);
    if (all.allocations.erase(memory) > 0) return;
  }
  release(memory);  // of vmalloc()
}

int remap_vmalloc_range(::vm_area_struct* area, unsigned long at, void* memory, unsigned long offset,
                        unsigned long size) {
  auto& all = user_allocations();
  Lock lock(all.mutex);
  const auto found = all.allocations.find(memory);
  if (found == all.allocations.end()) return -EINVAL;  // not of vmalloc_user()
  const UserAllocation& allocation = *found->second;
  if (offset > allocation.memory.size() || size > allocation.memory.size() - offset) return -EINVAL;
  const auto added = VmArea::of(*area).add(at - area->vm_start, size, allocation.fd.get(), offset);
  return added ? 0 : -added.error().code;
}

int vm_insert_page(::vm_area_struct* area, unsigned long at, ::page* page) {
  if (page->arena == nullptr) return -EINVAL;
  const auto added = VmArea::of(*area).add_page(at - area->vm_start, *page);
  return added ? 0 : -added.error().code;
}

::page* alloc_pages(unsigned order) {
  const Call& call = *current_call();
  PageArena& arena = call.pages != nullptr ? *call.pages : call.module->pages();
  auto first = order < 18 ? arena.allocate(1U << order) : fail(ENOMEM, "too many pages at once");
  return first ? *first : nullptr;
}

void get_page(::page* page) {
  // One of the user's memory is the pin's.
  if (page->arena != nullptr) page->arena->get(*page);
}

void put_page(::page* page) {
  if (page->arena != nullptr) page->arena->put(*page);
}

void* page_address(const ::page* page) {
  return page->address;
}

::page* nth_page(::page* page, unsigned long n) {
  return page->arena->at(page->index + static_cast<std::uint32_t>(n));
}

}  // namespace umdev::kernel
