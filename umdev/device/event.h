// Uevents: what the kernel would send to udev about a device, in its words and its order.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/support/error.h"
#include "umdev/support/mutex.h"
#include "umdev/tree/feed.h"

namespace umdev::device {

enum class Action : std::uint8_t { add, remove, change, move, online, offline, bind, unbind };

std::string_view to_string(Action action);

// "KEY=VALUE" strings.
using Environment = std::vector<std::string>;

struct Uevent {
  Action action;
  std::string devpath;    // absolute in the tree, as DEVPATH
  std::string subsystem;  // the bus's name, else the class's
  // All keys, those above too, as the netlink message has them: ACTION, DEVPATH, SUBSYSTEM, what the event
  // itself adds, [MAJOR MINOR DEVNAME [DEVMODE]], [DRIVER], what the device adds, SEQNUM.
  Environment environment = {};
  std::uint64_t sequence = 0;  // SEQNUM: one count for a whole model, from 1

  // The value of a key of the environment.
  std::optional<std::string_view> value(std::string_view key) const;
};

// Puts the environment together: ACTION, DEVPATH, SUBSYSTEM, `extra` (the event's own), `rest` (the
// object's).
Uevent make_uevent(Action action, std::string devpath, std::string subsystem, Environment extra = {},
                   Environment rest = {});

// What a write to an `uevent` attribute asks for: "ACTION [UUID [KEY=VALUE]...]".
struct SyntheticEvent {
  Action action;
  Environment environment = {};  // SYNTH_UUID=..., SYNTH_ARG_KEY=VALUE...
};
// EINVAL for an unknown action, a malformed UUID, or arguments that are not alphanumeric KEY=VALUE. A newline
// at the end does not matter.
Result<SyntheticEvent> parse_synthetic_event(std::string_view text);

class EventBatch;

// The event feed of one model. Numbers events and gives them to the subscribers in that order. Any thread.
class Events {
 public:
  using Subscription = tree::Feed<Uevent>::Subscription;
  using Wake = tree::Feed<Uevent>::Wake;

  // See tree::Feed::subscribe.
  Subscription subscribe(std::size_t capacity, Wake wake = {}) {
    return feed_.subscribe(capacity, std::move(wake));
  }

  // How many there have been.
  std::uint64_t count() const UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return last_sequence_;
  }

  // Emits, or puts into the batch while that one holds. Never blocks. Hold no lock.
  void emit(Uevent event, EventBatch* batch = nullptr);

 private:
  friend class EventBatch;
  void publish(Uevent event);

  mutable Mutex mutex_;
  std::uint64_t last_sequence_ UMDEV_GUARDED_BY(mutex_) = 0;
  tree::Feed<Uevent> feed_;
};

// Holds events back until what they tell of is complete: a device is added, bound and linked, and only then
// do "add" and "bind" go out, in the order in which they happened (the kernel emits them too early, and udev
// rules and libvirt race with the links). Any thread.
class EventBatch {
 public:
  explicit EventBatch(Events& events) : events_(events) {}
  ~EventBatch() { release(); }
  EventBatch(const EventBatch&) = delete;
  EventBatch& operator=(const EventBatch&) = delete;

  // Emits what is held, in order. What comes later passes at once.
  void release();
  // Drops what is held: what it told of has never been. What comes later passes at once.
  void discard();

 private:
  friend class Events;
  // True when it took the event.
  bool hold(Uevent& event);

  Events& events_;
  Mutex mutex_;
  std::vector<Uevent> held_ UMDEV_GUARDED_BY(mutex_);
  bool holds_ UMDEV_GUARDED_BY(mutex_) = true;
};

}  // namespace umdev::device
