// Who pins in a space, and is told when mappings go.
#include <algorithm>

#include "umdev/iommu/address_space_state.h"
#include "umdev/support/assert.h"

namespace umdev::iommu {

void AddressSpace::State::register_user(DmaUser& user) {
  Lock lock(mutex);
  UMDEV_ASSERT(!users.contains(&user), "a user was registered twice");
  std::shared_ptr<UserRecord> record;
  if (!spare_users.empty() && spare_users.back().use_count() == 1) {  // nobody tells its last user anything
    record = std::move(spare_users.back());
    spare_users.pop_back();
  } else {
    record = std::make_shared<UserRecord>(*this, static_cast<std::uint32_t>(records.size() + 1));
    records.push_back(record.get());
  }
  record->user = &user;
  record->callee = &user;
  record->budget = pin_limit();
  record->tight = false;
  record->collected_up_to = 0;
  record->registered = true;
  record->moves_left = 8;
  if (first_user == nullptr && user.pins()) first_user = record.get();
  user.record_ = record.get();
  users.emplace(&user, std::move(record));
}

std::vector<AddressSpace::Seat*> AddressSpace::State::seats_of(const UserRecord& record, Iova from,
                                                               std::uint64_t most) const {
  std::vector<Seat*> seats;
  visit(from, [&](const Mapping& mapping) {
    mapping.each_seat([&](Seat& seat) {
      if (seat.user == record.number) seats.push_back(&seat);
    });
    return seats.size() < most;
  });
  return seats;
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
    record->user = nullptr;
    end_lease(*record);
    if (first_user == record.get()) first_user = nullptr;
    DmaUser::Record* mine = record.get();
    user.record_.compare_exchange_strong(mine, nullptr);
    for (Seat* seat : seats_of(*record, 0, UINT64_MAX)) {
      const bool was_in_use = seat->in_use();
      leave_behind(*seat);
      if (was_in_use && seat->mapping()->unmap != nullptr) part_done(*seat->mapping(), ready);
    }
  }
  finish(std::move(ready));
  Lock lock(mutex);
  const auto elsewhere = [](std::thread::id caller) { return caller != std::this_thread::get_id(); };
  while (std::any_of(record->callers.begin(), record->callers.end(), elsewhere)) callers_changed.wait(mutex);
  spare_users.push_back(std::move(record));
}

void AddressSpace::State::call_user(UserRecord& record, void (DmaUser::*function)(IovaRange),
                                    IovaRange range) {
  DmaUser* callee = nullptr;
  {
    Lock lock(mutex);
    if (!record.registered) return;
    callee = record.callee;
    record.callers.push_back(std::this_thread::get_id());
  }
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0, "a device is called with a lock of the core held");
  (callee->*function)(range);
  Lock lock(mutex);
  record.callers.erase(std::find(record.callers.begin(), record.callers.end(), std::this_thread::get_id()));
  callers_changed.notify_all();
}

}  // namespace umdev::iommu
