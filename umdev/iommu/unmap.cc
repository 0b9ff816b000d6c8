// How mappings go: see the head of address_space_state.h.
#include <algorithm>

#include "umdev/iommu/address_space_state.h"
#include "umdev/support/assert.h"

namespace umdev::iommu {

void AddressSpace::State::unmap(IovaRange range, UnmapRule rule, Done<std::uint64_t> done) {
  if (rule == UnmapRule::everything) range = {.iova = 0, .size = UINT64_MAX};
  if (!range.valid()) return done(fail(EINVAL, "the range is empty or wraps"));
  const Time deadline = clock.now() + limits.unmap_deadline;
  const auto unmap = std::make_shared<Unmap>();
  unmap->done = std::move(done);
  std::vector<std::shared_ptr<UserRecord>> told;
  bool in_use = false;
  Result<> selected;
  {
    Lock lock(mutex);
    if (Result<MappingList> found = select(range, rule)) {
      unmap->mappings = std::move(*found);
      begin(*unmap, range);
      in_use = unmap->busy != 0;
      for (const auto& [user, record] : users) told.push_back(record);
    } else {
      selected = std::unexpected(found.error());
    }
  }
  if (!selected) return unmap->done(std::unexpected(selected.error()));
  // Before the users are called: should one of them never return, the unmap still ends.
  if (in_use) arm(unmap, deadline);
  tell_users(*unmap, told);

  UnmapList ready_now;
  {
    Lock lock(mutex);
    unmap->notifying = false;
    if (ready(*unmap)) {
      claim(*unmap);
      ready_now.push_back(unmap);
    }
  }
  finish(std::move(ready_now));
}

Result<AddressSpace::State::MappingList> AddressSpace::State::select(IovaRange range, UnmapRule rule) const {
  MappingList found;
  for (auto next = first_at(range.iova); next != mappings.end() && next->first <= range.last(); ++next) {
    const Mapping& mapping = *next->second;
    if (mapping.unmap != nullptr) continue;
    if (rule == UnmapRule::whole && !range.contains(mapping.range)) {
      return fail(EINVAL, "a mapping would be cut");
    }
    if (rule == UnmapRule::first_address && mapping.range.iova < range.iova) break;
    found.push_back(next->second);
  }
  return found;
}

void AddressSpace::State::begin(Unmap& unmap, IovaRange waits_for) {
  for (const auto& earlier : unmaps) {
    const bool overlap = std::any_of(earlier->mappings.begin(), earlier->mappings.end(),
                                     [&](const auto& mapping) { return mapping->range.overlaps(waits_for); });
    if (!overlap) continue;
    earlier->followers.push_back(unmap.shared_from_this());
    ++unmap.busy;
  }
  for (const auto& mapping : unmap.mappings) {
    mapping->unmap = &unmap;
    unmap.bytes += mapping->range.size;
    if (!mapping->idle()) ++unmap.busy;
  }
  unmaps.push_back(unmap.shared_from_this());
}

void AddressSpace::State::tell_users(const Unmap& unmap,
                                     const std::vector<std::shared_ptr<UserRecord>>& told) {
  for (const auto& mapping : unmap.mappings) {
    for (const auto& user : told) {
      {
        Lock lock(mutex);
        if (unmap.claimed) return;
      }
      call_user(*user, &DmaUser::dma_unmap, mapping->range);
    }
  }
}

void AddressSpace::State::call_user(UserRecord& record, void (DmaUser::*function)(IovaRange),
                                    IovaRange range) {
  {
    Lock lock(mutex);
    if (!record.registered) return;
    record.callers.push_back(std::this_thread::get_id());
  }
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0, "a device is called with a lock of the core held");
  (record.user->*function)(range);
  Lock lock(mutex);
  record.callers.erase(std::find(record.callers.begin(), record.callers.end(), std::this_thread::get_id()));
  callers_changed.notify_all();
}

// --- the deadline ---

void AddressSpace::State::arm(const std::shared_ptr<Unmap>& unmap, Time deadline) {
  Timer timer =
      clock.at(deadline, [state = weak_from_this(), expired = std::weak_ptr<Unmap>(unmap)]() mutable {
        const auto space = state.lock();
        const auto late = expired.lock();
        if (space && late) space->expire(late);
      });
  Lock lock(mutex);
  if (!unmap->claimed) std::swap(unmap->timer, timer);
}

void AddressSpace::State::expire(const std::shared_ptr<Unmap>& unmap) {
  {
    Lock lock(mutex);
    if (unmap->claimed) return;
    claim(*unmap);
  }
  finish({unmap});
}

void AddressSpace::State::drop_all() {
  UnmapList dropped;
  {
    Lock lock(mutex);
    const auto rest = std::make_shared<Unmap>();
    for (const auto& [iova, mapping] : mappings) {
      if (mapping->unmap == nullptr) rest->mappings.push_back(mapping);
    }
    begin(*rest, {.iova = 0, .size = 1});
    for (const auto& unmap : unmaps) {
      if (unmap->claimed) continue;
      claim(*unmap);
      unmap->losers.clear();
      dropped.push_back(unmap);
    }
  }
  finish(std::move(dropped));
}

// --- the end ---

void AddressSpace::State::end_access(Mapping& mapping) {
  UnmapList ready;
  {
    Lock lock(mutex);
    --mapping.accesses;
    if (mapping.unmap == nullptr) return;
    settle(mapping, ready);
  }
  finish(std::move(ready));
}

void AddressSpace::State::settle(Mapping& mapping, UnmapList& ready_now) {
  Unmap* unmap = mapping.unmap;
  if (unmap == nullptr || unmap->claimed || !mapping.idle()) return;
  --unmap->busy;
  if (!ready(*unmap)) return;
  claim(*unmap);
  ready_now.push_back(unmap->shared_from_this());
}

void AddressSpace::State::claim(Unmap& unmap) {
  unmap.claimed = true;
  for (const auto& mapping : unmap.mappings) {
    if (mapping->idle() && mapping->left_behind == 0) continue;
    while (!mapping->pins.empty()) {
      unmap.losers.push_back({users.at(mapping->pins.back().user->user), mapping->range});
      leave_behind(*mapping, mapping->pins.size() - 1);
    }
    if (mapping->memory == nullptr) continue;
    unmap.taken.push_back(mapping.get());
    for (const auto& [iova, other] : mappings) {
      if (other->backing == mapping->backing && other->backing_offset < mapping->backing_end() &&
          mapping->backing_offset < other->backing_end()) {
        other->alias_was_revoked = true;
      }
    }
  }
}

void AddressSpace::State::finish(UnmapList ready_now) {
  const std::shared_ptr<State> self = shared_from_this();  // a callback may destroy the space
  for (std::size_t next = 0; next != ready_now.size(); ++next) {
    const std::shared_ptr<Unmap> unmap = ready_now[next];
    for (Mapping* mapping : unmap->taken) {
      mapping->backing->revoke(mapping->backing_offset, mapping->range.size);
    }
    for (const Unmap::Loser& loser : unmap->losers) {
      call_user(*loser.user, &DmaUser::pins_revoked, loser.range);
    }
    {
      Lock lock(mutex);
      retire(*unmap, ready_now);
    }
    unmap->timer.cancel();
    if (unmap->done) unmap->done(unmap->bytes);
  }
}

void AddressSpace::State::retire(Unmap& unmap, UnmapList& ready_now) {
  last_hit = nullptr;
  for (const auto& mapping : unmap.mappings) {
    mappings.erase(mapping->range.iova);
    mapping->unmap = nullptr;
  }
  std::erase_if(unmaps, [&](const auto& other) { return other.get() == &unmap; });
  for (const auto& follower : std::exchange(unmap.followers, {})) {
    --follower->busy;
    if (!ready(*follower)) continue;
    claim(*follower);
    ready_now.push_back(follower);
  }
}

}  // namespace umdev::iommu
