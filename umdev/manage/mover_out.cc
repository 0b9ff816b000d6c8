// An instance that goes: its device stops, and everything of it is written down.
#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/manage/mover_state.h"
#include "umdev/mdev/instance.h"
#include "umdev/os/unix_socket.h"

namespace umdev::manage {
namespace {

using vfio::MigrationState;
constexpr std::uint32_t config_region = abi::vfio_pci_config_region_index;

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

class Mover::State::Saving : public std::enable_shared_from_this<Saving> {
 public:
  Saving(std::shared_ptr<State> state, std::shared_ptr<mdev::Instance> instance, Clients clients,
         Done<Departure> done)
      : state_(std::move(state)), instance_(std::move(instance)), clients_(clients), done_(std::move(done)) {}

  void reserve_and_begin() {
    if (const auto reserved = state_->reserve(instance_->uuid()); !reserved)
      return done_(std::unexpected(reserved.error()));
    begin();
  }

 private:
  void begin() {
    const auto device = instance_->vfio_device();
    if (!device) return failed(Error{ENODEV, "the instance has no VFIO device"});
    sessions_ = state_->sessions_of(*device);
    if (!sessions_) return find_use(device);
    sessions_->pause([self = shared_from_this(), device](Result<>) {
      // Not on a thread that serves clients.
      self->state_->host.post([self, device] { self->find_use(device); });
    });
  }

  void find_use(const std::shared_ptr<vfio::RegisteredDevice>& device) {
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
    if ((info->flags & abi::vfio_device_flags_pci) == 0) return take_client();
    const auto region = use_->file->region_info(config_region);
    if (!region) return run_on(region.error());
    config_->resize(region->size);
    use_->file->read(config_region, 0, *config_, config_,
                     [self = shared_from_this()](Result<std::size_t> count) {
                       if (!count) return self->run_on(count.error());
                       self->moved_->config = *self->config_;
                       self->take_client();
                     });
  }

  void take_client() {
    if (clients_ == Clients::leave || use_->is_ours()) return saved();
    departure_.why = "it does not use the device by its socket";
    if (!sessions_) return saved();
    sessions_->take([self = shared_from_this()](Result<std::optional<vfio::MovedSession>> taken) {
      auto session = std::make_shared<Result<std::optional<vfio::MovedSession>>>(std::move(taken));
      self->state_->host.post([self, session] {
        if (const auto packed = self->pack_client(std::move(*session)); !packed) {
          self->departure_.why = packed.error().text;
          self->token_.reset();
        }
        self->saved();
      });
    });
  }

  Result<> pack_client(Result<std::optional<vfio::MovedSession>> taken) {
    std::optional<vfio::MovedSession> session = UMDEV_TRY(std::move(taken));
    if (!session) return {};
    if (session->shares_device) return fail(EOPNOTSUPP, "it has memory or eventfds of the device's own");
    auto [ours, theirs] = UMDEV_TRY(os::make_socket_pair());
    MovedClient client;
    departure_.descriptors =
        UMDEV_TRY(pack({.token = std::move(theirs), .session = *std::move(session)}, client));
    moved_->client = client;
    token_ = std::move(ours);
    departure_.why = {};
    return {};
  }

  void saved() {
    moved_->uuid = instance_->uuid();
    moved_->parent = instance_->mdev_parent().name();
    moved_->type = instance_->type().id();
    auto stream = to_stream(*moved_);
    if (!stream) return run_on(stream.error());
    departure_.stream = std::move(*stream);
    state_->wait(instance_->uuid(), {.use = std::move(use_),
                                     .sessions = std::move(sessions_),
                                     .moved = moved_,
                                     .token = std::move(token_),
                                     .timer = {}});
    done_(std::move(departure_));
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
    if (sessions_) sessions_->resume();
    state_->forget(instance_->uuid());
    done_(std::unexpected(error));
  }

  const std::shared_ptr<State> state_;
  const std::shared_ptr<mdev::Instance> instance_;
  const Clients clients_;
  Done<Departure> done_;
  Departure departure_;
  os::UniqueFd token_;
  std::shared_ptr<vfio::Arrival> arrival_;
  std::shared_ptr<vfio::DeviceSessions> sessions_;
  std::shared_ptr<Use> use_;
  const std::shared_ptr<MovedInstance> moved_ = std::make_shared<MovedInstance>();
  const std::shared_ptr<std::vector<std::byte>> config_ = std::make_shared<std::vector<std::byte>>();
};

void Mover::save(const Uuid& uuid, Clients clients, Done<Departure> done) {
  auto instance = state_->bus.find(uuid);
  if (!instance) return done(std::unexpected(instance.error()));
  auto saving = std::make_shared<State::Saving>(state_, std::move(*instance), clients, std::move(done));
  Work begin([saving] { saving->reserve_and_begin(); });
  if (!state_->run_after_arrival(uuid, begin)) saving->reserve_and_begin();
}

}  // namespace umdev::manage
