// Devices that do for a measurement what no real one should.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "umdev/support/host.h"
#include "umdev/vfio/sync_device.h"

namespace umdev::bench {

inline constexpr std::uint32_t device_page = 4096;

// Region 0 is a page that takes its time to be read.
class SlowDevice final : public vfio::Device {
 public:
  // What outlives the device: the read that is under way.
  class State {
   public:
    explicit State(Duration delay) : delay_(delay) {}
    void begin(vfio::ReadRequest request, Clock& clock, const std::shared_ptr<State>& self);
    // Answers now, and from now on at once.
    void hurry();

   private:
    void answer();

    const Duration delay_;
    std::mutex mutex_;
    bool hurries_ = false;
    std::optional<vfio::ReadRequest> waiting_;
    Timer timer_;
  };

  SlowDevice(std::shared_ptr<State> state, Clock& clock) : state_(std::move(state)), clock_(clock) {}

  std::string_view name() const override { return "slow"; }
  vfio::DeviceInfo info() const override { return table.info(); }
  Result<vfio::RegionInfo> region_info(std::uint32_t index) const override {
    return table.region_info(index);
  }
  Result<vfio::IrqInfo> irq_info(std::uint32_t index) const override { return table.irq_info(index); }
  void read(vfio::ReadRequest request) override { state_->begin(std::move(request), clock_, state_); }

 private:
  static constexpr std::array<vfio::TableRegion, 1> regions{{{abi::vfio_region_info_flag_read, device_page}}};
  static constexpr vfio::DeviceTable table{abi::vfio_device_flags_pci, regions, {}};

  const std::shared_ptr<State> state_;
  Clock& clock_;
};

// May pin memory, and has one MSI vector. It is used through its User, from outside.
class PinningDevice final : public vfio::SyncDevice {
 public:
  PinningDevice() : SyncDevice(table) {}
  std::string_view name() const override { return "pinning"; }
  bool pins_memory() const override { return true; }

 private:
  static constexpr std::array<vfio::TableRegion, 1> regions{{{abi::vfio_region_info_flag_read, device_page}}};
  static constexpr std::array<vfio::IrqInfo, 2> irqs{
      {{0, 0}, {abi::vfio_irq_info_eventfd | abi::vfio_irq_info_noresize, 1}}};
  static constexpr vfio::DeviceTable table{abi::vfio_device_flags_pci, regions, irqs};
};

// Says who uses it, so that its user's memory can be reached from outside.
class LendingDevice final : public vfio::SyncDevice {
 public:
  struct Lending {
    vfio::User* user = nullptr;
  };
  LendingDevice() : SyncDevice(table) {}
  std::string_view name() const override { return "lending"; }
  std::shared_ptr<Lending> lending() const { return lending_; }

 protected:
  Result<> open(vfio::User& user) override {
    lending_->user = &user;
    return {};
  }

 private:
  static constexpr std::array<vfio::TableRegion, 1> regions{{{abi::vfio_region_info_flag_read, device_page}}};
  static constexpr vfio::DeviceTable table{abi::vfio_device_flags_pci, regions, {}};
  const std::shared_ptr<Lending> lending_ = std::make_shared<Lending>();
};

}  // namespace umdev::bench
