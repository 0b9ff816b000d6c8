// A driver of the mdev bus, the generic one or a module's, and a vfio-user socket for every instance that it
// takes. By whatever way an instance comes and goes, its socket does with it.
#pragma once

#include "apps/umdevd/instance_sockets.h"
#include "umdev/manage/kept_states.h"
#include "umdev/mdev/bus_driver.h"

namespace umdev::daemon {

// Threads: as mdev::BusDriver. The sockets outlive it.
class ServedMdev final : public mdev::BusDriver {
 public:
  ServedMdev(std::shared_ptr<mdev::BusDriver> inner, InstanceSockets& sockets, manage::KeptStates& kept)
      : inner_(std::move(inner)), sockets_(sockets), kept_(kept) {}

  // ^device::Driver and mdev::BusDriver: what it is called is the inner driver's, which parents ask for.
  std::string_view name() const override { return inner_->name(); }
  std::string_view module_name() const override { return inner_->module_name(); }
  device::AttributeGroups device_groups() const override { return inner_->device_groups(); }
  std::span<const std::string_view> device_apis() const override { return inner_->device_apis(); }
  // What was kept of it is there before the socket, and the socket when the probe completes; when that cannot
  // be had, the probe fails with its error.
  void probe_instance(mdev::Instance& instance, Done<> done) override;
  // The socket goes at once, so that nobody new comes; unless `busy` refuses.
  void remove_instance(mdev::Instance& instance, RemovePolicy policy, Done<> done) override;
  // Sessions that have the device end with it; a client that is connected without has until the version
  // deadline.
  void force_remove_instance(mdev::Instance& instance) override { inner_->force_remove_instance(instance); }

 private:
  void remove_if_unused(mdev::Instance& instance, Done<> done);

  const std::shared_ptr<mdev::BusDriver> inner_;
  InstanceSockets& sockets_;
  manage::KeptStates& kept_;
};

}  // namespace umdev::daemon
