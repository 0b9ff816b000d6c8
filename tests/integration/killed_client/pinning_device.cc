#include "tests/integration/killed_client/pinning_device.h"

#include <algorithm>

namespace umdev::vfio_user::test {

void PinningDevice::open_device(vfio::User&, Done<> done) {
  ++state_->opens;
  done();
}

void PinningDevice::close_device(vfio::User&, Done<> done) {
  unpin_all();
  ++state_->closes;
  done();
}

void PinningDevice::read(vfio::ReadRequest request) {
  auto waiting = std::make_shared<vfio::ReadRequest>(std::move(request));
  Timer timer = clock_.after(std::chrono::milliseconds(20), [waiting] { waiting->complete_all(); });
  const std::scoped_lock lock(mutex_);
  timers_.clear();  // of one session's accesses only one waits at a time: the others have run
  timers_.push_back(std::move(timer));
}

void PinningDevice::write(vfio::WriteRequest request) {
  const auto value = load_le<std::uint64_t>(request.data(), 0);
  if (!value) return request.complete(fail(EINVAL, "registers have 8 bytes"));
  if (request.offset() == 8) {
    unpin_all();
    return request.complete_all();
  }
  if (Result<> pinned = pin(request.user(), *value); !pinned)
    return request.complete(std::unexpected(pinned.error()));
  request.complete_all();
}

Result<> PinningDevice::pin(vfio::User& user, std::uint64_t iova) {
  auto made = UMDEV_TRY(user.pin({iova, iommu::page_size}, iommu::Access::read_write));
  const std::scoped_lock lock(mutex_);
  pins_.push_back(std::move(made));
  ++state_->pins;
  return {};
}

void PinningDevice::unpin_all() {
  std::vector<iommu::DmaPin> leaving;
  const std::scoped_lock lock(mutex_);
  state_->pins -= static_cast<int>(pins_.size());
  leaving.swap(pins_);
}

void PinningDevice::dma_unmap(vfio::User&, iommu::IovaRange range) {
  std::vector<iommu::DmaPin> leaving;
  const std::scoped_lock lock(mutex_);
  const auto inside =
      std::ranges::partition(pins_, [&](const auto& pin) { return !range.overlaps(pin.range()); });
  state_->pins -= static_cast<int>(inside.size());
  std::ranges::move(inside, std::back_inserter(leaving));
  pins_.erase(inside.begin(), inside.end());
}

}  // namespace umdev::vfio_user::test
