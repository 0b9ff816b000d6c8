// The bus side: drivers of the mdev bus, which make something usable of an instance.
#pragma once

#include <span>
#include <string_view>

#include "umdev/device/driver.h"

namespace umdev::mdev {

class Instance;

// A driver on the bus "mdev" (the kernel's struct mdev_driver). Derive from it and register it with
// Bus::register_driver. Probe adds the instance to VFIO, remove takes it out again: that is a bus driver's
// whole duty. Threads: as device::Driver.
class BusDriver : public device::Driver {
 public:
  // The device APIs ("vfio-pci", ...) whose instances it takes. Mandatory: registering a driver without any
  // is EINVAL.
  virtual std::span<const std::string_view> device_apis() const = 0;

  virtual void probe_instance(Instance& instance, Done<> done) = 0;
  // Under RemovePolicy::busy, and only then, an error (EBUSY) refuses.
  virtual void remove_instance(Instance& instance, RemovePolicy policy, Done<> done) = 0;
  // remove_instance, under RemovePolicy::wait, waits still, and now shall be forced. May come more than once,
  // and may just miss the completion.
  virtual void force_remove_instance(Instance& /*instance*/) {}

  // A mediated device has no DMA of its own.
  bool manages_dma() const override { return true; }

  // ^device::Driver
  void begin_probe(device::Device& device, Done<> done) final;
  void begin_remove(device::Device& device, RemovePolicy policy, Done<> done) final;
  void force_remove(device::Device& device) final;
};

}  // namespace umdev::mdev
