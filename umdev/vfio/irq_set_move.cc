// An IrqSet's way to another place, with the device.
#include <algorithm>
#include <utility>

#include "umdev/vfio/irq_set_state.h"

namespace umdev::vfio {

Result<IrqIndexSetup> IrqSet::Index::setup() const {
  IrqIndexSetup setup{
      .enabled = enabled.load(std::memory_order_relaxed), .vectors_enabled = vectors_enabled, .vectors = {}};
  for (std::uint32_t vector = 0; vector < info.count; ++vector) {
    setup.vectors.push_back(UMDEV_TRY(vectors[vector].setup()));
    if (vector < unmask_watches.size() && unmask_watches[vector])
      setup.vectors.back().unmask = UMDEV_TRY(unmask_watches[vector]->event().dup());
  }
  return setup;
}

// What no sequence of calls could have left.
Result<> IrqSet::Index::check(const IrqIndexSetup& setup, bool can_watch) const {
  if (setup.vectors.size() != info.count || setup.vectors_enabled > info.count)
    return fail(EINVAL, "vectors of another device");
  const bool takes_eventfds = has_flag(info, abi::vfio_irq_info_eventfd);
  for (const IrqVectorSetup& vector : setup.vectors) {
    const bool delivers = !vector.masked && (vector.pending || (vector.line && vector.trigger));
    if (delivers || (vector.line && kind != IrqKind::line))
      return fail(EINVAL, "no interrupt stays in this state");
    if (vector.trigger && (!setup.enabled || !takes_eventfds))
      return fail(EINVAL, "an eventfd of an interrupt that has none");
    if (vector.unmask && (!setup.enabled || unmask_watches.empty() || !can_watch))
      return fail(EINVAL, "an unmask eventfd of an interrupt that has none");
  }
  return {};
}

Result<> IrqSet::Index::load(IrqIndexSetup setup, os::EventFdTrust* trust) {
  for (std::uint32_t number = 0; number < info.count; ++number) {
    IrqVectorSetup& vector = setup.vectors[number];
    os::EventFd trigger;
    if (vector.trigger) trigger = UMDEV_TRY(os::EventFd::adopt(std::move(vector.trigger), trust));
    if (vector.unmask)
      unmask_watches[number] = IrqUnmaskWatch::create_suspended(
          UMDEV_TRY(os::EventFd::adopt(std::move(vector.unmask))), vectors[number]);
    vectors[number].load(std::move(trigger), vector);
  }
  vectors_enabled = setup.vectors_enabled;
  enabled.store(setup.enabled, std::memory_order_release);
  return {};
}

void IrqSet::State::suspend() {
  Lock lock(mutex_);
  for (Index& index : indexes_)
    for (const auto& watch : index.unmask_watches)
      if (watch) watch->suspend();
}

Result<> IrqSet::State::resume() {
  Lock lock(mutex_);
  for (Index& index : indexes_)
    for (const auto& watch : index.unmask_watches)
      if (watch) UMDEV_TRY(watch->resume(*watcher_));
  return {};
}

Result<IrqSetup> IrqSet::State::setup() {
  Lock lock(mutex_);
  IrqSetup setup;
  for (const Index& index : indexes_) setup.push_back(UMDEV_TRY(index.setup()));
  return setup;
}

Result<> IrqSet::State::load(IrqSetup setup) {
  if (setup.size() != indexes_.size()) return fail(EINVAL, "interrupts of another device");
  Lock lock(mutex_);
  std::size_t exclusive = 0;
  for (std::size_t number = 0; number < setup.size(); ++number) {
    UMDEV_TRY(indexes_[number].check(setup[number], watcher_ != nullptr));
    if (setup[number].enabled && indexes_[number].exclusive) ++exclusive;
  }
  if (exclusive > 1) return fail(EINVAL, "two kinds of interrupt of a PCI device at a time");
  for (std::size_t number = 0; number < setup.size(); ++number) {
    auto loaded = indexes_[number].load(std::move(setup[number]), trust_);
    if (loaded) continue;
    for (Index& index : indexes_) index.disable();
    return loaded;
  }
  return {};
}

void IrqSet::suspend() {
  state_->suspend();
}

Result<> IrqSet::resume() {
  return state_->resume();
}

Result<IrqSetup> IrqSet::setup() const {
  return state_->setup();
}

Result<> IrqSet::load(IrqSetup setup) {
  return state_->load(std::move(setup));
}

}  // namespace umdev::vfio
