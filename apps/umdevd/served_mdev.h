// The daemon's driver of the mdev bus: the generic one, and a vfio-user socket for every instance that it
// takes. By whatever way an instance comes and goes, its socket does with it.
#pragma once

#include "apps/umdevd/instance_sockets.h"
#include "umdev/manage/kept_states.h"
#include "umdev/mdev/vfio_mdev.h"

namespace umdev::daemon {

// Threads: as mdev::BusDriver. The core and the sockets outlive it.
class ServedMdev final : public mdev::BusDriver {
 public:
  ServedMdev(vfio::Core& core, InstanceSockets& sockets, manage::KeptStates& kept)
      : vfio_(core), sockets_(sockets), kept_(kept) {}

  // ^mdev::BusDriver: the name is the generic driver's, which parents ask for.
  std::string_view name() const override { return vfio_.name(); }
  std::string_view module_name() const override { return vfio_.module_name(); }
  std::span<const std::string_view> device_apis() const override { return vfio_.device_apis(); }
  // What was kept of it is there before the socket, and the socket when the probe completes; when that cannot
  // be had, the probe fails with its error.
  void probe_instance(mdev::Instance& instance, Done<> done) override;
  // The socket goes at once, so that nobody new comes; unless `busy` refuses.
  void remove_instance(mdev::Instance& instance, RemovePolicy policy, Done<> done) override;
  // Sessions that have the device end with it; a client that is connected without has until the version
  // deadline.
  void force_remove_instance(mdev::Instance& instance) override { vfio_.force_remove_instance(instance); }

 private:
  void remove_if_unused(mdev::Instance& instance, Done<> done);

  mdev::VfioMdev vfio_;
  InstanceSockets& sockets_;
  manage::KeptStates& kept_;
};

}  // namespace umdev::daemon
