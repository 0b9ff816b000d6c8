// Which mappings a copy may use, and that they stay while it does: see the head of address_space_state.h.
#include <algorithm>

#include "umdev/iommu/address_space_state.h"

namespace umdev::iommu {

// As State::take() for pins.
bool AddressSpace::State::take_copy(Mapping& mapping, IovaRange range, Access access, Mapping*& wrong) {
  if (!mapping.copies.try_take(PinWord::for_reading)) return false;
  if (mapping.range().contains(range) && mapping.usable(access)) return true;
  if (!mapping.copies.try_give(PinWord::for_reading)) wrong = &mapping;
  return false;
}

AddressSpace::Mapping* AddressSpace::State::try_copy(IovaRange range, Access access, Mapping*& wrong) {
  Mapping* const last = last_copied.load(std::memory_order_acquire);
  if (last != nullptr && last->range().contains(range) && take_copy(*last, range, access, wrong)) return last;
  Mapping* const mapping = at_or_before(range.iova);
  if (mapping == nullptr || wrong != nullptr) return nullptr;
  if (!take_copy(*mapping, range, access, wrong)) return nullptr;
  last_copied.store(mapping, std::memory_order_release);
  return mapping;
}

AddressSpace::Mapping* AddressSpace::State::begin_copy(IovaRange range, Access access,
                                                       std::shared_ptr<State>& stay) {
  Mapping* wrong = nullptr;
  Mapping* const mapping = try_copy(range, access, wrong);
  if (wrong == nullptr) return mapping;
  stay = shared_from_this();
  end_copy(*wrong);
  return nullptr;
}

Result<AddressSpace::Mapping*> AddressSpace::State::copy_at(Iova iova, Access access) {
  std::shared_ptr<State> stay;
  if (Mapping* const mapping = begin_copy({.iova = iova, .size = 1}, access, stay)) return mapping;
  Lock lock(mutex);
  Mapping* const mapping = find(iova);
  if (mapping == nullptr) return fail(EINVAL, "nothing is mapped there");
  UMDEV_TRY(mapping->check(access, false));
  if (!mapping->copies.try_take(PinWord::for_reading)) return fail(ENOMEM, "too many copies at once");
  return mapping;
}

Result<AddressSpace::State::MappingList> AddressSpace::State::cover(IovaRange range, Access access) {
  MappingList found;
  Result<> covered;
  for (Iova at = range.iova;;) {
    const Result<Mapping*> mapping = copy_at(at, access);
    if (!mapping) {
      covered = std::unexpected(mapping.error());
      break;
    }
    found.push_back(*mapping);
    if ((*mapping)->range().last() >= range.last()) break;
    at = (*mapping)->range().last() + 1;
  }
  // All of it was mapped at one moment: now.
  const auto goes = [](const Mapping* mapping) { return (mapping->copies.get() & PinWord::blocked) != 0; };
  if (covered && std::any_of(found.begin(), found.end(), goes)) {
    covered = fail(EINVAL, "a mapping has gone meanwhile");
  }
  if (covered) return found;
  for (Mapping* mapping : found) end_copy(*mapping);
  return std::unexpected(covered.error());
}

void AddressSpace::State::end_copy(Mapping& mapping) {
  if (mapping.copies.try_give(PinWord::for_reading)) return;
  const std::shared_ptr<State> self = shared_from_this();
  std::shared_ptr<Backing> backing;
  UnmapList ready;
  {
    Lock lock(mutex);
    const PinWord::Value now = mapping.copies.subtract(PinWord::for_reading);
    if ((now & PinWord::blocked) != 0 && PinWord::count(now) == 0) {
      if (mapping.mapped) {
        part_done(mapping, ready);
      } else {
        backing = recycle(mapping);
      }
    }
  }
  finish(std::move(ready));
}

}  // namespace umdev::iommu
