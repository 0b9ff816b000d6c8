// The whole world of one umdevd, as a value: two of them live side by side in one process.
//
// Threads. start() begins: the core's loop (timers, unmask eventfds), the workers (vfio-user sessions), the
// control server's, and two pools that grow when a driver hangs (calls of the control socket; work that
// drivers post). Public members are for any one thread that is none of those.
// Lifetimes. The log outlives the daemon. What is built later is lent what was built before, and ends before
// it: see the order of the members.
// Errors. What a daemon cannot start without is told in a text for people.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "apps/umdevd/config.h"
#include "apps/umdevd/counted_iommu.h"
#include "apps/umdevd/definition_news.h"
#include "apps/umdevd/device_nodes.h"
#include "apps/umdevd/instance_sockets.h"
#include "apps/umdevd/loaded_modules.h"
#include "apps/umdevd/loop_watcher.h"
#include "apps/umdevd/metrics_file.h"
#include "apps/umdevd/module_options.h"
#include "apps/umdevd/served_mdev.h"
#include "apps/umdevd/tree_mount.h"
#include "apps/umdevd/uevent_sender.h"
#include "umdev/control/management.h"
#include "umdev/control/news.h"
#include "umdev/control/server.h"
#include "umdev/manage/apply.h"
#include "umdev/manage/definitions.h"
#include "umdev/manage/kept_states.h"
#include "umdev/manage/mover.h"
#include "umdev/manage/state_directory.h"
#include "umdev/mdev/bus.h"
#include "umdev/os/directory.h"
#include "umdev/os/notify.h"
#include "umdev/os/system_host.h"
#include "umdev/os/thread_pool.h"
#include "umdev/os/worker_pool.h"
#include "umdev/support/limits.h"
#include "umdev/tree/tree.h"
#include "umdev/vfio/core.h"
#include "umdev/vfio_user/server.h"

namespace umdev::daemon {

// What the control socket is called among sockets that are handed over.
inline constexpr std::string_view control_socket_fd_name = "control";

struct DaemonOptions {
  std::string runtime_directory;  // is made when it is missing
  std::string state_directory;    // the same; empty: "state" in the runtime directory
  Config config;
  std::vector<ModuleOption> modules;  // in this order
  std::string uevents;  // the network namespace that is sent them: a path, "self", or empty: none
  // At RUNTIME/sys, and nodes at RUNTIME/dev; goes on without where FUSE cannot be had.
  bool mount_tree = false;
  std::size_t workers = 0;           // 0: as many as there are processors, 4 at most
  Duration spin = Duration::zero();  // how long they look for work before they sleep; see worker_plan.h
  Limits limits;
  vfio_user::Limits vfio_user_limits;
};

// What this process has, shared out: an instance takes one descriptor (its socket), a session several
// more. Half of the descriptors are for instances.
void budget(DaemonOptions& options, std::uint64_t descriptors, std::uint64_t mappings);

class Endings;

class Daemon final : public control::Doors, public manage::MetricSource {
 public:
  // Serves when it returns. `sockets` were handed over: "control", and UUIDs of instances.
  static std::expected<std::unique_ptr<Daemon>, std::string> start(
      DaemonOptions options, Log& log, std::vector<os::PassedDescriptor> sockets = {});
  // As stop(), which must succeed.
  ~Daemon() override;

  // Ends sessions, instances and parents, and removes the sockets. False when a driver does not come back
  // within `limit`: then the process has to end without destroying this (_exit()).
  [[nodiscard]] bool stop(Duration limit = std::chrono::seconds(20));

  // Waits until what is defined for it has been started, or could not be; false when that takes longer.
  bool wait_for_automatic_starts(Duration limit);

  const std::string& runtime_directory() const { return options_.runtime_directory; }
  const std::string& state_directory() const { return options_.state_directory; }
  mdev::Bus& bus() { return *bus_; }
  vfio::Core& core() { return *core_; }
  tree::Tree& tree() { return tree_; }
  manage::Definitions& definitions() { return *definitions_; }

  // Null when the tree is not mounted.
  const TreeMount* tree_mount() const { return tree_mount_.get(); }

  // ^control::Doors
  control::SocketPaths socket_of(const Uuid& uuid) const override { return sockets_->paths_of(uuid); }
  Result<std::unique_ptr<control::Topic>> trace_of(const Uuid& uuid) const override;
  std::vector<control::SessionReport> sessions() const override;
  std::vector<control::NumberGroup> numbers() const override;

  // ^manage::MetricSource
  void report(manage::MetricSet& set) const override;

 private:
  using Started = std::expected<void, std::string>;

  Daemon(DaemonOptions options, Log& log, std::vector<os::PassedDescriptor> sockets)
      : options_(std::move(options)),
        log_(log),
        handed_(std::move(sockets)),
        metrics_link_(options_.runtime_directory) {}

  Started claim_directory();
  Started claim_state();
  Result<> build_core();
  Result<> build_doors();
  Result<> take_sockets();
  Started add_parent(const ParentConfig& parent);
  Started load_modules();
  void begin_automatic_starts();
  Started prepare_uevents();
  Started serve();
  void mount_tree();
  void mount_nodes();
  // Last of what is reported on: it may be read at once.
  Result<> publish_metrics();

  void keep_states(Time deadline);
  void remove_instances(Time deadline);
  void remove_modules(Time deadline);
  void remove_parents(Time deadline);
  void end_loops();

  DaemonOptions options_;
  Log& log_;
  std::vector<os::PassedDescriptor> handed_;  // until they are taken
  std::unique_ptr<os::LockFile> lock_;
  std::unique_ptr<manage::StateDirectory> state_;

  manage::Metrics metrics_;
  tree::Tree tree_;
  std::unique_ptr<device::Model> model_;
  device::SharedDirectory groups_directory_;
  std::unique_ptr<os::EventLoop> loop_;
  std::unique_ptr<os::ThreadPool> device_work_;
  std::unique_ptr<os::SystemHost> host_;
  std::unique_ptr<LoopWatcher> watcher_;
  std::unique_ptr<vfio::Core> core_;
  std::shared_ptr<CountedIommu> iommu_;
  Registration iommu_registration_;
  std::unique_ptr<os::WorkerPool> workers_;
  std::unique_ptr<vfio_user::Server> vfio_user_;
  std::unique_ptr<InstanceSockets> sockets_;
  std::unique_ptr<InstanceFunctions> functions_;
  os::UniqueFd control_socket_;  // that was handed over
  std::unique_ptr<mdev::Bus> bus_;
  std::unique_ptr<manage::Mover> mover_;
  std::unique_ptr<manage::KeptStates> kept_;
  Registration bus_driver_;
  std::unique_ptr<kernel::DriverWrapper> wrapper_;
  std::unique_ptr<kernel::World> world_;
  std::unique_ptr<kernel::Loader> loader_;
  std::map<std::string_view, std::shared_ptr<device::Class>> classes_;
  std::vector<std::shared_ptr<device::Device>> devices_;
  std::vector<Registration> parents_;
  tree::NodeHandle metrics_nodes_;
  MetricsLink metrics_link_;
  std::unique_ptr<control::News> news_;
  std::unique_ptr<DefinitionNews> definition_news_;
  std::unique_ptr<manage::Definitions> definitions_;
  std::unique_ptr<manage::Applier> applier_;
  std::unique_ptr<control::Management> management_;
  std::unique_ptr<control::Dispatcher> dispatcher_;
  std::unique_ptr<os::ThreadPool> calls_;
  std::unique_ptr<LoadedModules> modules_;
  std::unique_ptr<control::Server> control_;
  std::unique_ptr<TreeMount> tree_mount_;
  std::unique_ptr<DeviceNodes> nodes_;
  std::unique_ptr<UeventSender> uevents_;
  std::thread loop_thread_;
  std::shared_ptr<Endings> starts_;
  bool stopped_ = false;
  bool stuck_ = false;
};

}  // namespace umdev::daemon
