#include "umdev/vfio/migration_machine.h"

#include <utility>

#include "umdev/support/deadline.h"
#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

struct MigrationMachine::Change {
  std::shared_ptr<MigrationMachine> machine;
  User* user = nullptr;
  MigrationState wanted = MigrationState::running;
  std::shared_ptr<MigrationFile> file;  // that the last arc has opened
  Done<std::shared_ptr<MigrationFile>> done;
};

MigrationMachine::~MigrationMachine() {
  end_transfer();
}

std::shared_ptr<MigrationFile> MigrationMachine::file() const {
  Lock lock(mutex_);
  return file_;
}

void MigrationMachine::change(User& user, MigrationState wanted, Done<std::shared_ptr<MigrationFile>> done) {
  step(std::make_shared<Change>(shared_from_this(), &user, wanted, nullptr, std::move(done)));
}

void MigrationMachine::step(const std::shared_ptr<Change>& change) {
  const MigrationState from = state();
  const auto next = next_migration_state(driver_call([&] { return driver_.flags(); }), from, change->wanted);
  if (!next) return change->done(std::unexpected(next.error()));
  if (*next == from) return change->done(std::move(change->file));
  Done<std::shared_ptr<MigrationData>> walked(
      [change, to = *next](Result<std::shared_ptr<MigrationData>> data) {
        change->machine->arrived(change, to, data);
      });
  Done<std::shared_ptr<MigrationData>> bounded = with_deadline<std::shared_ptr<MigrationData>>(
      device_.host().clock(), device_.limits().access_deadline, std::move(walked),
      [self = shared_from_this()] {
        self->device_.fault("a change of its migration state was not completed in time");
        self->set_state(MigrationState::error);
      });
  driver_call([&] { driver_.arc(*change->user, from, *next, std::move(bounded)); });
}

void MigrationMachine::arrived(const std::shared_ptr<Change>& change, MigrationState at,
                               const Result<std::shared_ptr<MigrationData>>& data) {
  if (!data) {
    const MigrationState from = state();
    const MigrationState left = driver_call([&] { return driver_.state_after_failure(data.error(), from); });
    if (left != from) set_state(MigrationState::error);
    return change->done(std::unexpected(data.error()));
  }
  const bool begins = is_transferring(at) && !(is_saving(at) && is_saving(state()));
  if (begins && !*data) {
    set_state(MigrationState::error);
    return change->done(fail(EIO, "the driver began a transfer without data"));
  }
  set_state(at);
  if (begins) {
    change->file = std::make_shared<MigrationFile>(*data, at);
    Lock lock(mutex_);
    file_ = change->file;
  }
  step(change);
}

void MigrationMachine::set_state(MigrationState state) {
  const bool goes_on = is_saving(state) && is_saving(state_.load());
  if (!goes_on) end_transfer();
  state_.store(state);
  if (const auto kept = file()) kept->set_state(state);
}

void MigrationMachine::end_transfer() {
  std::shared_ptr<MigrationFile> ended;
  {
    Lock lock(mutex_);
    std::swap(ended, file_);
  }
  if (ended) ended->end();
}

void MigrationMachine::reset(User& user) {
  set_state(MigrationState::running);
  driver_call([&] { driver_.ended(user); });
}

}  // namespace umdev::vfio
