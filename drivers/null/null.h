// The smallest useful device: a PCI function with one page of memory that reads zero and forgets what is
// written.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "umdev/pci/pci_device.h"

namespace umdev::null {

// An instance has no state of its own, so tens of thousands of them fit into one process.
class Null final : public pci::PciDevice {
 public:
  // What all instances share. Make one, and create every instance with it.
  static pci::ModelRef make_model();

  // `users_max` clients may have it at a time.
  explicit Null(pci::ModelRef model, std::uint32_t users_max = 1)
      : PciDevice(std::move(model)), users_max_(users_max) {}

  // ^vfio::Device
  std::string_view name() const override { return "null"; }
  std::uint32_t users_max() const override { return users_max_; }

 private:
  // ^pci::PciDevice
  Result<> bar_read(vfio::User& user, std::uint32_t bar, std::uint64_t offset, Bytes into) override;
  Result<> bar_write(vfio::User& user, std::uint32_t bar, std::uint64_t offset, ConstBytes from) override;

  const std::uint32_t users_max_;
};

}  // namespace umdev::null
