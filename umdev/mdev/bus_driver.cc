#include "umdev/mdev/bus_driver.h"

#include "umdev/mdev/instance.h"

namespace umdev::mdev {

// Only instances are ever added to the mdev bus.

void BusDriver::begin_probe(device::Device& device, Done<> done) {
  probe_instance(static_cast<Instance&>(device), std::move(done));
}

void BusDriver::begin_remove(device::Device& device, RemovePolicy policy, Done<> done) {
  remove_instance(static_cast<Instance&>(device), policy, std::move(done));
}

void BusDriver::force_remove(device::Device& device) {
  force_remove_instance(static_cast<Instance&>(device));
}

}  // namespace umdev::mdev
