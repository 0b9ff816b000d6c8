#include "umdev/manage/mover.h"

#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/manage/mover_state.h"
#include "umdev/manage/restore.h"

namespace umdev::manage {

using vfio::MigrationState;

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

Result<> Mover::State::reserve(const Uuid& uuid) {
  Lock lock(mutex);
  if (!waiting.try_emplace(uuid).second) return fail(EBUSY, "the instance is being moved already");
  return {};
}

void Mover::State::forget(const Uuid& uuid) {
  Waiting gone;
  Lock lock(mutex);
  gone = std::move(waiting[uuid]);
  waiting.erase(uuid);
}

void Mover::State::wait(const Uuid& uuid, Waiting saved) {
  saved.timer = host.clock().after(patience, [weak = weak_from_this(), uuid] {
    if (auto self = weak.lock())
      self->host.post([self, uuid] { self->end(uuid, /*moved=*/false, [](Result<>) {}); });
  });
  Lock lock(mutex);
  waiting[uuid] = std::move(saved);
}

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
  // With the word a client that goes along is the target's.
  if (waited.token && !say(waited.token, Word::moved))
    return run_on(std::move(waited), std::move(done),
                  fail(EPIPE, "the other place has gone: it runs on here"));
  waited.use.reset();
  bus.remove(uuid, RemovePolicy::force, std::move(done));
}

void Mover::State::run_on(Waiting waited, Done<> done, Result<> outcome) {
  struct Ending {
    Waiting waited;
    Done<> done;
    Result<> outcome;
  };
  // First of all; nobody may be there any more to hear it.
  if (waited.token) (void)say(waited.token, Word::stays);
  auto ending = std::make_shared<Ending>(std::move(waited), std::move(done), std::move(outcome));
  ending->waited.use->file->set_migration_state(
      MigrationState::running, [ending](Result<std::shared_ptr<vfio::MigrationFile>> result) {
        Use& use = *ending->waited.use;
        // Ours ends, and with it the device goes back to power-on.
        if (use.is_ours()) use.device->set_arrival(std::make_shared<Arrived>(ending->waited.moved));
        ending->waited.use.reset();
        if (ending->waited.sessions) ending->waited.sessions->resume();
        if (!result) return ending->done(std::unexpected(result.error()));
        ending->done(ending->outcome);
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

Mover::Mover(mdev::Bus& bus, vfio::Core& core, DeviceHost& host, Doors doors)
    : state_(std::make_shared<State>(bus, core, host, doors)) {}

Mover::~Mover() {
  state_->end_all();
}

void Mover::end(const Uuid& uuid, bool moved, Done<> done) {
  state_->end(uuid, moved, std::move(done));
}

}  // namespace umdev::manage
