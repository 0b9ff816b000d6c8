// A pin: the right to use a range of a user's memory through pointers, until it is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "umdev/iommu/types.h"

namespace umdev::iommu {

// A contiguous piece of pinned memory.
struct DmaSegment {
  std::byte* data = nullptr;
  std::size_t length = 0;
};

// The same bytes in a file; -1 where there is none.
struct DmaFile {
  int fd = -1;
  std::uint64_t offset = 0;
};

// Move-only; dropping it unpins. The pointers stay valid while it lives, whatever the user does: after a
// forced unmap they point to zero pages and revoked() is true. Drop it inside (or soon after)
// Device::dma_unmap for its range: an unmap waits for the last pin. May be dropped on any thread.
class DmaPin {
 public:
  // Who holds the memory; implemented by the address space. Stays while it has pins: after unpin() it may be
  // gone.
  class Holder {
   public:
    virtual ~Holder() = default;
    virtual void unpin(DmaPin& pin) = 0;
    virtual bool revoked(const DmaPin& pin) const = 0;
    // Where a pin is more than the one segment that it was made with.
    virtual std::span<const DmaSegment> segments() const { return {}; }
    // One of the pin's segments.
    virtual DmaFile file_of(const DmaPin& /*pin*/, const DmaSegment& /*segment*/) const { return {}; }
  };
  // Where a holder of many pins counts this one.
  class Place {
   protected:
    ~Place() = default;
  };

  DmaPin() = default;
  // `place` and `cookie` are the holder's own.
  DmaPin(Holder& holder, Place* place, IovaRange range, Access access, DmaSegment segment,
         std::uint64_t cookie)
      : holder_(&holder),
        place_(place),
        iova_(range.iova),
        segment_{.data = segment.data, .length = range.size},
        cookie_(cookie),
        access_(access) {}
  // With a holder of its own.
  DmaPin(std::unique_ptr<Holder> holder, IovaRange range, Access access, DmaSegment segment,
         std::uint64_t cookie)
      : DmaPin(*holder, nullptr, range, access, segment, cookie) {
    owned_ = std::move(holder);
  }
  DmaPin(DmaPin&& other) noexcept
      : holder_(std::exchange(other.holder_, nullptr)),
        place_(other.place_),
        owned_(std::move(other.owned_)),
        iova_(other.iova_),
        segment_(other.segment_),
        cookie_(other.cookie_),
        access_(other.access_) {}
  DmaPin& operator=(DmaPin&& other) noexcept {
    if (this != &other) {
      unpin();
      holder_ = std::exchange(other.holder_, nullptr);
      place_ = other.place_;
      owned_ = std::move(other.owned_);
      iova_ = other.iova_;
      segment_ = other.segment_;
      cookie_ = other.cookie_;
      access_ = other.access_;
    }
    return *this;
  }
  ~DmaPin() { unpin(); }

  explicit operator bool() const { return holder_ != nullptr; }
  IovaRange range() const { return {.iova = iova_, .size = segment_.length}; }
  Access access() const { return access_; }
  // In the order of the IOVA range; their lengths add up to range().size.
  std::span<const DmaSegment> segments() const {
    if (holder_ == nullptr) return {};
    const auto several = owned_ ? owned_->segments() : std::span<const DmaSegment>();
    return several.empty() ? std::span(&segment_, 1) : several;
  }
  // Where one of segments() lies, for devices that hand memory on.
  DmaFile file_of(const DmaSegment& segment) const {
    return holder_ != nullptr ? holder_->file_of(*this, segment) : DmaFile{};
  }
  bool revoked() const { return holder_ != nullptr && holder_->revoked(*this); }
  Place* place() const { return place_; }
  std::uint64_t cookie() const { return cookie_; }

  void unpin() {
    if (holder_ == nullptr) return;
    std::exchange(holder_, nullptr)->unpin(*this);
    owned_.reset();
  }

 private:
  Holder* holder_ = nullptr;
  Place* place_ = nullptr;
  std::unique_ptr<Holder> owned_;
  Iova iova_ = 0;
  DmaSegment segment_;  // the only one, unless the holder says otherwise; as long as the range
  std::uint64_t cookie_ = 0;
  Access access_ = Access::none;
};

}  // namespace umdev::iommu
