// Inside of IrqSet; included by this room's sources only.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/irq_set.h"
#include "umdev/vfio/irq_unmask_watch.h"
#include "umdev/vfio/irq_vector.h"

namespace umdev::vfio {

enum class IrqKind : std::uint8_t { line, block, notification };

inline bool has_flag(const IrqInfo& info, std::uint32_t flag) {
  return (info.flags & flag) != 0;
}

// All but `vectors` and `enabled` is guarded by the set's mutex.
struct IrqSet::Index {
  IrqInfo info;
  IrqKind kind = IrqKind::notification;
  bool exclusive = false;
  std::unique_ptr<IrqVector[]> vectors;
  std::atomic<bool> enabled = false;
  std::uint32_t vectors_enabled = 0;  // of a block: how many vectors it was enabled with
  std::vector<std::unique_ptr<IrqUnmaskWatch>> unmask_watches;

  Index(const IrqInfo& irq_info, IrqLayout layout, std::uint32_t number);

  void disable() {
    enabled.store(false, std::memory_order_release);
    vectors_enabled = 0;
    for (auto& watch : unmask_watches) watch.reset();
    for (std::uint32_t vector = 0; vector < info.count; ++vector) vectors[vector].disable();
  }

  // A driver that sees the index enabled finds the eventfds in place: so this comes after them.
  void enable() { enabled.store(true, std::memory_order_release); }

  // A NONE or BOOL request.
  void signal(const IrqRequest& request);

  Result<IrqIndexSetup> setup() const;
  Result<> check(const IrqIndexSetup& setup, bool can_watch) const;
  Result<> load(IrqIndexSetup setup, os::EventFdTrust* trust);

  void set_triggers(std::uint32_t start, std::vector<os::EventFd> events) {
    for (std::uint32_t offset = 0; offset < events.size(); ++offset)
      vectors[start + offset].set_trigger(std::move(events[offset]));
  }
};

class IrqSet::State {
 public:
  State(const std::vector<IrqInfo>& infos, FdWatcher* watcher, IrqLayout layout, os::EventFdTrust* trust)
      : watcher_(watcher), trust_(trust) {
    for (const IrqInfo& info : infos)
      indexes_.emplace_back(info, layout, static_cast<std::uint32_t>(indexes_.size()));
  }

  IrqVector* find(std::uint32_t index, std::uint32_t vector) {
    if (index >= indexes_.size() || vector >= indexes_[index].info.count) return nullptr;
    return &indexes_[index].vectors[vector];
  }
  bool is_line(std::uint32_t index) const { return indexes_[index].kind == IrqKind::line; }
  bool enabled(std::uint32_t index) const {
    return index < indexes_.size() && indexes_[index].enabled.load(std::memory_order_acquire);
  }

  Result<> set(IrqRequest& request) UMDEV_EXCLUDES(mutex_);
  void disable_all() UMDEV_EXCLUDES(mutex_);
  void clear_pending();
  void suspend() UMDEV_EXCLUDES(mutex_);
  Result<> resume() UMDEV_EXCLUDES(mutex_);
  Result<IrqSetup> setup() UMDEV_EXCLUDES(mutex_);
  Result<> load(IrqSetup setup) UMDEV_EXCLUDES(mutex_);

 private:
  Result<> set_mask(Index& index, const IrqRequest& request) UMDEV_REQUIRES(mutex_);
  Result<> set_unmask(Index& index, const IrqRequest& request) UMDEV_REQUIRES(mutex_);
  Result<> set_unmask_eventfds(Index& index, const IrqRequest& request) UMDEV_REQUIRES(mutex_);
  Result<> set_trigger(Index& index, const IrqRequest& request) UMDEV_REQUIRES(mutex_);
  Result<> trigger_line(Index& index, const IrqRequest& request) UMDEV_REQUIRES(mutex_);
  Result<> trigger_block(Index& index, const IrqRequest& request) UMDEV_REQUIRES(mutex_);
  Result<> trigger_notification(Index& index, const IrqRequest& request) UMDEV_REQUIRES(mutex_);
  bool another_is_enabled(const Index& index) const UMDEV_REQUIRES(mutex_);

  FdWatcher* const watcher_;
  os::EventFdTrust* const trust_;
  // Held by whoever sets up, never by whoever raises. Inside it an unmask watch's and a watcher's may be
  // taken.
  Mutex mutex_;
  // The indexes themselves never move; raise() reads their vectors.
  std::deque<Index> indexes_;
};

}  // namespace umdev::vfio
