// A back end of containers (struct vfio_iommu_driver_ops): type1, type1v2, no-iommu, or one of your own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/dma_pin.h"
#include "umdev/iommu/types.h"

namespace umdev::iommu {

class WriteTracker;

// What a group is to a back end.
struct GroupAttachment {
  std::uint32_t iommu_group = 0;  // its number
  bool emulated = true;           // no real DMA: mdevs and everything this project hosts
};

// VFIO_IOMMU_MAP_DMA. `flags` are the UAPI's, unchecked; the back end checks everything.
struct MapRequest {
  std::uint32_t flags = 0;
  Iova iova = 0;
  std::uint64_t size = 0;
  std::uint64_t vaddr = 0;  // where the user has the memory, checked for alignment and wrap only
  std::shared_ptr<Backing> backing;
  std::uint64_t backing_offset = 0;  // where in the backing the mapping begins
  // Not 0: why the user's memory could not be had. The answer where the back end needs_memory(), after its
  // own checks.
  int memory_error = 0;
};

// VFIO_IOMMU_UNMAP_DMA.
struct UnmapRequest {
  std::uint32_t flags = 0;
  Iova iova = 0;
  std::uint64_t size = 0;
  // With GET_DIRTY_BITMAP: the page size of the bitmap and where it goes before the completion.
  std::uint64_t bitmap_page_size = 0;
  Bytes bitmap;
};

// A mapping as it stands. Without a backing nobody here can reach its memory.
struct StandingMapping {
  IovaRange range;
  Access access = Access::none;
  std::shared_ptr<Backing> backing;
  std::uint64_t backing_offset = 0;
};

// VFIO_IOMMU_GET_INFO.
struct IommuInfo {
  std::uint64_t page_sizes = 0;       // bit mask
  std::uint32_t dma_available = 0;    // mappings that may still be made
  std::vector<IovaRange> valid_iova;  // empty: every address
  // VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, where a back end has dirty pages: page sizes as a bit mask, bytes.
  std::uint64_t dirty_page_sizes = 0;
  std::uint64_t dirty_bitmap_max = 0;
};

// The user of a back end: one container's use of one device. Registered for as long as the device is open.
class DmaUser {
 public:
  // What a back end keeps of a user, where it finds it without a look-up.
  class Record {
   protected:
    ~Record() = default;
  };

  DmaUser() = default;
  DmaUser(const DmaUser&) = delete;
  DmaUser& operator=(const DmaUser&) = delete;
  virtual ~DmaUser() = default;
  // False of one that never does: it need not be told of unmaps, as the kernel tells only drivers with
  // dma_unmap. The same always, and asked with locks held.
  virtual bool pins() const { return true; }
  // Drop your pins in this range (the whole of a mapping). Called with no lock held, before the mapping goes,
  // from the thread that unmaps; the unmap waits for the pins, not for this call. May come before the device
  // was opened.
  virtual void dma_unmap(IovaRange range) = 0;
  // Pins in `range` were not dropped in time and have been taken away. Called with no lock held.
  virtual void pins_revoked(IovaRange range) = 0;
  // Hears of everything that the user's device writes; the same always. Null: nobody knows, and all of a
  // mapping counts as written while a pin for writing is held in it.
  virtual std::shared_ptr<WriteTracker> write_tracker() { return nullptr; }

 private:
  friend class AddressSpace;
  std::atomic<Record*> record_ = nullptr;  // the address space's in which it was registered last
};

// One container's instance of a back end (the kernel's iommu_data). Thread-safe. Destroying it drops all
// mappings.
class IommuInstance {
 public:
  virtual ~IommuInstance() = default;
  virtual int check_extension(std::uint32_t extension) const = 0;
  virtual Result<> attach_group(const GroupAttachment& group) = 0;
  virtual void detach_group(const GroupAttachment& group) = 0;
  virtual Result<IommuInfo> info() const = 0;
  virtual Result<> map(MapRequest request) = 0;
  // True where map() wants memory that is there, and counts as locked, because a device may reach it at once.
  virtual bool needs_memory() const { return false; }
  // Completes with the number of bytes unmapped when the last pin of the range is gone (or was taken away at
  // the deadline).
  virtual void unmap(const UnmapRequest& request, Done<std::uint64_t> done) = 0;
  // May dirty pages be asked for at all? ENOTTY, EACCES.
  virtual Result<> tracks_dirty_pages() const {
    return fail(ENOTTY, "this IOMMU driver tracks no dirty pages");
  }
  // VFIO_IOMMU_DIRTY_PAGES with START, STOP and GET_BITMAP: ENOTTY where a back end has no such thing.
  // `bitmap` is filled, and what it says is forgotten.
  virtual Result<> start_dirty_pages() { return fail(ENOTTY, "this IOMMU driver tracks no dirty pages"); }
  virtual Result<> stop_dirty_pages() { return fail(ENOTTY, "this IOMMU driver tracks no dirty pages"); }
  virtual Result<> dirty_pages(IovaRange, std::uint64_t /*bitmap_page_size*/, Bytes /*bitmap*/) {
    return fail(ENOTTY, "this IOMMU driver tracks no dirty pages");
  }
  // ENOTTY where a back end cannot pin (VFIO's translation API needs pin_pages and unpin_pages of the back
  // end).
  virtual Result<DmaPin> pin(DmaUser&, IovaRange, Access) {
    return fail(ENOTTY, "this IOMMU driver cannot pin");
  }
  virtual void dma_read(DmaUser&, Iova, Bytes, Done<> done) {
    done(fail(ENOTTY, "this IOMMU driver has no dma_rw"));
  }
  virtual void dma_write(DmaUser&, Iova, ConstBytes, Done<> done) {
    done(fail(ENOTTY, "this IOMMU driver has no dma_rw"));
  }
  // Are these two over when they return, in that range?
  virtual bool copies_at_once(IovaRange) const { return false; }
  // Every device that is open in the container, from before open_device to after close_device. After
  // unregister_user() has returned, the user is not called again, and pins it left behind are revoked.
  virtual void register_user(DmaUser&) {}
  virtual void unregister_user(DmaUser&) {}
  // Every mapping that is not on its way out, by address.
  virtual std::vector<StandingMapping> mappings() const { return {}; }
  // For `status`: mappings and pins at this moment.
  virtual std::uint32_t mapping_count() const { return 0; }
  virtual std::uint32_t pin_count() const { return 0; }
};

// Thread-safe; outlives its registration with the core.
class IommuDriver {
 public:
  virtual ~IommuDriver() = default;
  virtual std::string_view name() const = 0;
  // VFIO_CHECK_EXTENSION before a container has an instance: 0 or the kernel's answer.
  virtual int check_extension(std::uint32_t extension) const = 0;
  // VFIO_SET_IOMMU with a type whose extension was claimed.
  virtual Result<std::shared_ptr<IommuInstance>> open(std::uint32_t type) = 0;
  // A container without real isolation: only no-iommu groups may use this driver, and they no other.
  virtual bool no_iommu() const { return false; }
  // The kernel refuses (EINVAL) a driver with register_device but without unregister_device, or the reverse.
  virtual bool registers_devices() const { return true; }
  virtual bool unregisters_devices() const { return true; }
};

}  // namespace umdev::iommu
