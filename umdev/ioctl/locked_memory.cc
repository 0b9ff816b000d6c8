#include "umdev/ioctl/locked_memory.h"

#include <utility>

namespace umdev::ioctl {
namespace {

class ChargedBacking final : public iommu::Backing {
 public:
  ChargedBacking(std::shared_ptr<iommu::Backing> backing, LockedMemory::Charge charge)
      : backing_(std::move(backing)), charge_(std::move(charge)) {}

  Bytes mapped() override { return backing_->mapped(); }
  std::uint64_t mapped_size() override { return backing_->mapped_size(); }
  int fd() const override { return backing_->fd(); }
  std::uint64_t fd_offset() const override { return backing_->fd_offset(); }
  bool intact() const override { return backing_->intact(); }
  void read(std::uint64_t offset, Bytes into, Done<> done) override {
    backing_->read(offset, into, std::move(done));
  }
  void write(std::uint64_t offset, ConstBytes from, Done<> done) override {
    backing_->write(offset, from, std::move(done));
  }
  bool copies_at_once() const override { return backing_->copies_at_once(); }
  void revoke(std::uint64_t offset, std::uint64_t size) override { backing_->revoke(offset, size); }

 private:
  const std::shared_ptr<iommu::Backing> backing_;
  const LockedMemory::Charge charge_;
};

}  // namespace

LockedMemory::Charge& LockedMemory::Charge::operator=(Charge&& other) noexcept {
  if (this == &other) return *this;
  release();
  memory_ = std::move(other.memory_);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void LockedMemory::Charge::release() {
  if (memory_) memory_->bytes_.fetch_sub(bytes_, std::memory_order_relaxed);
  memory_.reset();
}

Result<LockedMemory::Charge> LockedMemory::charge(std::uint64_t bytes, const Credentials& credentials) {
  std::uint64_t before = bytes_.load(std::memory_order_relaxed);
  do {
    const bool fits = bytes <= credentials.memlock_limit && before <= credentials.memlock_limit - bytes;
    if (!fits && !credentials.ipc_lock) return fail(ENOMEM, "more locked memory than RLIMIT_MEMLOCK");
  } while (!bytes_.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  return Charge(shared_from_this(), bytes);
}

std::shared_ptr<iommu::Backing> charged(std::shared_ptr<iommu::Backing> backing,
                                        LockedMemory::Charge charge) {
  return std::make_shared<ChargedBacking>(std::move(backing), std::move(charge));
}

}  // namespace umdev::ioctl
