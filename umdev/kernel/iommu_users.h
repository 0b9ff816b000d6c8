// The parts of a module's back end: what it has given, who uses it, what they have pinned. Of that one's own.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "umdev/kernel/iommu_back_end.h"
#include "umdev/kernel/vm_area.h"

namespace umdev::kernel {

struct IommuBackEnd::Held {
  // References that mappings of the container have on its pages.
  void keep_mapped(std::vector<::page*> pages_of_mapping) UMDEV_EXCLUDES(mutex) {
    Lock lock(mutex);
    mapped.insert(mapped.end(), pages_of_mapping.begin(), pages_of_mapping.end());
  }
  std::vector<::page*> take_mapped() UMDEV_EXCLUDES(mutex) {
    Lock lock(mutex);
    return std::exchange(mapped, {});
  }

  PageArena pages;  // the first, for what is pinned points into it
  void* data = nullptr;
  std::atomic<bool> is_open = false;  // release() is owed
  Mutex mutex;
  std::vector<::page*> mapped UMDEV_GUARDED_BY(mutex);
};

struct IommuBackEnd::User : ::umdev_iommu_user {
  User(IommuBackEnd& of, iommu::DmaUser& who, std::string is_called);

  IommuBackEnd& back_end;
  iommu::DmaUser& user;
  const std::string name;
  std::shared_ptr<::iommu_group> group;  // null for one that is in none
  int register_error = 0;                // of register_notifier
  // Of the back end's mutex.
  int being_told = 0;
  bool gone = false;
};

// Whole pages.
struct IommuBackEnd::Pin {
  Pin(const User* who, iommu::IovaRange what) : user(who), range(what), pages(what.size / iommu::page_size) {}

  const User* const user;  // to be compared only
  const iommu::IovaRange range;
  std::vector<::page*> pages;
  std::vector<iommu::DmaSegment> segments;
  std::atomic<bool> is_revoked = false;
  bool is_dropped = false;  // of the back end's mutex: it is being given back
};

}  // namespace umdev::kernel
