#include "umdev/iommu/write_tracker.h"

#include <utility>

namespace umdev::iommu {

// Stands between a pin and whoever really holds its memory; an entry of the tracker's list.
class WriteTracker::Held final : public DmaPin::Holder {
 public:
  Held(std::shared_ptr<WriteTracker> tracker, DmaPin pin)
      : tracker_(std::move(tracker)), pin_(std::move(pin)) {}

  // ^DmaPin::Holder
  // Told first, dropped then: an unmap that waits for the pin finds its pages in the log.
  void unpin(DmaPin&) override {
    tracker_->release(*this);
    pin_.unpin();
  }
  bool revoked(const DmaPin&) const override { return pin_.revoked(); }
  std::span<const DmaSegment> segments() const override { return pin_.segments(); }
  DmaFile file_of(const DmaPin&, const DmaSegment& segment) const override { return pin_.file_of(segment); }

  const DmaPin& pin() const { return pin_; }

  // The tracker's.
  Held* next = nullptr;
  Held* previous = nullptr;

 private:
  const std::shared_ptr<WriteTracker> tracker_;
  DmaPin pin_;
};

DmaPin WriteTracker::hold(DmaPin pin) {
  if (!pin || !allows(pin.access(), Access::write)) return pin;
  auto held = std::make_unique<Held>(shared_from_this(), std::move(pin));
  const DmaPin& inner = held->pin();
  {
    Lock lock(mutex_);
    held->next = first_;
    if (first_ != nullptr) first_->previous = held.get();
    first_ = held.get();
    for (const auto& log : logs_) log->mark(inner.range());
  }
  const DmaSegment first = inner.segments().front();
  const IovaRange range = inner.range();
  const Access access = inner.access();
  const std::uint64_t cookie = inner.cookie();
  return {std::move(held), range, access, first, cookie};
}

void WriteTracker::release(Held& held) {
  Lock lock(mutex_);
  for (const auto& log : logs_) log->mark(held.pin().range());
  (held.previous != nullptr ? held.previous->next : first_) = held.next;
  if (held.next != nullptr) held.next->previous = held.previous;
}

void WriteTracker::wrote(IovaRange range) {
  if (!active_.load(std::memory_order_acquire)) return;
  Lock lock(mutex_);
  for (const auto& log : logs_) log->mark(range);
}

void WriteTracker::attach(std::shared_ptr<DirtyLog> log) {
  Lock lock(mutex_);
  for (const Held* held = first_; held != nullptr; held = held->next) log->mark(held->pin().range());
  logs_.push_back(std::move(log));
  active_.store(true, std::memory_order_release);
}

void WriteTracker::detach(const DirtyLog& log) {
  Lock lock(mutex_);
  std::erase_if(logs_, [&](const auto& known) { return known.get() == &log; });
  active_.store(!logs_.empty(), std::memory_order_release);
}

void WriteTracker::mark_held(DirtyLog& log) {
  Lock lock(mutex_);
  for (const Held* held = first_; held != nullptr; held = held->next) log.mark(held->pin().range());
}

}  // namespace umdev::iommu
