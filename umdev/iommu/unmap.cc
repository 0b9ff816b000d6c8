// How mappings go: see the head of address_space_state.h.
#include <algorithm>

#include "umdev/iommu/address_space_state.h"
#include "umdev/support/assert.h"

namespace umdev::iommu {

void AddressSpace::State::unmap(IovaRange range, UnmapRule rule, Done<std::uint64_t> done) {
  if (rule == UnmapRule::everything) range = {.iova = 0, .size = UINT64_MAX};
  if (!range.valid()) return done(fail(EINVAL, "the range is empty or wraps"));
  auto unmap = std::make_shared<Unmap>();
  unmap->done = std::move(done);
  UserList told;
  bool in_use = false;
  Result<> selected;
  {
    Lock lock(mutex);
    if (Result<MappingList> found = select(range, rule)) {
      unmap->mappings = std::move(*found);
      begin(*unmap, range);
      in_use = unmap->busy != 0;
      for (const auto& [user, record] : users) {
        if (user->pins()) told.push_back(record);
      }
    } else {
      selected = std::unexpected(found.error());
    }
  }
  if (!selected) return unmap->done(std::unexpected(selected.error()));
  // Before the users are called: should one of them never return, the unmap still ends.
  if (in_use) arm(unmap);
  tell_users(*unmap, told);

  UnmapList ready_now;
  {
    Lock lock(mutex);
    unmap->notifying = false;
    if (ready(*unmap)) {
      claim(*unmap);
      ready_now.push_back(std::move(unmap));
    }
  }
  finish(std::move(ready_now));
}

Result<AddressSpace::State::MappingList> AddressSpace::State::select(IovaRange range, UnmapRule rule) const {
  MappingList found;
  bool cut = false;
  visit(range.iova, [&](Mapping& mapping) {
    const IovaRange mapped = mapping.range();
    if (mapped.iova > range.last()) return false;
    if (mapped.last() < range.iova || mapping.unmap != nullptr) return true;
    if (rule == UnmapRule::whole && !range.contains(mapped)) cut = true;
    if (cut || (rule == UnmapRule::first_address && mapped.iova < range.iova)) return false;
    found.push_back(&mapping);
    return true;
  });
  if (cut) return fail(EINVAL, "a mapping would be cut");
  return found;
}

void AddressSpace::State::begin(Unmap& unmap, IovaRange waits_for) {
  for (const auto& earlier : unmaps) {
    const bool overlap =
        std::any_of(earlier->mappings.begin(), earlier->mappings.end(),
                    [&](const Mapping* mapping) { return mapping->range().overlaps(waits_for); });
    if (!overlap) continue;
    earlier->followers.push_back(unmap.shared_from_this());
    ++unmap.busy;
  }
  const auto close = [](PinWord& word) {
    const PinWord::Value before = word.set_flags(PinWord::blocked);
    return (before & PinWord::revoked) == 0 && PinWord::count(before) != 0 ? 1U : 0U;
  };
  for (Mapping* mapping : unmap.mappings) {
    mapping->unmap = &unmap;
    unmap.bytes += mapping->range().size;
  }
  end_leases_of(unmap);
  for (Mapping* mapping : unmap.mappings) {
    mapping->parts = close(mapping->copies);
    mapping->each_seat([&](Seat& seat) { mapping->parts += close(seat.word); });
    if (mapping->parts != 0) ++unmap.busy;
  }
  unmaps.push_back(unmap.shared_from_this());
}

void AddressSpace::State::tell_users(const Unmap& unmap, const UserList& told) {
  for (const Mapping* mapping : unmap.mappings) {
    const IovaRange range = mapping->range();
    for (const auto& user : told) {
      {
        Lock lock(mutex);
        if (unmap.claimed) return;
      }
      call_user(*user, &DmaUser::dma_unmap, range);
    }
  }
}

// --- the deadline ---

void AddressSpace::State::arm(const std::shared_ptr<Unmap>& unmap) {
  const Time deadline = clock.now() + limits.unmap_deadline;
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
    visit(0, [&](Mapping& mapping) {
      if (mapping.unmap == nullptr) rest->mappings.push_back(&mapping);
      return true;
    });
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

void AddressSpace::State::part_done(Mapping& mapping, UnmapList& ready_now) {
  Unmap* const unmap = mapping.unmap;
  if (--mapping.parts != 0 || unmap->claimed) return;
  --unmap->busy;
  if (!ready(*unmap)) return;
  claim(*unmap);
  ready_now.push_back(unmap->shared_from_this());
}

void AddressSpace::State::claim(Unmap& unmap) {
  unmap.claimed = true;
  for (Mapping* mapping : unmap.mappings) {
    bool in_use = PinWord::count(mapping->copies.get()) != 0;
    for (Seat* seat = mapping->first_seat; seat != nullptr; seat = seat->next()) {
      in_use = in_use || PinWord::count(seat->word.get()) != 0;
      if (!seat->in_use()) continue;
      unmap.losers.push_back({users.at(user_of(*seat).callee), mapping->range()});
      leave_behind(*seat);
    }
    if (!in_use || !mapping->mappable) continue;
    unmap.taken.push_back(mapping);
    visit(0, [&](Mapping& other) {
      if (other.backing == mapping->backing && other.backing_offset < mapping->backing_end() &&
          mapping->backing_offset < other.backing_end()) {
        other.alias_was_revoked = true;
        other.each_seat([](Seat& seat) { seat.forbid(); });
      }
      return true;
    });
  }
  if (!unmap.taken.empty()) end_leases();
}

void AddressSpace::State::finish(UnmapList ready_now) {
  const std::shared_ptr<State> self = shared_from_this();  // a callback may destroy the space
  for (std::size_t next = 0; next != ready_now.size(); ++next) {
    const std::shared_ptr<Unmap> unmap = std::move(ready_now[next]);
    for (Mapping* mapping : unmap->taken) {
      mapping->backing->revoke(mapping->backing_offset, mapping->range().size);
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
  for (Mapping* mapping : unmap.mappings) {
    index.erase(mapping->range().iova);
    mapping->unmap = nullptr;
    mapping->mapped = false;
    if (auto backing = recycle(*mapping)) unmap.backings.push_back(std::move(backing));
  }
  mapping_count = static_cast<std::uint32_t>(index.size());
  std::erase_if(unmaps, [&](const auto& other) { return other.get() == &unmap; });
  for (const auto& follower : std::exchange(unmap.followers, {})) {
    --follower->busy;
    if (!ready(*follower)) continue;
    claim(*follower);
    ready_now.push_back(follower);
  }
}

std::shared_ptr<Backing> AddressSpace::State::recycle(Mapping& mapping) {
  if (mapping.mapped || clear_seats(mapping) || PinWord::count(mapping.copies.get()) != 0) return nullptr;
  shared_backings.leave(mapping.backing_number);
  mapping.self = nullptr;  // not the last: whoever calls this holds the space
  mapping_pool_.give_back(mapping);
  return std::exchange(mapping.backing, nullptr);
}

}  // namespace umdev::iommu
