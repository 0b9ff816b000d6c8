#include "umdev/vfio/irq_set.h"

#include <algorithm>
#include <utility>

#include "umdev/vfio/irq_set_state.h"

namespace umdev::vfio {
namespace {

// INTx, MSI and MSI-X: a PCI device interrupts in one of three ways.
bool is_exclusive(IrqLayout layout, std::uint32_t index) {
  return layout == IrqLayout::pci && index <= abi::vfio_pci_msix_irq_index;
}

IrqKind kind_of(const IrqInfo& info, IrqLayout layout, std::uint32_t index) {
  if (has_flag(info, abi::vfio_irq_info_automasked)) return IrqKind::line;
  return is_exclusive(layout, index) || info.count > 1 ? IrqKind::block : IrqKind::notification;
}

bool is_none(const IrqRequest& request) {
  return request.data_type() == abi::vfio_irq_set_data_none;
}
bool is_bool(const IrqRequest& request) {
  return request.data_type() == abi::vfio_irq_set_data_bool;
}
bool is_eventfd(const IrqRequest& request) {
  return request.data_type() == abi::vfio_irq_set_data_eventfd;
}

// Whether a NONE or BOOL request means its vector number `offset`.
bool selects(const IrqRequest& request, std::uint32_t offset) {
  return is_none(request) || request.bools[offset] != std::byte{0};
}

// Takes the request's descriptors; an empty one becomes an empty eventfd.
Result<std::vector<os::EventFd>> adopt_eventfds(const IrqRequest& request,
                                                os::EventFdTrust* trust = nullptr) {
  if (request.eventfd_error != 0) return fail(request.eventfd_error, "a descriptor could not be had");
  std::vector<os::EventFd> events(request.count);
  for (std::uint32_t offset = 0; offset < request.count; ++offset) {
    if (request.eventfds[offset])
      events[offset] = UMDEV_TRY(os::EventFd::adopt(std::move(request.eventfds[offset]), trust));
  }
  return events;
}

}  // namespace

IrqSet::Index::Index(const IrqInfo& irq_info, IrqLayout layout, std::uint32_t number)
    : info(irq_info),
      kind(kind_of(irq_info, layout, number)),
      exclusive(is_exclusive(layout, number)),
      vectors(std::make_unique<IrqVector[]>(irq_info.count)) {
  if (has_flag(info, abi::vfio_irq_info_maskable)) unmask_watches.resize(info.count);
  for (std::uint32_t vector = 0; vector < info.count; ++vector)
    vectors[vector].set_automasked(kind == IrqKind::line);
}

void IrqSet::Index::signal(const IrqRequest& request) {
  for (std::uint32_t offset = 0; offset < request.count; ++offset)
    if (selects(request, offset)) vectors[request.start + offset].signal();
}

Result<> IrqSet::State::set(IrqRequest& request) {
  const auto count = static_cast<std::uint32_t>(indexes_.size());
  const IrqInfo info = request.index < count ? indexes_[request.index].info : IrqInfo{};
  UMDEV_TRY(validate_irq_request(request, count, info));
  if (is_eventfd(request) && !has_flag(info, abi::vfio_irq_info_eventfd))
    return fail(ENOTTY, "the interrupt index takes no eventfds");
  Lock lock(mutex_);
  Index& index = indexes_[request.index];
  switch (request.action()) {
    case abi::vfio_irq_set_action_mask:
      return set_mask(index, request);
    case abi::vfio_irq_set_action_unmask:
      return set_unmask(index, request);
    case abi::vfio_irq_set_action_trigger:
      return set_trigger(index, request);
    default:
      return fail(ENOTTY, "SET_IRQS needs exactly one action");
  }
}

Result<> IrqSet::State::set_mask(Index& index, const IrqRequest& request) {
  if (!has_flag(index.info, abi::vfio_irq_info_maskable)) return fail(ENOTTY, "the interrupt has no mask");
  if (!enabled(request.index) || request.count == 0)
    return fail(EINVAL, "only vectors of an enabled interrupt can be masked");
  if (is_eventfd(request)) return fail(ENOTTY, "masking by eventfd is not offered");
  for (std::uint32_t offset = 0; offset < request.count; ++offset)
    if (selects(request, offset)) index.vectors[request.start + offset].mask();
  return {};
}

Result<> IrqSet::State::set_unmask(Index& index, const IrqRequest& request) {
  if (!has_flag(index.info, abi::vfio_irq_info_maskable)) return fail(ENOTTY, "the interrupt has no mask");
  if (!enabled(request.index) || request.count == 0)
    return fail(EINVAL, "only vectors of an enabled interrupt can be unmasked");
  if (is_eventfd(request)) return set_unmask_eventfds(index, request);
  for (std::uint32_t offset = 0; offset < request.count; ++offset)
    if (selects(request, offset)) index.vectors[request.start + offset].unmask();
  return {};
}

// All or nothing: what this request has set up is taken back when a later vector fails.
Result<> IrqSet::State::set_unmask_eventfds(Index& index, const IrqRequest& request) {
  if (watcher_ == nullptr) return fail(ENOTTY, "nobody here can watch an unmask eventfd");
  std::vector<os::EventFd> events = UMDEV_TRY(adopt_eventfds(request));
  std::vector<std::unique_ptr<IrqUnmaskWatch>> watches(events.size());
  for (std::uint32_t offset = 0; offset < events.size(); ++offset) {
    const std::uint32_t vector = request.start + offset;
    if (!events[offset]) continue;
    if (index.unmask_watches[vector]) return fail(EBUSY, "the vector has an unmask eventfd already");
    watches[offset] =
        UMDEV_TRY(IrqUnmaskWatch::create(*watcher_, std::move(events[offset]), index.vectors[vector]));
  }
  std::ranges::move(watches, index.unmask_watches.begin() + request.start);
  return {};
}

bool IrqSet::State::another_is_enabled(const Index& index) const {
  return std::ranges::any_of(indexes_, [&](const Index& other) {
    return &other != &index && other.exclusive && other.enabled.load(std::memory_order_relaxed);
  });
}

Result<> IrqSet::State::set_trigger(Index& index, const IrqRequest& request) {
  if (is_none(request) && request.count == 0) {
    if (!enabled(request.index)) return fail(EINVAL, "the interrupt is not enabled");
    index.disable();
    return {};
  }
  if (index.exclusive && another_is_enabled(index))
    return fail(EINVAL, "another kind of interrupt is enabled: disable it first");
  switch (index.kind) {
    case IrqKind::line:
      return trigger_line(index, request);
    case IrqKind::block:
      return trigger_block(index, request);
    case IrqKind::notification:
      return trigger_notification(index, request);
  }
  return fail(ENOTTY, "no such kind of interrupt");
}

Result<> IrqSet::State::trigger_line(Index& index, const IrqRequest& request) {
  if (request.count == 0) return fail(EINVAL, "a level-triggered interrupt is set up vector by vector");
  if (is_eventfd(request)) {
    index.set_triggers(request.start, UMDEV_TRY(adopt_eventfds(request, trust_)));
    index.enable();
    return {};
  }
  if (!enabled(request.index)) return fail(EINVAL, "the interrupt is not enabled");
  index.signal(request);
  return {};
}

Result<> IrqSet::State::trigger_block(Index& index, const IrqRequest& request) {
  const bool was_enabled = enabled(request.index);
  if (!is_eventfd(request)) {
    if (!was_enabled) return fail(EINVAL, "the interrupt is not enabled");
    index.signal(request);
    return {};
  }
  const std::uint32_t end = request.start + request.count;
  if (!was_enabled && end == 0) return fail(ERANGE, "an interrupt cannot be enabled with no vector");
  if (was_enabled && end > index.vectors_enabled && has_flag(index.info, abi::vfio_irq_info_noresize))
    return fail(EINVAL, "more vectors than the interrupt was enabled with");
  auto events = adopt_eventfds(request, trust_);
  if (!events) {
    index.set_triggers(request.start, std::vector<os::EventFd>(request.count));
    return std::unexpected(events.error());
  }
  index.vectors_enabled = std::max(index.vectors_enabled, end);
  index.set_triggers(request.start, *std::move(events));
  index.enable();
  return {};
}

Result<> IrqSet::State::trigger_notification(Index& index, const IrqRequest& request) {
  if (is_none(request)) {
    if (!enabled(request.index)) return fail(EINVAL, "the notification has no eventfd");
    index.signal(request);
    return {};
  }
  if (request.count == 0) return fail(EINVAL, "a notification needs its one value");
  if (is_bool(request)) {
    index.signal(request);
    return {};
  }
  std::vector<os::EventFd> events = UMDEV_TRY(adopt_eventfds(request, trust_));
  const bool sets = static_cast<bool>(events.front());
  if (!sets) {
    index.disable();
    return {};
  }
  index.set_triggers(request.start, std::move(events));
  index.enable();
  return {};
}

void IrqSet::State::disable_all() {
  Lock lock(mutex_);
  for (Index& index : indexes_) index.disable();
}

void IrqSet::State::clear_pending() {
  for (Index& index : indexes_)
    for (std::uint32_t vector = 0; vector < index.info.count; ++vector)
      index.vectors[vector].forget_pending();
}

IrqSet::IrqSet(const std::vector<IrqInfo>& infos, FdWatcher* watcher, IrqLayout layout,
               os::EventFdTrust* trust)
    : state_(std::make_unique<State>(infos, watcher, layout, trust)) {}

IrqSet::~IrqSet() {
  disable_all();
}

void IrqSet::raise(std::uint32_t index, std::uint32_t vector) {
  IrqVector* const found = state_->find(index, vector);
  if (found == nullptr) return;
  if (state_->is_line(index))
    found->raise_line();
  else
    found->pulse();
}

void IrqSet::lower(std::uint32_t index, std::uint32_t vector) {
  IrqVector* const found = state_->find(index, vector);
  if (found != nullptr && state_->is_line(index)) found->lower_line();
}

void IrqSet::pulse(std::uint32_t index, std::uint32_t vector) {
  if (IrqVector* const found = state_->find(index, vector)) found->pulse();
}

bool IrqSet::enabled(std::uint32_t index) const {
  return state_->enabled(index);
}

Result<> IrqSet::set(IrqRequest& request) {
  return state_->set(request);
}

void IrqSet::disable_all() {
  state_->disable_all();
}

void IrqSet::clear_pending() {
  state_->clear_pending();
}

}  // namespace umdev::vfio
