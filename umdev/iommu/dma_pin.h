// A pin: the right to use a range of a user's memory through pointers, until it is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "umdev/iommu/types.h"

namespace umdev::iommu {

// A contiguous piece of pinned memory. `fd` (or -1) and `fd_offset` name the same bytes as a file.
struct DmaSegment {
  std::byte* data = nullptr;
  std::size_t length = 0;
  int fd = -1;
  std::uint64_t fd_offset = 0;
};

// Move-only; dropping it unpins. The pointers stay valid while it lives, whatever the user does: after a
// forced unmap they point to zero pages and revoked() is true. Drop it inside (or soon after)
// Device::dma_unmap for its range: an unmap waits for the last pin. May be dropped on any thread.
class DmaPin {
 public:
  // Who holds the memory; implemented by the address space.
  class Holder {
   public:
    virtual ~Holder() = default;
    virtual void unpin(DmaPin& pin) = 0;
    virtual bool revoked(const DmaPin& pin) const = 0;
  };

  DmaPin() = default;
  DmaPin(std::shared_ptr<Holder> holder, IovaRange range, Access access, std::vector<DmaSegment> segments,
         std::uint64_t cookie)
      : holder_(std::move(holder)),
        range_(range),
        access_(access),
        segments_(std::move(segments)),
        cookie_(cookie) {}
  // A pin of one segment allocates nothing.
  DmaPin(std::shared_ptr<Holder> holder, IovaRange range, Access access, DmaSegment segment,
         std::uint64_t cookie)
      : holder_(std::move(holder)), range_(range), access_(access), segment_(segment), cookie_(cookie) {}
  DmaPin(DmaPin&& other) noexcept = default;
  DmaPin& operator=(DmaPin&& other) noexcept {
    if (this != &other) {
      unpin();
      holder_ = std::move(other.holder_);
      range_ = other.range_;
      access_ = other.access_;
      segment_ = other.segment_;
      segments_ = std::move(other.segments_);
      cookie_ = other.cookie_;
    }
    return *this;
  }
  ~DmaPin() { unpin(); }

  explicit operator bool() const { return holder_ != nullptr; }
  IovaRange range() const { return range_; }
  Access access() const { return access_; }
  // In the order of the IOVA range; their lengths add up to range().size.
  std::span<const DmaSegment> segments() const {
    if (holder_ == nullptr) return {};
    return segments_.empty() ? std::span(&segment_, 1) : std::span(segments_);
  }
  bool revoked() const { return holder_ != nullptr && holder_->revoked(*this); }
  std::uint64_t cookie() const { return cookie_; }  // the holder's own

  void unpin() {
    if (holder_ == nullptr) return;
    holder_->unpin(*this);
    holder_.reset();
    segments_.clear();
  }

 private:
  std::shared_ptr<Holder> holder_;
  IovaRange range_;
  Access access_ = Access::none;
  DmaSegment segment_;  // the only one, when segments_ is empty
  std::vector<DmaSegment> segments_;
  std::uint64_t cookie_ = 0;
};

}  // namespace umdev::iommu
