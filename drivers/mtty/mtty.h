// The serial card: one or two looped-back ports behind PCI.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "drivers/mtty/migration.h"
#include "drivers/mtty/uart.h"
#include "umdev/pci/pci_device.h"
#include "umdev/support/mutex.h"

namespace umdev::mtty {

class Mtty final : public pci::PciDevice {
 public:
  // `ports` is 1 or 2.
  static std::unique_ptr<vfio::Device> create(unsigned ports);

  // ^vfio::Device
  std::string_view name() const override { return "mtty"; }
  vfio::Migration* migration() override { return &migration_; }

  // Its migration's side. While it stands still the ports are EBUSY to the user, and no interrupt changes.
  void stand_still(bool still) UMDEV_EXCLUDES(mutex_);
  void save(StreamWriter& stream) UMDEV_EXCLUDES(mutex_);
  // EINVAL, and nothing has changed, when it is not the state of such a card.
  Result<> load(StreamReader& stream) UMDEV_EXCLUDES(mutex_);
  unsigned port_count() const { return port_count_; }

 private:
  explicit Mtty(unsigned ports);

  // ^pci::PciDevice
  Result<> bar_read(vfio::User& user, std::uint32_t bar, std::uint64_t offset, Bytes into) override;
  Result<> bar_write(vfio::User& user, std::uint32_t bar, std::uint64_t offset, ConstBytes from) override;
  void function_reset() override;

  void update_interrupt() UMDEV_REQUIRES(mutex_);

  const unsigned port_count_;
  Migration migration_;
  Mutex mutex_;
  bool still_ UMDEV_GUARDED_BY(mutex_) = false;
  std::array<Uart, spec::ports_max> ports_ UMDEV_GUARDED_BY(mutex_);
  std::array<bool, spec::ports_max> interrupting_ UMDEV_GUARDED_BY(mutex_){};
};

}  // namespace umdev::mtty
