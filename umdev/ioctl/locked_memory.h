// RLIMIT_MEMLOCK, as the kernel counts what a process has locked for devices (vfio_lock_acct, iommufd's
// accounting).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "umdev/ioctl/caller.h"

namespace umdev::ioctl {

// What one address space has locked. Made by std::make_shared. Any thread.
class LockedMemory : public std::enable_shared_from_this<LockedMemory> {
 public:
  // Counts some memory for as long as it lives. Move-only.
  class Charge {
   public:
    Charge() = default;
    Charge(Charge&& other) noexcept
        : memory_(std::move(other.memory_)), bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&& other) noexcept;
    ~Charge() { release(); }

   private:
    friend class LockedMemory;
    Charge(std::shared_ptr<LockedMemory> memory, std::uint64_t bytes)
        : memory_(std::move(memory)), bytes_(bytes) {}
    void release();

    std::shared_ptr<LockedMemory> memory_;
    std::uint64_t bytes_ = 0;
  };

  // ENOMEM: more than the limit, for one without CAP_IPC_LOCK.
  Result<Charge> charge(std::uint64_t bytes, const Credentials& credentials);

  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> bytes_ = 0;
};

// A backing that counts as locked for as long as it lives.
std::shared_ptr<iommu::Backing> charged(std::shared_ptr<iommu::Backing> backing, LockedMemory::Charge charge);

}  // namespace umdev::ioctl
