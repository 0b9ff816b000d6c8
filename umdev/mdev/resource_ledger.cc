#include "umdev/mdev/resource_ledger.h"

#include <algorithm>

namespace umdev::mdev {

ResourceLedger::Lease& ResourceLedger::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  ledger_ = std::move(other.ledger_);
  drawn_ = std::move(other.drawn_);
  return *this;
}

void ResourceLedger::Lease::give_back() {
  if (!ledger_) return;
  const std::shared_ptr<ResourceLedger> ledger = std::move(ledger_);
  Lock lock(ledger->mutex_);
  for (const auto& [name, amount] : drawn_) ledger->free_.at(name) += amount;
}

namespace {

// No sum wraps: what cannot be counted is more than there is.
std::map<std::string, std::uint64_t> sum(const Resources& resources) {
  std::map<std::string, std::uint64_t> sums;
  for (const auto& [name, amount] : resources) {
    std::uint64_t& total = sums[name];
    total = amount > UINT64_MAX - total ? UINT64_MAX : total + amount;
  }
  return sums;
}

}  // namespace

ResourceLedger::ResourceLedger(const Resources& totals) : free_(sum(totals)) {}

Result<ResourceLedger::Lease> ResourceLedger::draw(const Resources& cost) {
  const auto amounts = sum(cost);
  Lock lock(mutex_);
  for (const auto& [name, amount] : amounts) {
    const auto counter = free_.find(name);
    if (counter == free_.end()) return fail(EINVAL, "the parent has no such resource");
    if (counter->second < amount) return fail(ENOSPC, "the parent's resources are used up");
  }
  for (const auto& [name, amount] : amounts) free_.at(name) -= amount;
  return Lease(shared_from_this(), Resources(amounts.begin(), amounts.end()));
}

std::uint32_t ResourceLedger::available(const Resources& cost) const {
  const auto amounts = sum(cost);
  std::uint64_t least = UINT32_MAX;
  Lock lock(mutex_);
  for (const auto& [name, amount] : amounts) {
    const auto counter = free_.find(name);
    if (counter == free_.end()) return 0;
    if (amount > 0) least = std::min(least, counter->second / amount);
  }
  return static_cast<std::uint32_t>(least);
}

bool ResourceLedger::covers(const Resources& cost) const {
  Lock lock(mutex_);
  for (const auto& [name, amount] : cost)
    if (!free_.contains(name)) return false;
  return true;
}

}  // namespace umdev::mdev
