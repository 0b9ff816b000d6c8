#include "apps/umdevd/daemon.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "apps/umdevd/worker_plan.h"
#include "umdev/control/dispatcher.h"
#include "umdev/control/paths.h"
#include "umdev/device/class.h"
#include "umdev/device/model.h"
#include "umdev/iommu/type1.h"
#include "umdev/mdev/vfio_mdev.h"
#include "umdev/os/spin_window.h"
#include "umdev/os/thread.h"

namespace umdev::daemon {
namespace {

constexpr mode_t directory_mode = 0700;
// Descriptors that are nobody's budget: loops, sockets of the daemon itself, standard streams.
constexpr std::uint64_t own_descriptors = 256;

std::unexpected<std::string> explain(std::string_view what, const Error& error) {
  return std::unexpected(fmt::format("{}: {} ({})", what, error.text, errno_name(error.code)));
}

// Every driver that a module registers serves its instances on sockets, as the daemon's own do.
class SocketWrapper final : public kernel::DriverWrapper {
 public:
  SocketWrapper(InstanceSockets& sockets, InstanceFunctions& functions, manage::KeptStates& kept)
      : sockets_(sockets), functions_(functions), kept_(kept) {}
  std::shared_ptr<mdev::BusDriver> wrap(std::shared_ptr<mdev::BusDriver> driver) override {
    return std::make_shared<ServedMdev>(std::move(driver), sockets_, functions_, kept_);
  }

 private:
  InstanceSockets& sockets_;
  InstanceFunctions& functions_;
  manage::KeptStates& kept_;
};

std::string first_word_of(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

}  // namespace

// Counts what is under way, and waits for its end for a while. Shared with the completions, which may come
// later still.
class Endings {
 public:
  void begin() {
    Lock lock(mutex_);
    ++left_;
  }
  void end() {
    Lock lock(mutex_);
    if (--left_ == 0) changed_.notify_all();
  }
  bool wait_until(Clock& clock, Time deadline) {
    Lock lock(mutex_);
    while (left_ > 0) {
      const Time now = clock.now();
      if (now >= deadline) return false;
      changed_.wait_for(mutex_, deadline - now);
    }
    return true;
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::size_t left_ UMDEV_GUARDED_BY(mutex_) = 0;
};

namespace {

Done<> ends(const std::shared_ptr<Endings>& endings) {
  endings->begin();
  return [endings](Result<>) { endings->end(); };
}

}  // namespace

void budget(DaemonOptions& options, std::uint64_t descriptors, std::uint64_t mappings) {
  const std::uint64_t spare = descriptors > own_descriptors ? descriptors - own_descriptors : 0;
  const std::uint64_t instances = spare / 2;
  options.limits.instances =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(options.limits.instances, instances));
  // A quarter, since what is taken away from a client in place splits mappings.
  options.vfio_user_limits.file_mappings = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(options.vfio_user_limits.file_mappings, mappings / 4));
}

std::expected<std::unique_ptr<Daemon>, std::string> Daemon::start(DaemonOptions options, Log& log,
                                                                  std::vector<os::PassedDescriptor> sockets) {
  std::error_code unknown;
  options.runtime_directory = std::filesystem::absolute(options.runtime_directory, unknown).string();
  if (options.state_directory.empty()) options.state_directory = options.runtime_directory + "/state";
  options.state_directory = std::filesystem::absolute(options.state_directory, unknown).string();
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options), log, std::move(sockets)));
  if (auto started = daemon->serve(); !started) {
    (void)daemon->stop();
    return std::unexpected(started.error());
  }
  return daemon;
}

Daemon::Started Daemon::claim_directory() {
  const std::string& directory = runtime_directory();
  if (auto made = os::make_directories(directory, directory_mode); !made)
    return explain(directory, made.error());
  if (opens_anything(options_.config))
    if (auto opened = os::let_others_pass(directory); !opened) return explain(directory, opened.error());
  const std::string lock_file = directory + "/" + std::string(control::lock_file_name);
  auto lock = os::LockFile::acquire(lock_file);
  if (lock) {
    lock_ = std::make_unique<os::LockFile>(std::move(*lock));
    return {};
  }
  if (lock.error().code != EBUSY) return explain(lock_file, lock.error());
  return std::unexpected(
      fmt::format("another umdevd (process {}) serves {}: stop it, or choose another --runtime-dir",
                  first_word_of(lock_file), directory));
}

Daemon::Started Daemon::claim_state() {
  const std::string& directory = state_directory();
  auto state = manage::StateDirectory::claim(directory);
  if (!state && state.error().code == EBUSY)
    return std::unexpected(
        fmt::format("another umdevd (process {}) keeps its state in {}: choose another --state-dir",
                    first_word_of(directory + "/" + std::string(manage::state_lock_name)), directory));
  if (!state) return explain(directory, state.error());
  state_ = std::move(*state);
  if (auto made = manage::make_mdevctl_root(runtime_directory(), state_->definitions()); !made)
    return explain(runtime_directory() + "/etc/mdevctl.d", made.error());
  return {};
}

Result<> Daemon::build_core() {
  model_ = UMDEV_TRY(device::Model::create(tree_));
  // There from the start, as in a kernel that had a group before: `umdev run` shows only what is there when
  // it begins, and links in class/vfio lead here.
  groups_directory_ = UMDEV_TRY(device::SharedDirectory::acquire(*model_, model_->virtual_devices(), "vfio"));
  loop_ = UMDEV_TRY(os::EventLoop::create());
  device_work_ = UMDEV_TRY(os::ThreadPool::create("umdev-device"));
  host_ = std::make_unique<os::SystemHost>(*loop_, *device_work_, log_);
  watcher_ = std::make_unique<LoopWatcher>(*loop_, log_);
  loop_thread_ = UMDEV_TRY(os::start_thread("umdev-core", [loop = loop_.get()] { loop->run(); }));
  core_ = UMDEV_TRY(vfio::Core::create(
      {.host = host_.get(), .model = model_.get(), .watcher = watcher_.get(), .limits = options_.limits}));
  iommu_ = std::make_shared<CountedIommu>(std::make_shared<iommu::Type1Driver>(*loop_, options_.limits));
  iommu_registration_ = UMDEV_TRY(core_->register_iommu_driver(iommu_));
  bus_ = UMDEV_TRY(mdev::Bus::create(*model_, *host_, options_.limits));
  return {};
}

Result<> Daemon::build_doors() {
  const WorkerPlan plan =
      plan_workers(options_.workers, std::max(1U, std::thread::hardware_concurrency()), options_.spin);
  if (plan.spin != options_.spin) log_.warning("workers do not look for work: no processor is left over");
  workers_ = UMDEV_TRY(os::WorkerPool::create(plan.workers));
  for (std::size_t index = 0; index < plan.workers; ++index)
    workers_->at(index).post([spin = plan.spin] {
      os::spin_of_this_thread().set_limit(spin);
      os::prefer_this_thread();  // where it may not, it runs as the others
    });
  vfio_user_ = std::make_unique<vfio_user::Server>(vfio_user::Server::Config{
      .core = core_.get(), .workers = workers_.get(), .log = &log_, .limits = options_.vfio_user_limits});
  sockets_ = UMDEV_TRY(InstanceSockets::create(
      *vfio_user_, runtime_directory() + "/" + std::string(control::vfio_user_directory_name),
      options_.config));
  UMDEV_TRY(take_sockets());
  functions_ = UMDEV_TRY(InstanceFunctions::create(*model_, *core_));
  mover_ = std::make_unique<manage::Mover>(
      *bus_, *core_, *host_, manage::Mover::Doors{.sessions = vfio_user_.get(), .watcher = watcher_.get()});
  kept_ = std::make_unique<manage::KeptStates>(
      manage::KeyedFiles(state_->kept(), state_->scratch(), os::system_file_calls(),
                         manage::moved_instance_max),
      *mover_, log_);
  bus_driver_ = UMDEV_TRY(bus_->register_driver(
      std::make_shared<ServedMdev>(std::make_shared<mdev::VfioMdev>(*core_, InstanceFunctions::is_function),
                                   *sockets_, *functions_, *kept_)));
  wrapper_ = std::make_unique<SocketWrapper>(*sockets_, *functions_, *kept_);
  world_ = std::make_unique<kernel::World>(kernel::WorldConfig{.core = core_.get(),
                                                               .bus = bus_.get(),
                                                               .host = host_.get(),
                                                               .threads = device_work_.get(),
                                                               .wrapper = wrapper_.get()});
  loader_ = std::make_unique<kernel::Loader>(*world_);
  return {};
}

Daemon::Started Daemon::load_modules() {
  for (const ModuleOption& module : options_.modules)
    if (const auto name = loader_->add(module.path, module.parameters); !name)
      return std::unexpected(
          fmt::format("module {} ({})", name.error().text, errno_name(name.error().error.code)));
  return {};
}

Result<> Daemon::take_sockets() {
  for (os::PassedDescriptor& socket : handed_) {
    if (socket.name == control_socket_fd_name) {
      control_socket_ = std::move(socket.fd);
      continue;
    }
    const auto uuid = Uuid::parse(socket.name);
    if (!uuid) return fail(EINVAL, "a socket was handed over that is neither \"control\" nor a UUID's");
    UMDEV_TRY(sockets_->hand_over(*uuid, std::move(socket.fd)));
  }
  handed_.clear();
  return {};
}

Daemon::Started Daemon::add_parent(const ParentConfig& config) {
  const auto what = [&] { return fmt::format("parent \"{}\"", config.name); };
  auto& device_class = classes_[config.driver->name];
  if (!device_class) {
    auto made = device::Class::create(*model_, std::string(config.driver->name));
    if (!made) return explain(what(), made.error());
    device_class = std::move(*made);
  }
  auto device = std::make_shared<device::Device>(
      *model_, device::Device::Spec{.name = config.name, .device_class = device_class});
  if (auto added = device->add(); !added) return explain(what(), added.error());
  devices_.push_back(device);
  MadeParent made = config.driver->make(config.options);
  made.spec.device = std::move(device);
  auto registration = bus_->register_parent(std::move(made.spec), std::move(made.driver));
  if (!registration) return explain(what(), registration.error());
  parents_.push_back(std::move(*registration));
  return {};
}

// Whoever needs no tree is served without one.
void Daemon::mount_tree() {
  const std::string path = runtime_directory() + "/" + std::string(control::tree_directory_name);
  auto mounted = TreeMount::create(tree_, path, *loop_, log_);
  if (mounted) {
    tree_mount_ = std::move(*mounted);
    metrics_link_.create(log_);
    return;
  }
  log_.warning(fmt::format("the tree is not mounted at {}: {} ({}). --no-tree leaves it out", path,
                           mounted.error().text, errno_name(mounted.error().code)));
}

// The same for programs.
void Daemon::mount_nodes() {
  const std::string path = runtime_directory() + "/" + std::string(control::nodes_directory_name);
  std::vector<dev_t> other_mounts;
  if (tree_mount_)
    if (const auto device = os::device_of(tree_mount_->path())) other_mounts.push_back(*device);
  auto mounted = DeviceNodes::create(tree_, *core_, path, log_, *device_work_, std::move(other_mounts));
  if (mounted) {
    nodes_ = std::move(*mounted);
    return;
  }
  log_.warning(fmt::format("no device nodes are mounted at {}: {} ({})", path, mounted.error().text,
                           errno_name(mounted.error().code)));
}

void Daemon::begin_automatic_starts() {
  definition_news_ = std::make_unique<DefinitionNews>(*news_, *kept_);
  definitions_ =
      std::make_unique<manage::Definitions>(manage::KeyedFiles(state_->definitions(), state_->scratch()),
                                            manage::KeyedFiles(state_->owners(), state_->scratch()),
                                            manage::Definitions::World{.bus = bus_.get(),
                                                                       .executor = calls_.get(),
                                                                       .log = &log_,
                                                                       .uid = ::geteuid(),
                                                                       .observer = definition_news_.get()});
  applier_ = std::make_unique<manage::Applier>(
      manage::Applier::World{.bus = bus_.get(), .definitions = definitions_.get(), .executor = calls_.get()});
  definitions_->tidy();
  kept_->tidy(manage::KeyedFiles(state_->definitions(), state_->scratch()));
  starts_ = std::make_shared<Endings>();
  definitions_->start_automatic(ends(starts_));
}

bool Daemon::wait_for_automatic_starts(Duration limit) {
  return starts_->wait_until(*loop_, loop_->now() + limit);
}

// Before the parents, whose registration is told too.
Daemon::Started Daemon::prepare_uevents() {
  if (options_.uevents.empty()) return {};
  auto sender = UeventSender::create(model_->events(), options_.uevents, log_);
  if (!sender) return explain("uevents: " + options_.uevents, sender.error());
  uevents_ = std::move(*sender);
  return {};
}

Daemon::Started Daemon::serve() {
  if (auto claimed = claim_directory(); !claimed) return claimed;
  if (auto claimed = claim_state(); !claimed) return claimed;
  if (auto built = build_core(); !built) return explain("cannot start", built.error());
  if (auto built = build_doors(); !built) return explain(runtime_directory(), built.error());
  if (auto prepared = prepare_uevents(); !prepared) return prepared;
  for (const ParentConfig& parent : options_.config.parents)
    if (auto added = add_parent(parent); !added) return added;
  if (auto loaded = load_modules(); !loaded) return loaded;
  if (options_.mount_tree) {
    mount_tree();
    mount_nodes();
  }
  if (uevents_)
    if (auto started = uevents_->start(); !started) return explain("uevents", started.error());
  auto calls = os::ThreadPool::create("umdev-call");
  if (!calls) return explain("cannot start", calls.error());
  calls_ = std::move(*calls);
  modules_ = std::make_unique<LoadedModules>(*loader_, *calls_, *loop_, log_);
  news_ = std::make_unique<control::News>(model_->events());
  begin_automatic_starts();
  if (auto published = publish_metrics(); !published) return explain("cannot start", published.error());
  management_ =
      std::make_unique<control::Management>(control::Management::World{.bus = bus_.get(),
                                                                       .executor = calls_.get(),
                                                                       .doors = this,
                                                                       .definitions = definitions_.get(),
                                                                       .applier = applier_.get(),
                                                                       .uid = ::geteuid(),
                                                                       .version = UMDEV_VERSION,
                                                                       .news = news_.get(),
                                                                       .metrics = &metrics_,
                                                                       .clock = loop_.get(),
                                                                       .mover = mover_.get(),
                                                                       .modules = modules_.get()});
  metrics_.add(*management_);
  dispatcher_ = std::make_unique<control::Dispatcher>(*management_);
  const std::string path = control::control_socket(runtime_directory());
  auto server = control::Server::start({.path = path,
                                        .file = control_socket_file(options_.config),
                                        .handed_socket = control_socket_.get(),
                                        .dispatcher = dispatcher_.get(),
                                        .log = &log_});
  if (!server) return explain(path, server.error());
  control_ = std::move(*server);
  return {};
}

// --- The end.

Daemon::~Daemon() {
  if (!stopped_) stuck_ = !stop();
  UMDEV_ASSERT(!stuck_, "a daemon with a stuck driver is not destroyed: the process has to end");
}

bool Daemon::stop(Duration limit) {
  if (stopped_) return !stuck_;
  stopped_ = true;
  if (!loop_) return true;
  const Time deadline = loop_->now() + limit;
  control_.reset();
  // Calls that have not begun are cancelled; what a driver does at this moment is waited for.
  if (calls_ && calls_->abandon_stuck(limit / 2) > 0) stuck_ = true;
  // Whoever waits for the end of a removal hears of it still.
  metrics_link_.remove();
  if (tree_mount_) tree_mount_->detach();
  // Programs are told by every call from now on, and let go by that.
  if (nodes_ && !nodes_->end(limit / 4)) stuck_ = true;
  if (kept_ && definitions_) keep_states(deadline);
  if (bus_) remove_instances(deadline);
  if (loader_) remove_modules(deadline);
  if (loader_ && loader_->has_abandoned()) stuck_ = true;
  if (bus_) remove_parents(deadline);
  if (tree_mount_ && !tree_mount_->end(limit / 4)) stuck_ = true;
  if (stuck_) {
    log_.error("a driver does not come back; ending without it");
    return false;
  }
  end_loops();
  return true;
}

// Of what is defined, and has a state that somebody may come back for.
void Daemon::keep_states(Time deadline) {
  const manage::KeyedFiles definitions(state_->definitions(), state_->scratch());
  const auto defined = definitions.list();
  if (!defined) return;
  std::vector<manage::DefinitionKey> keys;
  for (const manage::DefinitionKey& key : defined->keys) {
    const auto instance = bus_->find(key.uuid);
    const auto device = instance ? (*instance)->vfio_device() : nullptr;
    if (device && (*instance)->mdev_parent().name() == key.parent &&
        (device->open_count() > 0 || device->arrival()))
      keys.push_back(key);
  }
  const auto endings = std::make_shared<Endings>();
  kept_->save(std::move(keys), ends(endings));
  if (!endings->wait_until(*loop_, deadline)) stuck_ = true;
}

// By force, also those that wait for their users at this moment.
void Daemon::remove_instances(Time deadline) {
  const auto endings = std::make_shared<Endings>();
  for (const auto& instance : bus_->instances())
    bus_->remove(instance->uuid(), RemovePolicy::force, ends(endings));
  if (!endings->wait_until(*loop_, deadline)) stuck_ = true;
}

// A module may take its time, so on a thread that can be left behind.
void Daemon::remove_modules(Time deadline) {
  if (stuck_ || loader_->list().empty()) return;
  const auto pool = os::ThreadPool::create("umdev-end");
  if (!pool) {
    stuck_ = true;
    return;
  }
  const auto endings = std::make_shared<Endings>();
  endings->begin();
  (*pool)->post([loader = loader_.get(), endings] {
    loader->end_all();
    endings->end();
  });
  if (endings->wait_until(*loop_, deadline)) return;
  stuck_ = true;
  (*pool)->abandon_stuck(Duration::zero());
}

void Daemon::remove_parents(Time deadline) {
  if (stuck_) return;
  const auto endings = std::make_shared<Endings>();
  for (Registration& parent : parents_) parent.unregister(RemovePolicy::force, ends(endings));
  if (!endings->wait_until(*loop_, deadline)) stuck_ = true;
  if (stuck_) return;
  parents_.clear();
  for (const auto& device : devices_) device->remove(RemovePolicy::force, ends(endings));
  if (bus_driver_) bus_driver_.unregister(RemovePolicy::force, ends(endings));
  if (!endings->wait_until(*loop_, deadline)) stuck_ = true;
  devices_.clear();
  classes_.clear();
}

// Nothing is left that could begin something new; from here on nothing runs but this thread.
void Daemon::end_loops() {
  uevents_.reset();
  tree_mount_.reset();
  nodes_.reset();
  vfio_user_.reset();
  if (workers_) workers_->stop();
  calls_.reset();
  if (device_work_) device_work_->abandon_stuck(std::chrono::seconds(1));
  if (iommu_registration_) iommu_registration_.unregister(RemovePolicy::force, Done<>([](Result<>) {}));
  if (loop_thread_.joinable()) {
    loop_->stop();
    loop_thread_.join();
  }
  loop_->discard_pending();
}

}  // namespace umdev::daemon
