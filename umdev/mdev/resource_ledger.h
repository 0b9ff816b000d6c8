// What a parent has to give, and what is drawn of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "umdev/mdev/types.h"
#include "umdev/support/error.h"
#include "umdev/support/mutex.h"

namespace umdev::mdev {

// Named counters that the types of one parent share, so that creating one type may lower what is left of
// another. Thread-safe; shared, since what was drawn may outlive the parent.
class ResourceLedger : public std::enable_shared_from_this<ResourceLedger> {
 public:
  // What was drawn; gives it back when it goes. Move-only.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { give_back(); }
    void give_back();

   private:
    friend class ResourceLedger;
    Lease(std::shared_ptr<ResourceLedger> ledger, Resources drawn)
        : ledger_(std::move(ledger)), drawn_(std::move(drawn)) {}
    std::shared_ptr<ResourceLedger> ledger_;
    Resources drawn_;
  };

  // A name that stands there twice counts twice, in the totals as in a cost.
  explicit ResourceLedger(const Resources& totals);

  // Draws all of `cost` or nothing. ENOSPC when something is short; EINVAL for a name that the ledger does
  // not have.
  Result<Lease> draw(const Resources& cost) UMDEV_EXCLUDES(mutex_);
  // How often `cost` could be drawn at this moment: the scarcest counter decides. UINT32_MAX for a cost of
  // nothing.
  std::uint32_t available(const Resources& cost) const UMDEV_EXCLUDES(mutex_);
  // True when every name of `cost` is known.
  bool covers(const Resources& cost) const UMDEV_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::uint64_t> free_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::mdev
