#include "umdev/iommu/address_space.h"

#include <algorithm>

#include "umdev/iommu/address_space_state.h"

namespace umdev::iommu {

AddressSpace::AddressSpace(Clock& clock, const Limits& limits, Options options)
    : state_(std::make_shared<State>(clock, limits, options)) {}
AddressSpace::AddressSpace(Clock& clock, const Limits& limits) : AddressSpace(clock, limits, Options{}) {}
AddressSpace::~AddressSpace() {
  state_->drop_all();
}

// A callback within a call may destroy the space: what calls back keeps the state for itself.
Result<> AddressSpace::map(const MappingRequest& request) {
  return state_->map(request);
}
void AddressSpace::unmap(IovaRange range, UnmapRule rule, Done<std::uint64_t> done) {
  const std::shared_ptr<State> state = state_;
  state->unmap(range, rule, std::move(done));
}
void AddressSpace::register_user(DmaUser& user) {
  state_->register_user(user);
}
void AddressSpace::unregister_user(DmaUser& user) {
  const std::shared_ptr<State> state = state_;
  state->unregister_user(user);
}
void AddressSpace::drop_all() {
  const std::shared_ptr<State> state = state_;
  state->drop_all();
}
void AddressSpace::set_dirty_sink(std::shared_ptr<DirtySink> sink) {
  state_->set_dirty_sink(std::move(sink));
}
std::vector<PinnedForWriting> AddressSpace::pinned_for_writing() const {
  return state_->pinned_for_writing();
}
std::vector<StandingMapping> AddressSpace::mappings() const {
  std::vector<StandingMapping> standing;
  Lock lock(state_->mutex);
  state_->visit(0, [&](Mapping& mapping) {
    if (mapping.unmap == nullptr)
      standing.push_back({.range = mapping.range(),
                          .access = mapping.access,
                          .backing = mapping.backing,
                          .backing_offset = mapping.backing_offset});
    return true;
  });
  return standing;
}
bool AddressSpace::is_mapped(IovaRange range) const {
  Lock lock(state_->mutex);
  return state_->overlaps(range);
}
bool AddressSpace::cuts(IovaRange range) const {
  Lock lock(state_->mutex);
  const Mapping* const first = state_->find(range.iova);
  const Mapping* const last = state_->find(range.last());
  return (first != nullptr && !range.contains(first->range())) ||
         (last != nullptr && !range.contains(last->range()));
}
std::uint32_t AddressSpace::mapping_count() const {
  return state_->mapping_count;
}
std::uint32_t AddressSpace::mappings_available() const {
  return state_->limits.mappings_per_container - mapping_count();
}
bool AddressSpace::copies_at_once(IovaRange range) const {
  std::shared_ptr<Backing> backing;
  {
    Lock lock(state_->mutex);
    const Mapping* const mapping = state_->find(range.iova);
    if (mapping == nullptr || !mapping->range().contains(range)) return false;
    if (mapping->mappable) return true;
    backing = mapping->backing;
  }
  return backing != nullptr && backing->copies_at_once();
}

std::uint32_t AddressSpace::pin_count() const {
  return state_->pin_count();
}

// --- a mapping ---

Result<> AddressSpace::Mapping::check(Access wanted, bool pinning) const {
  if (!allows(access, wanted)) return fail(EPERM, "not mapped for this access");
  if (!usable(wanted)) return fail(EFAULT, "no memory behind the mapping");
  if (pinning && !mappable) return fail(EOPNOTSUPP, "the memory is not mapped here");
  return {};
}

IovaRange AddressSpace::Mapping::part(IovaRange wanted) const {
  const IovaRange mine = range();
  const Iova first = std::max(mine.iova, wanted.iova);
  return {.iova = first, .size = std::min(mine.last(), wanted.last()) - first + 1};
}

// Several threads may come here at once, and all find the same.
std::byte* AddressSpace::Mapping::ask_backing() {
  const Bytes all = backing->mapped();
  if (!mappable || all.empty()) return nullptr;
  memory.store(all.data() + backing_offset, std::memory_order_release);
  return all.data() + backing_offset;
}

DmaFile AddressSpace::Mapping::file_of(const DmaSegment& segment) const {
  return {.fd = fd, .offset = fd_offset + static_cast<std::uint64_t>(segment.data - memory.load())};
}

Result<> AddressSpace::State::map(const MappingRequest& request) {
  const IovaRange range = request.range;
  if (!range.valid() || (range.iova | range.size) % page_size != 0) {
    return fail(EINVAL, "the range is empty, wraps or is not page aligned");
  }
  const std::uint64_t mappable = request.backing ? request.backing->mapped_size() : 0;
  const int fd = request.backing ? request.backing->fd() : -1;
  const std::uint64_t fd_offset = request.backing ? request.backing->fd_offset() : 0;
  // Memory that is not mapped here has no size but that of all addresses.
  const bool fits = mappable == 0 ? IovaRange{request.backing_offset, range.size}.valid()
                                  : range_fits(request.backing_offset, range.size, mappable);

  Lock lock(mutex);
  if (overlaps(range)) return fail(EEXIST, "the range overlaps a mapping");
  if (index.size() >= limits.mappings_per_container) return fail(ENOSPC, "no mapping is left");
  if (!fits) return fail(EFAULT, "the backing is shorter than the mapping");
  Mapping& mapping = mapping_pool_.take();
  mapping.iova = range.iova;
  mapping.size = range.size;
  mapping.access = request.access;
  mapping.backing = request.backing;
  mapping.backing_offset = request.backing_offset;
  mapping.memory = nullptr;
  mapping.mappable = mappable != 0;
  mapping.fd = fd;
  mapping.fd_offset = fd_offset + (request.backing ? request.backing_offset : 0);
  mapping.alias_was_revoked = false;
  mapping.self = shared_from_this();
  mapping.mapped = true;
  mapping.backing_number = mapping.mappable ? shared_backings.enter(request.backing.get()) : 0;
  if (mapping.first_seat == nullptr) mapping.first_seat = &seat_pool_.take();
  mapping.first_seat->describe(mapping);
  seat_first_user(mapping);
  mapping.copies.reset(PinWord::one_quota * PinWord::max_count);  // from here on it may be used
  index.insert(range.iova, *mapping.first_seat);
  mapping_count = static_cast<std::uint32_t>(index.size());
  return {};
}

// --- look-up ---

bool AddressSpace::State::overlaps(IovaRange range) const {
  const Mapping* before_the_end = at_or_before(range.last());
  return before_the_end != nullptr && before_the_end->range().last() >= range.iova;
}

AddressSpace::Mapping* AddressSpace::State::find(Iova iova) const {
  Mapping* const mapping = at_or_before(iova);
  if (mapping == nullptr || mapping->range().last() < iova) return nullptr;
  return mapping->unmap == nullptr ? mapping : nullptr;
}

std::uint32_t AddressSpace::State::pin_count() {
  std::uint64_t pins = 0;
  Lock lock(mutex);
  end_leases();
  visit(0, [&](const Mapping& mapping) {
    mapping.each_seat([&](const Seat& seat) {
      if (seat.in_use()) pins += PinWord::count(seat.word.get());
    });
    return true;
  });
  return static_cast<std::uint32_t>(pins);
}

// --- what devices write ---

void AddressSpace::State::set_dirty_sink(std::shared_ptr<DirtySink> sink) {
  Lock lock(mutex);
  dirty_sink = sink.get();
  if (sink != nullptr) end_leases();
  if (sink == nullptr || std::find(sinks_.begin(), sinks_.end(), sink) != sinks_.end()) return;
  sinks_.push_back(std::move(sink));
}

std::vector<PinnedForWriting> AddressSpace::State::pinned_for_writing() {
  std::vector<PinnedForWriting> found;
  Lock lock(mutex);
  end_leases();
  visit(0, [&](const Mapping& mapping) {
    std::uint64_t pins = 0;
    mapping.each_seat([&](const Seat& seat) {
      if (seat.in_use()) pins += PinWord::written(seat.word.get());
    });
    if (pins != 0) found.push_back({mapping.range(), static_cast<std::uint32_t>(pins)});
    return true;
  });
  return found;
}

}  // namespace umdev::iommu
