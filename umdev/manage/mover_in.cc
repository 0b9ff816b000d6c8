// An instance that comes: it is made, its device gets its state, and its client goes on.
#include <optional>
#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/manage/mover_state.h"
#include "umdev/manage/restore.h"
#include "umdev/mdev/instance.h"

namespace umdev::manage {

using vfio::MigrationState;

class Mover::State::Loading : public std::enable_shared_from_this<Loading> {
 public:
  Loading(std::shared_ptr<State> state, std::shared_ptr<const MovedInstance> moved,
          std::optional<Handover> client, Done<Uuid> done)
      : state_(std::move(state)),
        moved_(std::move(moved)),
        client_(std::move(client)),
        done_(std::move(done)) {}

  void created(const Result<>& created) {
    if (!created) return done_(std::unexpected(created.error()));
    const auto instance = state_->bus.find(moved_->uuid);
    device_ = instance ? (*instance)->vfio_device() : nullptr;
    if (!device_) return failed(Error{ENODEV, "the instance has no VFIO device"});
    if (client_) return prepare_client();
    open_device(state_->core, device_, [self = shared_from_this()](Result<std::shared_ptr<Use>> opened) {
      if (!opened) return self->failed(opened.error());
      self->try_state(std::move(*opened));
    });
  }

 private:
  // --- Without a client.

  void try_state(std::shared_ptr<Use> use) {
    use_ = std::move(use);
    restore(moved_, use_->file, MigrationState::running, [self = shared_from_this()](Result<> restored) {
      if (!restored) return self->failed(restored.error());
      // It fits; and it is there again for whoever comes first.
      self->device_->set_arrival(std::make_shared<Arrived>(self->moved_));
      self->use_.reset();
      self->done_(self->moved_->uuid);
    });
  }

  // --- With one. It opens the device, which then stands still until the source has said its word.

  void prepare_client() {
    sessions_ = state_->sessions_of(*device_);
    if (!sessions_ || state_->doors.watcher == nullptr)
      return failed(Error{EOPNOTSUPP, "no client can be served here"});
    device_->set_arrival(std::make_shared<Arrived>(moved_, MigrationState::stop));
    sessions_->pause(
        [self = shared_from_this()](Result<>) { self->state_->host.post([self] { self->adopt_client(); }); });
  }

  void adopt_client() {
    sessions_->adopt(std::move(client_->session), [self = shared_from_this()](Result<> adopted) {
      self->state_->host.post([self, adopted] { self->adopted(adopted); });
    });
  }

  void adopted(const Result<>& adopted) {
    if (!adopted) return failed(adopted.error());
    const auto file = device_->open_file();
    if (!file) return failed(Error{ECONNRESET, "the client has gone"});
    const auto waits =
        state_->wait_for_word(moved_->uuid, std::move(client_->token),
                              {.file = file, .sessions = std::move(sessions_), .watch = nullptr});
    if (!waits) return failed(waits.error());
    done_(moved_->uuid);
  }

  void failed(const Error& error) {
    use_.reset();
    device_.reset();
    state_->bus.remove(moved_->uuid, RemovePolicy::force,
                       [self = shared_from_this(), error](Result<>) { self->done_(std::unexpected(error)); });
  }

  const std::shared_ptr<State> state_;
  const std::shared_ptr<const MovedInstance> moved_;
  std::optional<Handover> client_;
  Done<Uuid> done_;
  std::shared_ptr<vfio::RegisteredDevice> device_;
  std::shared_ptr<vfio::DeviceSessions> sessions_;
  std::shared_ptr<Use> use_;
};

std::shared_ptr<vfio::DeviceSessions> Mover::State::sessions_of(const vfio::RegisteredDevice& device) const {
  return doors.sessions != nullptr ? doors.sessions->sessions_of(device.name()) : nullptr;
}

Result<> Mover::State::wait_for_word(const Uuid& uuid, os::UniqueFd token, Arriving coming) {
  // Nobody moves it on before it is here.
  UMDEV_TRY(reserve(uuid));
  // Whoever watches may call more than once, and after the word there is the end of the source's end.
  struct Ear {
    explicit Ear(os::UniqueFd fd) : token(std::move(fd)) {}
    std::optional<Word> listen() {
      Lock lock(mutex);
      if (heard) return std::nullopt;
      const auto word = hear(token);
      if (!word && word.error().code == EAGAIN) return std::nullopt;
      heard = true;
      return word.value_or(Word::stays);
    }
    const os::UniqueFd token;
    Mutex mutex;
    bool heard UMDEV_GUARDED_BY(mutex) = false;
  };
  const auto ear = std::make_shared<Ear>(std::move(token));
  {
    Lock lock(mutex);
    arriving.insert_or_assign(uuid, std::move(coming));
    after_arrival.try_emplace(uuid);
  }
  auto watch = doors.watcher->watch(ear->token.get(), [weak = weak_from_this(), uuid, ear] {
    const auto word = ear->listen();
    if (auto self = weak.lock(); self && word)
      self->host.post([self, uuid, said = *word] { self->word_came(uuid, said); });
  });
  Lock lock(mutex);
  const auto found = arriving.find(uuid);
  if (found == arriving.end()) return {};  // the word has come already
  if (watch) {
    found->second.watch = std::move(*watch);
    return {};
  }
  arriving.erase(found);
  after_arrival.erase(uuid);
  waiting.erase(uuid);
  return std::unexpected(watch.error());
}

void Mover::State::word_came(const Uuid& uuid, Word word) {
  Arriving came;
  {
    Lock lock(mutex);
    const auto found = arriving.find(uuid);
    if (found == arriving.end()) return;
    came = std::move(found->second);
    arriving.erase(found);
  }
  if (word == Word::stays) {
    arrived(uuid);
    return bus.remove(uuid, RemovePolicy::force, [](Result<>) {});
  }
  const auto file = came.file.lock();
  if (!file) {  // the client has gone; others may come
    came.sessions->resume();
    return arrived(uuid);
  }
  // What a driver answers that cannot run on is its user's to see.
  file->set_migration_state(MigrationState::running,
                            [self = shared_from_this(), uuid,
                             sessions = came.sessions](const Result<std::shared_ptr<vfio::MigrationFile>>&) {
                              sessions->resume();
                              self->arrived(uuid);
                            });
}

void Mover::State::arrived(const Uuid& uuid) {
  std::vector<Work> next;
  {
    Lock lock(mutex);
    if (auto node = after_arrival.extract(uuid)) next = std::move(node.mapped());
  }
  forget(uuid);
  for (Work& work : next) host.post(std::move(work));
}

bool Mover::State::run_after_arrival(const Uuid& uuid, Work& work) {
  Lock lock(mutex);
  const auto found = after_arrival.find(uuid);
  if (found == after_arrival.end()) return false;
  found->second.push_back(std::move(work));
  return true;
}

void Mover::load(ConstBytes stream, std::vector<os::UniqueFd> descriptors, const std::string& parent,
                 const mdev::Owner& owner, Done<Uuid> done) {
  auto moved = moved_instance_of(stream);
  if (!moved) return done(std::unexpected(moved.error()));
  std::optional<Handover> client;
  if (moved->client) {
    auto handover = unpack(std::move(descriptors), *moved->client);
    if (!handover) return done(std::unexpected(handover.error()));
    client = std::move(*handover);
  }
  mdev::CreateRequest request{.parent = parent.empty() ? moved->parent : parent,
                              .type = moved->type,
                              .uuid = moved->uuid,
                              .owner = owner,
                              .attributes = {}};
  auto loading = std::make_shared<State::Loading>(
      state_, std::make_shared<const MovedInstance>(std::move(*moved)), std::move(client), std::move(done));
  state_->bus.create(std::move(request), [loading](Result<> created) { loading->created(created); });
}

}  // namespace umdev::manage
