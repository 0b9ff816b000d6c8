// A PCI function with virtual functions.
#pragma once

#include <memory>
#include <utility>

#include "tests/support/test_host.h"
#include "umdev/pci/pci_device.h"

namespace umdev::test {

// Of three virtual ones at most, two functions apart, the first a bus's half behind it.
class PhysicalFunction final : public pci::PciDevice {
 public:
  static constexpr std::uint16_t total = 3;

  PhysicalFunction() : PciDevice(make_model(true)) {}
  std::string_view name() const override { return "physical"; }

 private:
  struct VirtualFunction final : pci::PciDevice {
    VirtualFunction() : PciDevice(make_model(false)) {}
    std::string_view name() const override { return "virtual"; }
  };
  static pci::ModelRef make_model(bool is_physical) {
    constexpr std::uint16_t physical_id = 0x1572;
    constexpr std::uint16_t virtual_id = 0x154c;
    const pci::Bar bar{.kind = pci::Bar::Kind::memory64, .size = 0x4000};
    pci::ConfigLayout layout(abi::pci_cfg_space_exp_size);
    layout.identify(
        {.vendor = 0x8086, .device = is_physical ? physical_id : virtual_id, .class_code = 0x020000});
    layout.add_bar(0, bar);
    layout.add_express({});
    layout.add_error_reporting();
    if (is_physical)
      layout.add_sriov(
          {.total = total, .first_offset = 0x80, .stride = 2, .device = virtual_id, .bars = {bar}});
    return share(pci::Model(std::move(layout)));
  }
  std::unique_ptr<pci::PciDevice> make_virtual_function(DeviceHost&) override {
    return std::make_unique<VirtualFunction>();
  }
};

}  // namespace umdev::test
