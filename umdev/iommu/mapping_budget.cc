#include "umdev/iommu/mapping_budget.h"

namespace umdev::iommu {

Result<> MappingBudget::charge(std::uint64_t bytes) {
  if (bytes > bytes_max_) return fail(ENOSPC, "the mapping is larger than all mappings may be");
  const bool too_many = mappings_.fetch_add(1, std::memory_order_relaxed) >= mappings_max_;
  const bool too_large = bytes_.fetch_add(bytes, std::memory_order_relaxed) > bytes_max_ - bytes;
  const Result<> around = parent_ && !too_many && !too_large ? parent_->charge(bytes) : Result<>{};
  if (!too_many && !too_large && around) return {};
  mappings_.fetch_sub(1, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  if (!around) return around;
  return fail(ENOSPC, "the budget of mappings is spent");
}

void MappingBudget::refund(std::uint64_t bytes) {
  mappings_.fetch_sub(1, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  if (parent_) parent_->refund(bytes);
}

}  // namespace umdev::iommu
