// How many mappings of client files there may be, and how large.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "umdev/support/error.h"

namespace umdev::iommu {

// A budget inside another: a session's inside the daemon's. Thread-safe.
class MappingBudget {
 public:
  MappingBudget(std::uint32_t mappings_max, std::uint64_t bytes_max,
                std::shared_ptr<MappingBudget> parent = nullptr)
      : mappings_max_(mappings_max), bytes_max_(bytes_max), parent_(std::move(parent)) {}

  // Takes one mapping of `bytes` from this budget and those around it; ENOSPC when one of them is spent.
  Result<> charge(std::uint64_t bytes);
  // Gives back what was charged.
  void refund(std::uint64_t bytes);

  std::uint32_t mappings() const { return mappings_.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  const std::uint32_t mappings_max_;
  const std::uint64_t bytes_max_;
  const std::shared_ptr<MappingBudget> parent_;
  std::atomic<std::uint32_t> mappings_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
};

}  // namespace umdev::iommu
