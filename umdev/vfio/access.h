// One read or write of a device's region while it is under way: how a driver receives it, and how the core
// keeps count of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "umdev/support/bytes.h"
#include "umdev/support/done.h"

namespace umdev::vfio {

class User;

// The core's side of one access. It is shared by the core and the driver's request, and outlives whichever
// lets go first, so a driver that answers after its deadline, or never, touches nothing that is gone.
class AccessSlot {
 public:
  struct Target {
    User* user = nullptr;
    std::uint32_t region = 0;
    std::uint64_t offset = 0;
    Bytes data;  // for a write these bytes are only read
  };

  virtual ~AccessSlot() = default;
  const Target& target() const { return target_; }
  // The driver's answer. Late answers (after the deadline) are dropped.
  virtual void complete(Result<std::size_t> result) = 0;
  // The driver's request is gone, answered or not. The last call that the driver's side makes.
  virtual void let_go() = 0;

 protected:
  Target target_;
};

// A move-only request, completed exactly once, inline or later, from any thread. A request that is dropped
// uncompleted is answered with EIO. Bounds have been checked: [offset, offset + data.size()) lies inside the
// region, and data is not empty.
template <typename Buffer>
class [[nodiscard]] AccessRequest {
 public:
  explicit AccessRequest(AccessSlot& slot) : slot_(&slot) {}
  AccessRequest(AccessRequest&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  AccessRequest& operator=(AccessRequest&& other) noexcept {
    if (this != &other) {
      drop();
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  ~AccessRequest() { drop(); }

  // Who asks: the container's use of this device, whose memory and interrupts the access concerns.
  User& user() const { return *slot_->target().user; }
  std::uint32_t region() const { return slot_->target().region; }
  std::uint64_t offset() const { return slot_->target().offset; }
  // Valid until complete() is called.
  Buffer data() const { return slot_->target().data; }

  // Answers with the number of bytes done (at most data().size()), or an error. Calling it twice is an
  // assertion.
  void complete(Result<std::size_t> result) {
    UMDEV_ASSERT(slot_ != nullptr, "an access was completed twice");
    AccessSlot* slot = std::exchange(slot_, nullptr);
    slot->complete(std::move(result));
    slot->let_go();
  }
  // Answers that all of it was done.
  void complete_all() { complete(data().size()); }

 private:
  void drop() {
    if (slot_ != nullptr) complete(fail(EIO, "the driver dropped the access"));
  }

  AccessSlot* slot_;
};

using ReadRequest = AccessRequest<Bytes>;
using WriteRequest = AccessRequest<ConstBytes>;

}  // namespace umdev::vfio
