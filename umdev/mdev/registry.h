// The UUIDs that are taken, in the whole daemon.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "umdev/support/error.h"
#include "umdev/support/mutex.h"
#include "umdev/support/uuid.h"

namespace umdev::mdev {

class Instance;

// The life of a UUID:
//   probing   reserved by a create that has not ended
//   active    the instance is there
//   removing  its removal has begun; it stays taken until the last user has gone
enum class InstanceState : std::uint8_t { probing, active, removing };

// One short lock; nothing is called with it held. Thread-safe.
class Registry {
 public:
  explicit Registry(std::uint32_t limit) : limit_(limit) {}

  // EEXIST in whatever state it is; ENOSPC over the limit of instances.
  Result<> reserve(const Uuid& uuid) UMDEV_EXCLUDES(mutex_);
  void activate(const Uuid& uuid, std::shared_ptr<Instance> instance) UMDEV_EXCLUDES(mutex_);
  // Claims an active instance for its one removal. ENODEV: it is gone; EAGAIN: another removal has begun.
  Result<> begin_removal(const Instance& instance) UMDEV_EXCLUDES(mutex_);
  // The removal was refused: it is active again.
  void cancel_removal(const Uuid& uuid) UMDEV_EXCLUDES(mutex_);
  void release(const Uuid& uuid) UMDEV_EXCLUDES(mutex_);

  // ENODEV unknown; EAGAIN its create has not ended.
  Result<std::shared_ptr<Instance>> find(const Uuid& uuid) const UMDEV_EXCLUDES(mutex_);
  // The instance whose removal has begun and has not ended, or null.
  std::shared_ptr<Instance> find_removing(const Uuid& uuid) const UMDEV_EXCLUDES(mutex_);
  // All that are active or being removed, in the order of their UUIDs.
  std::vector<std::shared_ptr<Instance>> list() const UMDEV_EXCLUDES(mutex_);
  Result<InstanceState> state(const Uuid& uuid) const UMDEV_EXCLUDES(mutex_);
  std::size_t size() const UMDEV_EXCLUDES(mutex_);

 private:
  struct Entry {
    InstanceState state = InstanceState::probing;
    std::shared_ptr<Instance> instance;
  };
  const std::uint32_t limit_;
  mutable Mutex mutex_;
  std::map<Uuid, Entry> entries_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::mdev
