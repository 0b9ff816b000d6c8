#include "umdev/vfio/io_events.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "umdev/support/bytes.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {

// What a callback owns, which may come late: the device and the user are looked for anew each time.
struct IoEvents::Link {
  os::EventFd fd;
  IoEvent event;
  std::weak_ptr<RegisteredDevice> device;
  std::uint64_t user = 0;
  std::atomic<bool> ended = false;

  // On the watcher's thread, which a driver must not hold up.
  static void readable(const std::shared_ptr<Link>& link) {
    if (link->ended || link->fd.take() == 0) return;
    if (const auto target = link->device.lock()) target->host().post([link] { link->write(); });
  }

  // As if the user had written it. A file that is open stands for its user; the last one may be going.
  void write() const {
    const auto target = device.lock();
    const auto file = target && !ended ? target->open_file() : nullptr;
    if (!file || file->user().id() != user) return;
    const auto bytes = std::make_shared<std::array<std::byte, sizeof event.data>>();
    static_cast<void>(store_le(Bytes(*bytes), 0, event.data));
    file->write(event.region, event.offset, ConstBytes(*bytes).first(event.size), bytes,
                [](Result<std::size_t>) {});
  }
};

Result<> IoEvents::check(const IoEvent& event) const {
  if (std::ranges::find(entries_, event, &Entry::event) != entries_.end())
    return fail(EEXIST, "there is an eventfd for this write");
  if (entries_.size() >= most) return fail(ENOSPC, "too many eventfds for writes");
  return {};
}

Result<> IoEvents::may_add(const IoEvent& event) const {
  Lock lock(mutex_);
  return check(event);
}

// Watching is asked for without the lock, as it may call back at once.
Result<> IoEvents::add(const IoEvent& event, os::UniqueFd fd) {
  UMDEV_TRY(may_add(event));
  if (watcher_ == nullptr) return fail(EOPNOTSUPP, "nobody watches eventfds here");
  auto link = std::make_shared<Link>();
  link->fd = UMDEV_TRY(os::EventFd::adopt(std::move(fd)));
  link->event = event;
  link->device = device_.weak_from_this();
  link->user = user_.id();
  auto watch = UMDEV_TRY(watcher_->watch(link->fd.get(), [link] { Link::readable(link); }));
  Lock lock(mutex_);
  const Result<> added = check(event);
  if (added)
    entries_.push_back({.event = event, .link = std::move(link), .watch = std::move(watch)});
  else
    link->ended = true;
  return added;
}

Result<> IoEvents::remove(const IoEvent& event) {
  Entry gone;
  Lock lock(mutex_);
  const auto found = std::ranges::find(entries_, event, &Entry::event);
  if (found == entries_.end()) return fail(ENODEV, "there is no eventfd for this write");
  found->link->ended = true;
  gone = std::move(*found);
  entries_.erase(found);
  return {};
}

void IoEvents::clear() {
  std::vector<Entry> gone;
  Lock lock(mutex_);
  for (const Entry& entry : entries_) entry.link->ended = true;
  gone.swap(entries_);
}

}  // namespace umdev::vfio
