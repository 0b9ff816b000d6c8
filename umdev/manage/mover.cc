#include "umdev/manage/mover.h"

#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/manage/restore.h"
#include "umdev/mdev/instance.h"
#include "umdev/vfio/device_user.h"
#include "umdev/vfio/group.h"

namespace umdev::manage {
namespace {

using vfio::MigrationState;
constexpr std::uint32_t config_region = abi::vfio_pci_config_region_index;

// A use of a device: somebody else's file, or a container, a group and a file of our own.
struct Use {
  std::shared_ptr<vfio::RegisteredDevice> device;
  std::shared_ptr<vfio::Container> container;
  std::shared_ptr<vfio::GroupFile> group;
  std::shared_ptr<vfio::DeviceFile> file;

  bool is_ours() const { return container != nullptr; }
};

void open_device(vfio::Core& core, std::shared_ptr<vfio::RegisteredDevice> device,
                 Done<std::shared_ptr<Use>> done) {
  auto use = std::make_shared<Use>();
  use->device = std::move(device);
  use->container = core.open_container();
  const auto prepared = [&]() -> Result<> {
    use->group = UMDEV_TRY(core.open_group(use->device->group()->iommu_group().number()));
    UMDEV_TRY(use->group->set_container(use->container));
    return use->container->set_iommu(abi::vfio_type1v2_iommu);
  }();
  if (!prepared) return done(std::unexpected(prepared.error()));
  struct Opening {
    std::shared_ptr<Use> use;
    Done<std::shared_ptr<Use>> done;
  };
  auto opening = std::make_shared<Opening>(use, std::move(done));
  use->group->get_device(use->device->name(), [opening](Result<std::shared_ptr<vfio::DeviceFile>> file) {
    if (!file) return opening->done(std::unexpected(file.error()));
    opening->use->file = std::move(*file);
    opening->done(std::move(opening->use));
  });
}

Result<std::vector<std::byte>> read_all(vfio::MigrationFile& stream) {
  std::vector<std::byte> all;
  std::vector<std::byte> buffer(4096);
  for (;;) {
    const std::size_t count = UMDEV_TRY(stream.read(buffer));
    if (count == 0) return all;
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
    if (all.size() > moved_instance_max) return fail(E2BIG, "the device's state is too large to be moved");
  }
}

}  // namespace

class Mover::State : public std::enable_shared_from_this<State> {
 public:
  State(mdev::Bus& the_bus, vfio::Core& the_core, DeviceHost& the_host)
      : bus(the_bus), core(the_core), host(the_host) {}

  class Saving;
  struct Loading;
  // A device that stands still until somebody says what became of it; without a use while it is being saved.
  struct Waiting {
    std::shared_ptr<Use> use;
    std::shared_ptr<const MovedInstance> moved;
    Timer timer;
  };

  Result<> reserve(const Uuid& uuid) UMDEV_EXCLUDES(mutex) {
    Lock lock(mutex);
    if (!waiting.try_emplace(uuid).second) return fail(EBUSY, "the instance is being moved already");
    return {};
  }
  void forget(const Uuid& uuid) UMDEV_EXCLUDES(mutex) {
    Waiting gone;
    Lock lock(mutex);
    gone = std::move(waiting[uuid]);
    waiting.erase(uuid);
  }
  void wait(const Uuid& uuid, Waiting saved) UMDEV_EXCLUDES(mutex) {
    saved.timer = host.clock().after(patience, [weak = weak_from_this(), uuid] {
      if (auto self = weak.lock())
        self->host.post([self, uuid] { self->end(uuid, /*moved=*/false, [](Result<>) {}); });
    });
    Lock lock(mutex);
    waiting[uuid] = std::move(saved);
  }
  void end(const Uuid& uuid, bool moved, Done<> done) UMDEV_EXCLUDES(mutex);
  void end_all() UMDEV_EXCLUDES(mutex);
  // The device runs on with its state, also when nobody else uses it.
  static void run_on(Waiting waited, Done<> done);

  mdev::Bus& bus;
  vfio::Core& core;
  DeviceHost& host;

  Mutex mutex;
  std::map<Uuid, Waiting> waiting UMDEV_GUARDED_BY(mutex);
};

// --- Out.

class Mover::State::Saving : public std::enable_shared_from_this<Saving> {
 public:
  Saving(std::shared_ptr<State> state, std::shared_ptr<mdev::Instance> instance,
         Done<std::vector<std::byte>> done)
      : state_(std::move(state)), instance_(std::move(instance)), done_(std::move(done)) {}

  void begin() {
    const auto device = instance_->vfio_device();
    if (!device) return failed(Error{ENODEV, "the instance has no VFIO device"});
    arrival_ = device->arrival();
    if (auto file = device->open_file()) {
      use_ = std::make_shared<Use>();
      use_->device = device;
      use_->file = std::move(file);
      return stop();
    }
    open_device(state_->core, device, [self = shared_from_this()](Result<std::shared_ptr<Use>> use) {
      if (!use) return self->failed(use.error());
      self->use_ = std::move(*use);
      self->stop();
    });
  }

 private:
  void stop() {
    const auto at = use_->file->migration_state();
    if (!at) return failed(Error{EOPNOTSUPP, "the device's driver cannot move it"});
    if (*at != MigrationState::running) return failed(Error{EBUSY, "its user is moving the device"});
    use_->file->set_migration_state(
        MigrationState::stop_copy,
        [self = shared_from_this()](Result<std::shared_ptr<vfio::MigrationFile>> stream) {
          if (!stream) return self->run_on(stream.error());
          auto bytes = read_all(**stream);
          if (!bytes) return self->run_on(bytes.error());
          self->moved_->state = std::move(*bytes);
          self->read_config();
        });
  }

  void read_config() {
    const auto info = use_->file->info();
    if (!info) return run_on(info.error());
    for (std::uint32_t index = 0; index < info->num_irqs; ++index)
      moved_->interrupts.push_back(use_->file->user().irqs().enabled(index));
    if ((info->flags & abi::vfio_device_flags_pci) == 0) return saved();
    const auto region = use_->file->region_info(config_region);
    if (!region) return run_on(region.error());
    config_->resize(region->size);
    use_->file->read(config_region, 0, *config_, config_,
                     [self = shared_from_this()](Result<std::size_t> count) {
                       if (!count) return self->run_on(count.error());
                       self->moved_->config = *self->config_;
                       self->saved();
                     });
  }

  void saved() {
    moved_->uuid = instance_->uuid();
    moved_->parent = instance_->mdev_parent().name();
    moved_->type = instance_->type().id();
    auto stream = to_stream(*moved_);
    if (!stream) return run_on(stream.error());
    state_->wait(instance_->uuid(), {.use = std::move(use_), .moved = moved_, .timer = {}});
    done_(std::move(*stream));
  }

  // It could not be saved, and goes on.
  void run_on(const Error& error) {
    use_->file->set_migration_state(
        MigrationState::running, [self = shared_from_this(), error](
                                     Result<std::shared_ptr<vfio::MigrationFile>>) { self->failed(error); });
  }

  void failed(const Error& error) {
    if (use_ && use_->is_ours() && arrival_) use_->device->set_arrival(arrival_);
    use_.reset();
    state_->forget(instance_->uuid());
    done_(std::unexpected(error));
  }

  const std::shared_ptr<State> state_;
  const std::shared_ptr<mdev::Instance> instance_;
  Done<std::vector<std::byte>> done_;
  std::shared_ptr<vfio::Arrival> arrival_;
  std::shared_ptr<Use> use_;
  const std::shared_ptr<MovedInstance> moved_ = std::make_shared<MovedInstance>();
  const std::shared_ptr<std::vector<std::byte>> config_ = std::make_shared<std::vector<std::byte>>();
};

void Mover::State::end(const Uuid& uuid, bool moved, Done<> done) {
  Waiting waited;
  {
    Lock lock(mutex);
    const auto found = waiting.find(uuid);
    if (found == waiting.end() || !found->second.use)
      return done(fail(ESRCH, "the instance is not being moved"));
    waited = std::move(found->second);
    waiting.erase(found);
  }
  if (!moved) return run_on(std::move(waited), std::move(done));
  waited.use.reset();
  bus.remove(uuid, RemovePolicy::force, std::move(done));
}

void Mover::State::run_on(Waiting waited, Done<> done) {
  struct Ending {
    Waiting waited;
    Done<> done;
  };
  auto ending = std::make_shared<Ending>(std::move(waited), std::move(done));
  ending->waited.use->file->set_migration_state(
      MigrationState::running, [ending](Result<std::shared_ptr<vfio::MigrationFile>> result) {
        Use& use = *ending->waited.use;
        // Ours ends, and with it the device goes back to power-on.
        if (use.is_ours()) use.device->set_arrival(std::make_shared<Arrived>(ending->waited.moved));
        ending->waited.use.reset();
        ending->done(result ? Result<>{} : std::unexpected(result.error()));
      });
}

void Mover::State::end_all() {
  std::map<Uuid, Waiting> all;
  {
    Lock lock(mutex);
    std::swap(all, waiting);
  }
  for (auto& [uuid, waited] : all)
    if (waited.use) run_on(std::move(waited), [](Result<>) {});
}

// --- In.

struct Mover::State::Loading : std::enable_shared_from_this<Loading> {
  std::shared_ptr<State> state;
  std::shared_ptr<const MovedInstance> moved;
  std::shared_ptr<Use> use;
  Done<Uuid> done;

  void created() {
    const auto instance = state->bus.find(moved->uuid);
    const auto device = instance ? (*instance)->vfio_device() : nullptr;
    if (!device) return failed(Error{ENODEV, "the instance has no VFIO device"});
    open_device(state->core, device, [self = shared_from_this()](Result<std::shared_ptr<Use>> opened) {
      if (!opened) return self->failed(opened.error());
      self->use = std::move(*opened);
      restore(self->moved, self->use->file, [self](Result<> restored) {
        if (!restored) return self->failed(restored.error());
        // It fits; and it is there again for whoever comes first.
        self->use->device->set_arrival(std::make_shared<Arrived>(self->moved));
        self->use.reset();
        self->done(self->moved->uuid);
      });
    });
  }

  void failed(const Error& error) {
    use.reset();
    state->bus.remove(moved->uuid, RemovePolicy::force,
                      [self = shared_from_this(), error](Result<>) { self->done(std::unexpected(error)); });
  }
};

Mover::Mover(mdev::Bus& bus, vfio::Core& core, DeviceHost& host)
    : state_(std::make_shared<State>(bus, core, host)) {}

Mover::~Mover() {
  state_->end_all();
}

void Mover::save(const Uuid& uuid, Done<std::vector<std::byte>> done) {
  auto instance = state_->bus.find(uuid);
  if (!instance) return done(std::unexpected(instance.error()));
  if (const auto reserved = state_->reserve(uuid); !reserved) return done(std::unexpected(reserved.error()));
  std::make_shared<State::Saving>(state_, std::move(*instance), std::move(done))->begin();
}

void Mover::end(const Uuid& uuid, bool moved, Done<> done) {
  state_->end(uuid, moved, std::move(done));
}

void Mover::load(ConstBytes stream, const std::string& parent, const mdev::Owner& owner, Done<Uuid> done) {
  auto moved = moved_instance_of(stream);
  if (!moved) return done(std::unexpected(moved.error()));
  auto loading = std::make_shared<State::Loading>();
  loading->state = state_;
  loading->moved = std::make_shared<const MovedInstance>(std::move(*moved));
  loading->done = std::move(done);
  mdev::CreateRequest request{.parent = parent.empty() ? loading->moved->parent : parent,
                              .type = loading->moved->type,
                              .uuid = loading->moved->uuid,
                              .owner = owner,
                              .attributes = {}};
  state_->bus.create(std::move(request), [loading](Result<> created) {
    if (!created) return loading->done(std::unexpected(created.error()));
    loading->created();
  });
}

}  // namespace umdev::manage
