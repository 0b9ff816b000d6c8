// The generic bus driver: makes a VFIO device of every instance (the kernel's vfio_mdev.ko, and what later
// kernels' vendor drivers do by themselves).
#pragma once

#include "umdev/mdev/bus_driver.h"
#include "umdev/mdev/instance.h"

namespace umdev::vfio {
class Core;
}

namespace umdev::mdev {

class VfioMdev final : public BusDriver {
 public:
  // Which instances stand for physical devices: their IOMMU groups are as a real device's. Then mapped memory
  // has to be there at once and counts against its owner's limit, and some addresses are the interrupts'.
  using IsPhysical = bool (*)(const Instance& instance);

  // The core must outlive it. Without `is_physical`, all are mdevs and nothing else.
  explicit VfioMdev(vfio::Core& core, IsPhysical is_physical = nullptr)
      : core_(core), is_physical_(is_physical) {}

  std::string_view name() const override { return "vfio_mdev"; }
  std::string_view module_name() const override { return "vfio_mdev"; }
  // Every device API that VFIO has.
  std::span<const std::string_view> device_apis() const override;
  // Registers the vendor's device with VFIO: the instance gets an IOMMU group, a VFIO group and a vfioN.
  // Errors as Core::register_device and register_emulated_device.
  void probe_instance(Instance& instance, Done<> done) override;
  // Undoes it, when its users have let go.
  void remove_instance(Instance& instance, RemovePolicy policy, Done<> done) override;
  void force_remove_instance(Instance& instance) override;

 private:
  vfio::Core& core_;
  const IsPhysical is_physical_;
};

}  // namespace umdev::mdev
