#include "umdev/iommu/address_space.h"

#include <algorithm>

#include "umdev/iommu/address_space_state.h"
#include "umdev/support/assert.h"

namespace umdev::iommu {

AddressSpace::AddressSpace(Clock& clock, const Limits& limits, Options options)
    : state_(std::make_shared<State>(clock, limits, options)) {}
AddressSpace::AddressSpace(Clock& clock, const Limits& limits) : AddressSpace(clock, limits, Options{}) {}
AddressSpace::~AddressSpace() {
  state_->drop_all();
}

// Each call keeps the state for itself, since a callback within it may destroy the space.
Result<> AddressSpace::map(const MappingRequest& request) {
  return state_->map(request);
}
void AddressSpace::unmap(IovaRange range, UnmapRule rule, Done<std::uint64_t> done) {
  const std::shared_ptr<State> state = state_;
  state->unmap(range, rule, std::move(done));
}
Result<DmaPin> AddressSpace::pin(DmaUser& user, IovaRange range, Access access) {
  return state_->pin(user, range, access);
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
bool AddressSpace::is_mapped(IovaRange range) const {
  Lock lock(state_->mutex);
  return state_->overlaps(range);
}
std::uint32_t AddressSpace::mapping_count() const {
  Lock lock(state_->mutex);
  return static_cast<std::uint32_t>(state_->mappings.size());
}
std::uint32_t AddressSpace::mappings_available() const {
  return state_->limits.mappings_per_container - mapping_count();
}
std::uint32_t AddressSpace::pin_count() const {
  Lock lock(state_->mutex);
  return state_->pin_count;
}

// --- a mapping ---

AddressSpace::Mapping::Mapping(std::shared_ptr<State> state, const MappingRequest& request,
                               Bytes backing_memory)
    : space(std::move(state)),
      range(request.range),
      access(request.access),
      backing(request.backing),
      backing_offset(request.backing_offset),
      memory(backing_memory.empty() ? nullptr : backing_memory.data() + request.backing_offset),
      fd(backing ? backing->fd() : -1),
      fd_offset(backing ? backing->fd_offset() + request.backing_offset : 0) {
  pins.reserve(1);  // so that the pins of the one user that most have allocate nothing
}

Result<> AddressSpace::Mapping::check(Access wanted, bool pinning) const {
  if (!allows(access, wanted)) return fail(EPERM, "not mapped for this access");
  if (backing == nullptr || alias_was_revoked) return fail(EFAULT, "no memory behind the mapping");
  if (pinning && memory == nullptr) return fail(EOPNOTSUPP, "the memory is not mapped here");
  return {};
}

IovaRange AddressSpace::Mapping::part(IovaRange wanted) const {
  const Iova first = std::max(range.iova, wanted.iova);
  return {.iova = first, .size = std::min(range.last(), wanted.last()) - first + 1};
}

DmaSegment AddressSpace::Mapping::segment(IovaRange wanted) const {
  const IovaRange inside = part(wanted);
  const std::uint64_t offset = inside.iova - range.iova;
  return {.data = memory + offset, .length = inside.size, .fd = fd, .fd_offset = fd_offset + offset};
}

void AddressSpace::Mapping::unpin(DmaPin& pin) {
  space->unpin(*this, pin.cookie());
}

bool AddressSpace::Mapping::revoked(const DmaPin& pin) const {
  return space->pin_revoked(*this, pin.cookie());
}

Result<> AddressSpace::State::map(const MappingRequest& request) {
  const IovaRange range = request.range;
  if (!range.valid() || (range.iova | range.size) % page_size != 0) {
    return fail(EINVAL, "the range is empty, wraps or is not page aligned");
  }
  const Bytes memory = request.backing ? request.backing->mapped() : Bytes{};
  const std::uint64_t backing_size = memory.empty() ? UINT64_MAX : memory.size();
  const bool fits = range_fits(request.backing_offset, range.size, backing_size);
  auto mapping = fits ? std::make_shared<Mapping>(shared_from_this(), request, memory) : nullptr;

  Lock lock(mutex);
  if (overlaps(range)) return fail(EEXIST, "the range overlaps a mapping");
  if (mappings.size() >= limits.mappings_per_container) return fail(ENOSPC, "no mapping is left");
  if (!fits) return fail(EFAULT, "the backing is shorter than the mapping");
  mappings.emplace(range.iova, std::move(mapping));
  return {};
}

// --- look-up ---

std::map<Iova, std::shared_ptr<AddressSpace::Mapping>>::const_iterator AddressSpace::State::first_at(
    Iova iova) const {
  auto next = mappings.upper_bound(iova);
  if (next != mappings.begin()) {
    auto before = std::prev(next);
    if (before->second->range.last() >= iova) return before;
  }
  return next;
}

bool AddressSpace::State::overlaps(IovaRange range) const {
  const auto first = first_at(range.iova);
  return first != mappings.end() && first->first <= range.last();
}

const std::shared_ptr<AddressSpace::Mapping>* AddressSpace::State::find(Iova iova) {
  const IovaRange byte{iova, 1};
  if (last_hit == nullptr || !(*last_hit)->range.contains(byte)) {
    const auto found = first_at(iova);
    if (found == mappings.end() || !found->second->range.contains(byte)) return nullptr;
    last_hit = &found->second;
  }
  return (*last_hit)->unmap == nullptr ? last_hit : nullptr;
}

Result<AddressSpace::State::MappingList> AddressSpace::State::cover(IovaRange range, Access access,
                                                                    bool pinning) {
  MappingList found;
  for (Iova at = range.iova;;) {
    const std::shared_ptr<Mapping>* mapping = find(at);
    if (mapping == nullptr) return fail(EINVAL, "nothing is mapped there");
    UMDEV_TRY((*mapping)->check(access, pinning));
    found.push_back(*mapping);
    if ((*mapping)->range.last() >= range.last()) return found;
    at = (*mapping)->range.last() + 1;
  }
}

// --- pins ---

Result<DmaPin> AddressSpace::State::pin(DmaUser& user, IovaRange range, Access access) {
  if (range.size == 0) return fail(EINVAL, "nothing to pin");
  if (!range.valid()) return fail(EOVERFLOW, "the range wraps");
  std::shared_ptr<Mapping> mapping;
  std::uint64_t user_id = 0;
  {
    Lock lock(mutex);
    UserRecord* record = find_user(user);
    if (record == nullptr) return fail(EINVAL, "the user is not registered");
    const std::shared_ptr<Mapping>* found = find(range.iova);
    if (found == nullptr) return fail(EINVAL, "nothing is mapped there");
    if ((*found)->range.contains(range)) {
      UMDEV_TRY((*found)->check(access, true));
      if (record->pins >= limits.pins_per_user) return fail(ENOMEM, "the user holds too many pins");
      add_pin(**found, *record);
      mapping = *found;
      user_id = record->id;
    }
  }
  if (mapping == nullptr) return pin_spanning(user, range, access);
  const Mapping& there = *mapping;
  DmaPin pin(std::move(mapping), range, access, there.segment(range), user_id);
  if (!there.intact()) return fail(EFAULT, "the memory went bad");
  return pin;
}

Result<DmaPin> AddressSpace::State::pin_spanning(DmaUser& user, IovaRange range, Access access) {
  std::shared_ptr<SpanHolder> holder;
  std::uint64_t user_id = 0;
  {
    Lock lock(mutex);
    UserRecord* record = find_user(user);
    if (record == nullptr) return fail(EINVAL, "the user is not registered");
    MappingList found = UMDEV_TRY(cover(range, access, true));
    if (found.size() > limits.pins_per_user - record->pins) {
      return fail(ENOMEM, "the user holds too many pins");
    }
    for (const auto& mapping : found) add_pin(*mapping, *record);
    user_id = record->id;
    holder = std::make_shared<SpanHolder>(std::move(found));
  }
  const SpanHolder& held = *holder;
  DmaPin pin(std::move(holder), range, access, held.segments(range), user_id);
  if (!held.intact()) return fail(EFAULT, "the memory went bad");
  return pin;
}

void AddressSpace::State::add_pin(Mapping& mapping, UserRecord& user) {
  ++pin_count;
  ++user.pins;
  for (Mapping::PinCount& entry : mapping.pins) {
    if (entry.user != &user) continue;
    ++entry.count;
    return;
  }
  mapping.pins.push_back({&user, 1});
}

void AddressSpace::State::unpin(Mapping& mapping, std::uint64_t user_id) {
  UnmapList ready;
  {
    Lock lock(mutex);
    const auto entry = std::find_if(mapping.pins.begin(), mapping.pins.end(),
                                    [&](const auto& candidate) { return candidate.user->id == user_id; });
    if (entry == mapping.pins.end()) {
      --mapping.left_behind;
      return;
    }
    --pin_count;
    --entry->user->pins;
    if (--entry->count == 0) mapping.pins.erase(entry);
    if (mapping.unmap == nullptr) return;
    settle(mapping, ready);
  }
  finish(std::move(ready));
}

bool AddressSpace::State::pin_revoked(const Mapping& mapping, std::uint64_t user_id) const {
  Lock lock(mutex);
  return std::none_of(mapping.pins.begin(), mapping.pins.end(),
                      [&](const auto& entry) { return entry.user->id == user_id; });
}

void AddressSpace::State::leave_behind(Mapping& mapping, std::size_t index) {
  const Mapping::PinCount entry = mapping.pins[index];
  mapping.pins.erase(mapping.pins.begin() + static_cast<std::ptrdiff_t>(index));
  mapping.left_behind += entry.count;
  entry.user->pins -= entry.count;
  pin_count -= entry.count;
}

void AddressSpace::SpanHolder::unpin(DmaPin& pin) {
  for (const auto& mapping : mappings_) mapping->unpin(pin);
}

bool AddressSpace::SpanHolder::revoked(const DmaPin& pin) const {
  return std::any_of(mappings_.begin(), mappings_.end(),
                     [&](const auto& mapping) { return mapping->revoked(pin); });
}

bool AddressSpace::SpanHolder::intact() const {
  return std::all_of(mappings_.begin(), mappings_.end(),
                     [](const auto& mapping) { return mapping->intact(); });
}

std::vector<DmaSegment> AddressSpace::SpanHolder::segments(IovaRange range) const {
  std::vector<DmaSegment> result;
  const Backing* last_backing = nullptr;
  for (const auto& mapping : mappings_) {
    const DmaSegment next = mapping->segment(range);
    if (last_backing == mapping->backing.get() && result.back().data + result.back().length == next.data) {
      result.back().length += next.length;
    } else {
      result.push_back(next);
    }
    last_backing = mapping->backing.get();
  }
  return result;
}

// --- users ---

AddressSpace::UserRecord* AddressSpace::State::find_user(const DmaUser& user) {
  if (last_user != nullptr && last_user->user == &user) return last_user;
  const auto found = users.find(&user);
  if (found == users.end()) return nullptr;
  return last_user = found->second.get();
}

void AddressSpace::State::register_user(DmaUser& user) {
  Lock lock(mutex);
  const bool inserted = users.emplace(&user, std::make_shared<UserRecord>(user, next_user_id++)).second;
  UMDEV_ASSERT(inserted, "a user was registered twice");
}

void AddressSpace::State::unregister_user(DmaUser& user) {
  std::shared_ptr<UserRecord> record;
  UnmapList ready;
  {
    Lock lock(mutex);
    auto node = users.extract(&user);
    if (!node) return;
    record = std::move(node.mapped());
    record->registered = false;
    last_user = nullptr;
    for (auto& [iova, mapping] : mappings) {
      if (record->pins == 0) break;
      for (std::size_t index = 0; index != mapping->pins.size(); ++index) {
        if (mapping->pins[index].user != record.get()) continue;
        leave_behind(*mapping, index);
        settle(*mapping, ready);
        break;
      }
    }
  }
  finish(std::move(ready));
  Lock lock(mutex);
  const auto elsewhere = [](std::thread::id caller) { return caller != std::this_thread::get_id(); };
  while (std::any_of(record->callers.begin(), record->callers.end(), elsewhere)) callers_changed.wait(mutex);
}

}  // namespace umdev::iommu
