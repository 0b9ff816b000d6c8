// Devices that are defined: written down, started, and brought back when the daemon starts.
//
// The files are the truth. mdevctl and an editor may change them at any moment; nothing of them is kept in
// memory, and what cannot be understood is reported and stops nothing else. A change is durable when its
// function returns with success; after an error, or a crash, it has been made or it has not, never a part.
//
// Threads: all members, from any. Functions that change a file wait for the disk. Locks: one for the order of
// changes, under which the mdev bus is asked, and one for the failures, a leaf; no driver is called with
// them. Lifetimes: the world outlives it, and it outlives what it has begun.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "umdev/manage/definition.h"
#include "umdev/manage/keyed_files.h"
#include "umdev/manage/ownership.h"
#include "umdev/mdev/bus.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"

namespace umdev::manage {

enum class DefinitionState : std::uint8_t {
  inactive,    // no such device; or `error` says who has its UUID
  active,      // the device is there
  failed,      // it was to be started, and could not be
  orphaned,    // its parent or its type is not there
  unreadable,  // its file is not understood
};
std::string_view to_string(DefinitionState state);

// One definition, or one file that is none, as it is at this moment.
struct DefinitionReport {
  DefinitionKey key;
  Definition definition;  // empty when it is unreadable
  Mark mark;
  DefinitionState state = DefinitionState::inactive;
  std::string error;     // why: for failed, orphaned, unreadable
  std::string stranger;  // the path of a file that is no definition at all: then there is no key
};

// Who asks.
struct Asker {
  std::uint32_t uid = 0;
  std::int32_t pid = 0;
};

// What a definition is to have. What is left out stays, or is the default.
struct DefinitionChange {
  std::optional<std::string> type;
  std::optional<Start> start;
  std::optional<mdev::Attributes> attributes;
};

// Who wants to hear of changes that were made here (not of those that mdevctl makes in the files).
class DefinitionObserver {
 public:
  virtual ~DefinitionObserver() = default;
  // "defined", "modified" or "undefined", when it is durable. Any thread; no lock is held.
  virtual void definition_changed(std::string_view what, const DefinitionKey& key, std::string_view type) = 0;
};

class Definitions {
 public:
  struct World {
    mdev::Bus* bus = nullptr;
    Executor* executor = nullptr;  // where automatic starts run, side by side
    Log* log = nullptr;
    std::uint32_t uid = 0;  // the daemon's own
    DefinitionObserver* observer = nullptr;
  };
  Definitions(KeyedFiles definitions, KeyedFiles owners, const World& world)
      : world_(world), definitions_(std::move(definitions)), owners_(std::move(owners)) {}

  // Forgets the owners of what is not defined any more (mdevctl has undefined it, or a crash came between).
  // For the beginning, while no device is there.
  void tidy() UMDEV_EXCLUDES(mutex_);

  // Writes a definition. Without parent and type those of the device with this UUID are taken, whose owner
  // the asker must be. ENODEV no such parent (or device); EINVAL no such type, or only one of the two; EEXIST
  // the UUID is defined already, by whatever parent, or a device of another kind has it; EPERM it is somebody
  // else's; the disk's errors.
  Result<> define(const Asker& asker, const Uuid& uuid, std::string_view parent,
                  const DefinitionChange& change, std::string_view set = {}) UMDEV_EXCLUDES(mutex_);

  // The next ones find their definition by UUID, and by parent where several have one (EINVAL when that is
  // needed and not said). ENOENT there is none; EPERM it is another user's; EBADMSG its file is not
  // understood; the disk's errors.

  // What is running stays. A file that is not understood goes as well.
  Result<> undefine(const Asker& asker, const Uuid& uuid, std::string_view parent = {})
      UMDEV_EXCLUDES(mutex_);
  // What is running stays as it is. EINVAL for a type that the parent does not have.
  Result<> modify(const Asker& asker, const Uuid& uuid, std::string_view parent,
                  const DefinitionChange& change) UMDEV_EXCLUDES(mutex_);
  // See start_definition() for further errors. The device belongs to the definition's owner.
  void start(const Asker& asker, const Uuid& uuid, std::string_view parent, Done<> done)
      UMDEV_EXCLUDES(mutex_);

  // Starts what is defined for it, all at once; logs what fails, and why. Completes when the last has ended.
  void start_automatic(Done<> done);

  // In the order of parents and UUIDs; strangers at the end. The disk's errors.
  Result<std::vector<DefinitionReport>> list() const;
  // The definitions of one UUID: one, as a rule, or none.
  Result<std::vector<DefinitionReport>> find(const Uuid& uuid) const;

  // Whose a definition is; the daemon's, where nobody was written down.
  Mark mark_of(const DefinitionKey& key) const;
  std::uint32_t uid() const { return world_.uid; }

  // The marks that belong to a set, of whatever is or was defined in it.
  Result<std::vector<std::pair<DefinitionKey, Mark>>> marks_of(std::string_view set) const;
  // Forgets whose something was that is not defined. Success when it was nobody's.
  Result<> forget_mark(const DefinitionKey& key) UMDEV_EXCLUDES(mutex_);

 private:
  Result<DefinitionKey> locate(const Uuid& uuid, std::string_view parent) const;
  Result<> check_owner(const Asker& asker, const DefinitionKey& key) const;
  Result<DefinitionKey> place_of_active(const Asker& asker, const Uuid& uuid, Definition& definition) const;
  Result<> check_new(const Asker& asker, const DefinitionKey& key, const Definition& definition) const;
  Result<> check_type(const DefinitionKey& key, const std::string& type) const;
  Result<Definition> read(const DefinitionKey& key) const;
  DefinitionReport report(const DefinitionKey& key) const;
  void judge(DefinitionReport& report) const;
  void begin(const Asker& asker, const DefinitionKey& key, const Definition& definition, Done<> done);
  void tell(std::string_view what, const DefinitionKey& key, std::string_view type = {}) const {
    if (world_.observer != nullptr) world_.observer->definition_changed(what, key, type);
  }
  void note(const DefinitionKey& key, const Result<>& result) UMDEV_EXCLUDES(failures_mutex_);

  const World world_;
  mutable Mutex mutex_;  // one change at a time
  KeyedFiles definitions_;
  KeyedFiles owners_;
  mutable Mutex failures_mutex_;
  std::map<DefinitionKey, std::string> failures_ UMDEV_GUARDED_BY(failures_mutex_);
};

}  // namespace umdev::manage
