// A piece of a client's file, mapped: the memory behind DMA_MAPs that came with a descriptor.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/mapping_budget.h"
#include "umdev/os/fault_guard.h"
#include "umdev/os/mapping.h"
#include "umdev/os/unique_fd.h"

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
};

// Looks at a descriptor that a client sent, without asking anybody outside this kernel. ENODEV: not a regular
// file (only those have memory that is nothing but memory). EOPNOTSUPP: neither a memory file nor on a block
// device, so its pages may be served by FUSE or over a network, where somebody could stall every thread that
// touches them.
Result<ClientFileStatus> look_at_client_file(int fd, bool writable);

// One mapping of a part of a client's file, which many DMA_MAPs are slices of. It guards itself against
// truncation: what is missing reads as zeros and intact() is false from then on. Lives as long as a map or a
// pin of it does. Thread-safe.
class ClientFile final : public Backing {
 public:
  // Maps [offset, offset + size) of the file, page aligned. Charges `budget`. ENOSPC the budget is spent;
  // EACCES, EPERM the descriptor does not allow the protection; ENOMEM no address space, no mapping left.
  static Result<std::shared_ptr<ClientFile>> map(os::UniqueFd fd, std::uint64_t offset, std::uint64_t size,
                                                 bool writable, std::shared_ptr<MappingBudget> budget);
  ~ClientFile() override;
  ClientFile(const ClientFile&) = delete;
  ClientFile& operator=(const ClientFile&) = delete;

  // True when [offset, offset + size) of the file lies in here and is still the client's memory.
  bool serves(std::uint64_t offset, std::uint64_t size) const;

  // ^Backing
  Bytes mapped() override { return {mapping_.data(), mapping_.size()}; }
  int fd() const override { return fd_.get(); }
  std::uint64_t fd_offset() const override { return offset_; }
  bool intact() const override { return !guard_.faulted(); }
  void revoke(std::uint64_t offset, std::uint64_t size) override;

 private:
  ClientFile(os::UniqueFd fd, std::uint64_t offset, os::Mapping mapping, os::FaultGuard::Registration guard,
             std::shared_ptr<MappingBudget> budget);

  const os::UniqueFd fd_;
  const std::uint64_t offset_;
  os::Mapping mapping_;
  const os::FaultGuard::Registration guard_;  // ends before the mapping
  const std::shared_ptr<MappingBudget> budget_;
  std::atomic<bool> revoked_ = false;
};

}  // namespace umdev::iommu
