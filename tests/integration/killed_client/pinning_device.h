// A device that pins its user's memory and is slow to answer: what makes the death of its user interesting.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "umdev/support/host.h"
#include "umdev/vfio/device.h"

namespace umdev::vfio_user::test {

// Region 0, by 8-byte writes: at 0 pins the page at the IOVA that is written, at 8 unpins everything. Reads
// of it are answered after 20 ms. One interrupt.
class PinningDevice final : public vfio::Device {
 public:
  // What the test keeps of it. Outlives the device.
  struct State {
    std::atomic<int> opens = 0;
    std::atomic<int> closes = 0;
    std::atomic<int> pins = 0;
  };
  PinningDevice(std::shared_ptr<State> state, Clock& clock) : state_(std::move(state)), clock_(clock) {}

  std::string_view name() const override { return "pinning"; }
  vfio::DeviceInfo info() const override {
    return {.flags = abi::vfio_device_flags_pci | abi::vfio_device_flags_reset,
            .num_regions = 1,
            .num_irqs = 1,
            .capabilities = {}};
  }
  Result<vfio::RegionInfo> region_info(std::uint32_t) const override {
    return vfio::RegionInfo{.flags = abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write,
                            .size = 64,
                            .capabilities = {}};
  }
  Result<vfio::IrqInfo> irq_info(std::uint32_t) const override {
    return vfio::IrqInfo{.flags = abi::vfio_irq_info_eventfd, .count = 1};
  }
  void open_device(vfio::User&, Done<> done) override;
  void close_device(vfio::User&, Done<> done) override;
  void read(vfio::ReadRequest request) override;
  void write(vfio::WriteRequest request) override;
  void reset(vfio::User&, Done<> done) override { done(); }
  bool pins_memory() const override { return true; }
  void dma_unmap(vfio::User&, iommu::IovaRange range) override;

 private:
  Result<> pin(vfio::User& user, std::uint64_t iova);
  void unpin_all();

  const std::shared_ptr<State> state_;
  Clock& clock_;
  std::mutex mutex_;
  std::vector<iommu::DmaPin> pins_;
  std::vector<Timer> timers_;
};

}  // namespace umdev::vfio_user::test
