// A piece of a client's file, mapped: the memory behind DMA_MAPs that came with a descriptor.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/mapping_budget.h"
#include "umdev/os/fault_guard.h"
#include "umdev/os/mapping.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/mutex.h"

namespace umdev::iommu {

// What a descriptor of a client refers to.
struct ClientFileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  bool writable = false;  // how it is mapped, so that a read-only map never yields a writable one
  friend auto operator<=>(const ClientFileIdentity&, const ClientFileIdentity&) = default;
};

struct ClientFileStatus {
  ClientFileIdentity identity;
  std::uint64_t size = 0;
  bool has_usual_pages = false;
};

// Looks at a descriptor that a client sent, without asking anybody outside this kernel. ENODEV: not a regular
// file (only those have memory that is nothing but memory).
Result<ClientFileStatus> look_at_client_file(int fd, bool writable);

// What is to be known before such a descriptor is the one that is mapped. True: nothing but a want of memory
// can keep it from being mapped later, for it is a memory file of usual pages, opened for the access that is
// wanted, and not sealed against writing. EOPNOTSUPP: neither a memory file nor on a block device, so its
// pages may be served by FUSE or over a network, where somebody could stall every thread that touches them.
Result<bool> is_sure_to_map(int fd, const ClientFileStatus& status);

// One mapping of a part of a client's file, which many DMA_MAPs are slices of. It guards itself against
// truncation: what is missing reads as zeros and intact() is false from then on. Lives as long as a map or a
// pin of it does. Thread-safe.
class ClientFile final : public Backing {
 public:
  // Which part of a file, page aligned, and for what.
  struct Part {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool writable = false;
  };

  // Charges `budget`: ENOSPC when it is spent. A file that is sure to map is mapped when it is used for the
  // first time (clients lend far more than their devices touch): should there be no memory for that, mapped()
  // is empty, and the next use tries again. Any other file is mapped here, so that its client hears of the
  // error: EACCES, EPERM the descriptor does not allow the protection; EINVAL the offset is no multiple of
  // the file's pages; ENOMEM no address space, no pages, no mapping left.
  static Result<std::shared_ptr<ClientFile>> open(os::UniqueFd fd, Part part, bool sure_to_map,
                                                  std::shared_ptr<MappingBudget> budget);
  ~ClientFile() override;
  ClientFile(const ClientFile&) = delete;
  ClientFile& operator=(const ClientFile&) = delete;

  // True when [offset, offset + size) of the file lies in here and is still the client's memory.
  bool serves(std::uint64_t offset, std::uint64_t size) const;

  // ^Backing
  Bytes mapped() override UMDEV_EXCLUDES(mutex_);
  std::uint64_t mapped_size() override { return part_.size; }
  int fd() const override { return fd_.get(); }
  std::uint64_t fd_offset() const override { return part_.offset; }
  bool intact() const override {
    const View* const view = seen_.load(std::memory_order_acquire);
    return view == nullptr || !view->guard.faulted();
  }
  void revoke(std::uint64_t offset, std::uint64_t size) override UMDEV_EXCLUDES(mutex_);

 private:
  struct View {
    os::Mapping mapping;
    os::FaultGuard::Registration guard;  // ends before the mapping
  };

  ClientFile(os::UniqueFd fd, Part part, std::shared_ptr<MappingBudget> budget);
  Result<> map() UMDEV_REQUIRES(mutex_);

  const os::UniqueFd fd_;
  const Part part_;
  const std::shared_ptr<MappingBudget> budget_;
  std::atomic<bool> revoked_ = false;
  std::atomic<const View*> seen_ = nullptr;  // the view, once it is there
  Mutex mutex_;
  std::optional<View> view_ UMDEV_GUARDED_BY(mutex_);
  bool gone_ UMDEV_GUARDED_BY(mutex_) = false;  // never to be mapped
};

}  // namespace umdev::iommu
