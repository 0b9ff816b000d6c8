// Mappings: what a module's mmap callback says of a struct vm_area_struct, as pieces of files.
//
// Nothing is mapped here. The module is shown an area that stands for what the client asks for, and says what
// lies in it, by remap_vmalloc_range() and the like or by a fault handler, which is then asked for every page
// at once. What comes of it are extents, which the client maps. A page that the handler does not give is a
// hole.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/page_arena.h"
#include "umdev/vfio/device.h"

namespace umdev::kernel {

// What hangs on the area while the module is asked.
class VmArea {
 public:
  VmArea(std::uint64_t file_offset, std::uint64_t length, bool writable);
  VmArea(const VmArea&) = delete;
  VmArea& operator=(const VmArea&) = delete;
  ~VmArea();

  ::vm_area_struct& area() { return area_; }
  static VmArea& of(::vm_area_struct& area) { return *static_cast<VmArea*>(area.umdev); }

  // `offset` and `length` in bytes from the area's begin. EINVAL outside of it.
  Result<> add(std::uint64_t offset, std::uint64_t length, int fd, std::uint64_t fd_offset);
  Result<> add_page(std::uint64_t offset, ::page& page);
  // After the callback: asks the fault handler, if there is one.
  void populate();

  // Merged, in order; offsets from the area's begin.
  std::vector<vfio::MmapExtent> extents() const { return extents_; }
  // The references that the pages' users have now: whoever takes them puts them.
  std::vector<::page*> take_pages() { return std::move(pages_); }

 private:
  ::vm_area_struct area_ = {};
  std::vector<vfio::MmapExtent> extents_;
  std::vector<::page*> pages_;
};

// Memory of vmalloc_user(), by its address: a file each, for a client that maps it is given the file.
struct UserAllocation {
  os::UniqueFd fd;
  os::Mapping memory;
};
struct UserAllocations {
  Mutex mutex;
  std::map<const void*, std::unique_ptr<UserAllocation>> allocations UMDEV_GUARDED_BY(mutex);
};

void put_pages(const std::vector<::page*>& pages);

// The services.
void* vmalloc_user(std::size_t size);
void vfree(const void* memory);
int remap_vmalloc_range(::vm_area_struct* area, unsigned long at, void* memory, unsigned long offset,
                        unsigned long size);
int vm_insert_page(::vm_area_struct* area, unsigned long at, ::page* page);
::page* alloc_pages(unsigned order);
void get_page(::page* page);
void put_page(::page* page);
void* page_address(const ::page* page);
::page* nth_page(::page* page, unsigned long n);

}  // namespace umdev::kernel
