// A device that stands in front of another one.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "umdev/vfio/device.h"

namespace umdev::vfio {

// Passes every call on to the device inside. A wrapper overrides those that it changes; threads and errors
// are then the inner device's otherwise.
class DeviceWrapper : public Device {
 public:
  explicit DeviceWrapper(std::unique_ptr<Device> inner) : inner_(std::move(inner)) {}

  std::string_view name() const override { return inner_->name(); }
  std::uint32_t users_max() const override { return inner_->users_max(); }
  DeviceInfo info() const override { return inner_->info(); }
  Result<RegionInfo> region_info(std::uint32_t index) const override { return inner_->region_info(index); }
  Result<IrqInfo> irq_info(std::uint32_t index) const override { return inner_->irq_info(index); }
  void open_device(User& user, Done<> done) override { inner_->open_device(user, std::move(done)); }
  void close_device(User& user, Done<> done) override { inner_->close_device(user, std::move(done)); }
  void read(ReadRequest request) override { inner_->read(std::move(request)); }
  void write(WriteRequest request) override { inner_->write(std::move(request)); }
  void reset(User& user, Done<> done) override { inner_->reset(user, std::move(done)); }
  Result<> set_irqs(User& user, IrqRequest& request) override { return inner_->set_irqs(user, request); }
  Result<std::vector<MmapExtent>> mmap(User& user, const MmapRequest& request) override {
    return inner_->mmap(user, request);
  }
  Result<std::vector<IoEventFd>> io_event_fds(User& user, std::uint32_t region) override {
    return inner_->io_event_fds(user, region);
  }
  void request(unsigned count) override { inner_->request(count); }
  int match(std::string_view registered_name, std::string_view name) const override {
    return inner_->match(registered_name, name);
  }
  Result<> match_token(const std::optional<Uuid>& token) const override { return inner_->match_token(token); }
  bool pins_memory() const override { return inner_->pins_memory(); }
  void dma_unmap(User& user, iommu::IovaRange range) override { inner_->dma_unmap(user, range); }
  // Not among what a wrapper serialises: a driver's migration guards itself.
  Migration* migration() override { return inner_->migration(); }
  Result<std::vector<std::byte>> device_feature(User& user, const FeatureRequest& request) override {
    return inner_->device_feature(user, request);
  }
  Result<std::uint32_t> ioctl(User& user, IoctlRequest request) override {
    return inner_->ioctl(user, request);
  }

 protected:
  template <typename Facet>
  friend Facet* facet_of(Device& device);

  // Shared with calls that are under way: a device may be destroyed by the completion of its last call, while
  // that call is still on its way out of the inner device.
  const std::shared_ptr<Device>& inner() const { return inner_; }

 private:
  const std::shared_ptr<Device> inner_;
};

// An ability that not every device has (EachFile, LogsDma, BindsIommufd): the device's own, or of the one
// that it stands in front of; null without. No wrapper serialises it: it guards itself, as migration does.
template <typename Facet>
Facet* facet_of(Device& device) {
  if (auto* const facet = dynamic_cast<Facet*>(&device)) return facet;
  auto* const wrapper = dynamic_cast<DeviceWrapper*>(&device);
  return wrapper == nullptr ? nullptr : facet_of<Facet>(*wrapper->inner());
}

}  // namespace umdev::vfio
