#include "umdev/iommu/dirty_pages.h"

#include <utility>

#include "umdev/iommu/write_tracker.h"

namespace umdev::iommu {

// The space keeps it for good, so there is one, and its log is used again.
class DirtyPages::Sink final : public DirtySink {
 public:
  // ^DirtySink
  std::uint64_t pinned(IovaRange range) override {
    log->mark(range);
    return 1;
  }
  void unpinned(IovaRange range, std::uint64_t) override { log->mark(range); }
  void written(IovaRange range) override { log->mark(range); }

  const std::shared_ptr<DirtyLog> log = DirtyLog::create_for_everything();
};

void DirtyPages::start() {
  std::shared_ptr<Sink> sink;
  {
    Lock lock(mutex_);
    if (on_.load()) return;
    if (!sink_) sink_ = std::make_shared<Sink>();
    sink = sink_;
    sink->log->clear({.iova = 0, .size = UINT64_MAX});
    on_.store(true, std::memory_order_release);
  }
  space_.set_dirty_sink(std::move(sink));
}

void DirtyPages::stop() {
  {
    Lock lock(mutex_);
    if (!on_.exchange(false)) return;
  }
  space_.set_dirty_sink(nullptr);
}

void DirtyPages::mark_pinned() {
  std::shared_ptr<Sink> sink;
  std::vector<std::shared_ptr<WriteTracker>> trackers;
  bool all_are_tracked = true;
  {
    Lock lock(mutex_);
    sink = sink_;
    for (DmaUser* const user : users_) {
      trackers.push_back(user->write_tracker());
      all_are_tracked = all_are_tracked && trackers.back() != nullptr;
    }
  }
  for (const auto& tracker : trackers)
    if (tracker) tracker->mark_held(*sink->log);
  if (all_are_tracked) return;
  for (const PinnedForWriting& pinned : space_.pinned_for_writing()) sink->log->mark(pinned.mapping);
}

Result<> DirtyPages::report(IovaRange range, Bytes bitmap) {
  if (!on()) return fail(EINVAL, "dirty pages are not tracked");
  mark_pinned();
  std::shared_ptr<DirtyLog> log;
  {
    Lock lock(mutex_);
    log = sink_->log;
  }
  return log->report(range, page_size, bitmap);
}

void DirtyPages::forget(IovaRange range) {
  if (!on()) return;
  Lock lock(mutex_);
  sink_->log->clear(range);
}

void DirtyPages::add(DmaUser& user) {
  Lock lock(mutex_);
  users_.push_back(&user);
}

void DirtyPages::remove(const DmaUser& user) {
  Lock lock(mutex_);
  std::erase(users_, &user);
}

}  // namespace umdev::iommu
