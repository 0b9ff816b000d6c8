// A user of memory that keeps what it was told and does in its callbacks what the test wants.
#pragma once

#include <vector>

#include "umdev/iommu/iommu_driver.h"
#include "umdev/support/inline_function.h"
#include "umdev/support/mutex.h"

namespace umdev::test {

class FakeDmaUser final : public iommu::DmaUser {
 public:
  using Hook = InlineFunction<void(iommu::IovaRange), 64>;

  explicit FakeDmaUser(bool pins = true) : pins_(pins) {}

  bool pins() const override { return pins_; }
  void dma_unmap(iommu::IovaRange range) override {
    {
      Lock lock(mutex_);
      unmapped_.push_back(range);
    }
    if (on_dma_unmap) on_dma_unmap(range);
  }
  void pins_revoked(iommu::IovaRange range) override {
    {
      Lock lock(mutex_);
      revoked_.push_back(range);
    }
    if (on_pins_revoked) on_pins_revoked(range);
  }

  std::vector<iommu::IovaRange> unmapped() const {
    Lock lock(mutex_);
    return unmapped_;
  }
  std::vector<iommu::IovaRange> revoked() const {
    Lock lock(mutex_);
    return revoked_;
  }

  // Set before the user is registered.
  Hook on_dma_unmap;
  Hook on_pins_revoked;

 private:
  const bool pins_;
  mutable Mutex mutex_;
  std::vector<iommu::IovaRange> unmapped_ UMDEV_GUARDED_BY(mutex_);
  std::vector<iommu::IovaRange> revoked_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::test
