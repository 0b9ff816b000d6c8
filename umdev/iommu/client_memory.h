// The memory that one client lends by files, mapped.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "umdev/iommu/backing.h"
#include "umdev/iommu/client_file.h"
#include "umdev/iommu/mapping_budget.h"
#include "umdev/os/unique_fd.h"

namespace umdev::iommu {

// A door's limits for one client.
struct ClientMemoryLimits {
  std::uint32_t mappings = 0;    // of its files
  std::uint64_t bytes = 0;       // that these have in all
  std::uint64_t whole_file = 0;  // a file up to this size, in bytes, is mapped whole
};

// Finds or makes the mapping for a DMA_MAP. One mapping per file and protection: a process has about 65,000
// of them, and a client may make as many maps. Not thread-safe; what it hands out is.
class ClientMemory {
 public:
  ClientMemory(const ClientMemoryLimits& limits, std::shared_ptr<MappingBudget> daemon);

  struct Slice {
    std::shared_ptr<Backing> backing;
    std::uint64_t offset = 0;  // where in the backing the map begins
  };

  // Memory that the client shares by a file. The descriptor is kept when it is the first of its file. EINVAL:
  // offset or size not page aligned, empty, or beyond the end of the file; else the errors of
  // look_at_client_file(), is_sure_to_map() and ClientFile::open().
  Result<Slice> share(os::UniqueFd fd, std::uint64_t offset, std::uint64_t size, bool writable);

  // Mappings of files at this moment, pinned ones that are not mapped any more included.
  std::uint32_t mappings() const { return budget_->mappings(); }

 private:
  using Files = std::vector<std::weak_ptr<ClientFile>>;

  std::shared_ptr<ClientFile> find(Files& files, std::uint64_t offset, std::uint64_t size) const;
  void forget_unused();

  const ClientMemoryLimits limits_;
  const std::shared_ptr<MappingBudget> budget_;
  std::map<ClientFileIdentity, Files> files_;
  std::size_t forget_at_ = 64;
};

}  // namespace umdev::iommu
