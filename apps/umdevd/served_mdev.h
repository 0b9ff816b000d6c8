// A driver of the mdev bus, the generic one or a module's, and for every instance that it takes a vfio-user
// socket, and a PCI function where its creator asks for one. By whatever way an instance comes and goes,
// these do with it.
#pragma once

#include "apps/umdevd/instance_functions.h"
#include "apps/umdevd/instance_sockets.h"
#include "umdev/manage/kept_states.h"
#include "umdev/mdev/bus_driver.h"

namespace umdev::daemon {

// Threads: as mdev::BusDriver. Sockets and functions outlive it.
class ServedMdev final : public mdev::BusDriver {
 public:
  ServedMdev(std::shared_ptr<mdev::BusDriver> inner, InstanceSockets& sockets, InstanceFunctions& functions,
             manage::KeptStates& kept)
      : inner_(std::move(inner)), sockets_(sockets), functions_(functions), kept_(kept) {}

  // ^device::Driver and mdev::BusDriver: what it is called is the inner driver's, which parents ask for.
  std::string_view name() const override { return inner_->name(); }
  std::string_view module_name() const override { return inner_->module_name(); }
  device::AttributeGroups device_groups() const override { return inner_->device_groups(); }
  std::span<const std::string_view> device_apis() const override { return inner_->device_apis(); }
  // What was kept of it is there before socket and function, and these when the probe completes; when one of
  // them cannot be had, the probe fails with its error.
  void probe_instance(mdev::Instance& instance, Done<> done) override;
  // The socket goes at once, so that nobody new comes; unless `busy` refuses.
  void remove_instance(mdev::Instance& instance, RemovePolicy policy, Done<> done) override;
  // Sessions that have the device end with it; a client that is connected without has until the version
  // deadline.
  void force_remove_instance(mdev::Instance& instance) override;

 private:
  Result<> open_doors(mdev::Instance& instance);
  void remove_if_unused(mdev::Instance& instance, Done<> done);

  const std::shared_ptr<mdev::BusDriver> inner_;
  InstanceSockets& sockets_;
  InstanceFunctions& functions_;
  manage::KeptStates& kept_;
};

}  // namespace umdev::daemon
