// Devices that are open in a container whose back end is a module's: what they pin and copy, and how they
// hear of what goes.
#include "umdev/kernel/iommu_users.h"

#include <algorithm>
#include <utility>

#include "umdev/kernel/answer.h"
#include "umdev/kernel/iommu_call.h"
#include "umdev/vfio/device_user.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::kernel {
namespace {

constexpr std::uint64_t page_bytes = iommu::page_size;
constexpr iommu::IovaRange everything{.iova = 0, .size = UINT64_MAX};

// A device's name and its IOMMU group's number, as far as the user is a device of the core's.
const vfio::DeviceUser* device_of(const iommu::DmaUser& user) {
  return dynamic_cast<const vfio::DeviceUser*>(&user);
}

}  // namespace

IommuBackEnd::User::User(IommuBackEnd& of, iommu::DmaUser& who, std::string is_called)
    : ::umdev_iommu_user{}, back_end(of), user(who), name(std::move(is_called)) {
  dev.kobj.name = name.c_str();
  device.dev = &dev;
  device.iommu_entry.next = &device.iommu_entry;
  device.iommu_entry.prev = &device.iommu_entry;
}

// Gives a pin back when it is dropped, unless it was taken away before.
class IommuBackEnd::PinHolder final : public iommu::DmaPin::Holder {
 public:
  PinHolder(std::shared_ptr<IommuBackEnd> back_end, std::shared_ptr<Pin> pin)
      : back_end_(std::move(back_end)), pin_(std::move(pin)) {}
  void unpin(iommu::DmaPin&) override { back_end_->unpin(pin_); }
  bool revoked(const iommu::DmaPin&) const override { return pin_->is_revoked.load(); }
  std::span<const iommu::DmaSegment> segments() const override { return pin_->segments; }
  iommu::DmaFile file_of(const iommu::DmaPin&, const iommu::DmaSegment& segment) const override {
    return back_end_->file_of(*pin_, segment);
  }

 private:
  const std::shared_ptr<IommuBackEnd> back_end_;
  const std::shared_ptr<Pin> pin_;
};

// --- Users.

std::shared_ptr<IommuBackEnd::User> IommuBackEnd::find_user(const iommu::DmaUser& user) const {
  Lock lock(mutex_);
  const auto found = users_.find(&user);
  return found == users_.end() ? nullptr : found->second;
}

void IommuBackEnd::register_user(iommu::DmaUser& user) {
  const vfio::DeviceUser* const of_core = device_of(user);
  auto made = std::make_shared<User>(*this, user, of_core != nullptr ? of_core->device().name() : "");
  if (of_core != nullptr) made->group = find_group(of_core->device().group()->iommu_group().number());
  {
    Lock lock(mutex_);
    users_[&user] = made;
  }
  if (ops().register_user == nullptr) return;
  const auto told =
      ask_elsewhere(registration_, "register_device", [self = self(), made](Call& call) -> Result<> {
        call.pages = &self->held_->pages;
        return to_result(self->ops().register_user(self->registration_->key(), self->held_->data, made.get()),
                         "the module takes no notifier");
      });
  made->register_error = told ? 0 : told.error().code;
}

void IommuBackEnd::unregister_user(iommu::DmaUser& user) {
  const auto known = find_user(user);
  if (!known) return;
  const bool was_told = ops().register_user != nullptr && known->register_error == 0;
  if (was_told && ops().unregister_user != nullptr)
    static_cast<void>(
        ask_elsewhere(registration_, "unregister_device", [self = self(), known](Call& call) -> Result<> {
          call.pages = &self->held_->pages;
          self->ops().unregister_user(self->registration_->key(), self->held_->data, known.get());
          return {};
        }));
  {
    Lock lock(mutex_);
    known->gone = true;
    users_.erase(&user);
    while (known->being_told > 0) changed_.wait(mutex_);
  }
  static_cast<void>(revoke(*known, everything));
}

Result<> IommuBackEnd::tells_unmaps(const iommu::DmaUser& user) const {
  if (ops().register_user == nullptr) return fail(ENOTTY, "the module's driver takes no notifier");
  const auto known = find_user(user);
  if (known && known->register_error != 0)
    return fail(known->register_error, "the module's driver took no notifier");
  return {};
}

template <typename Tell>
void IommuBackEnd::tell(User& user, Tell tell) {
  {
    Lock lock(mutex_);
    if (user.gone) return;
    ++user.being_told;
  }
  tell(user.user);
  Lock lock(mutex_);
  if (--user.being_told == 0) changed_.notify_all();
}

void IommuBackEnd::tell_unmap(::umdev_iommu_user* seen, iommu::IovaRange range) {
  if (!range.valid()) return;
  IommuBackEnd& back_end = static_cast<User*>(seen)->back_end;
  const auto user = back_end.find_user(static_cast<User*>(seen)->user);
  if (!user) return;
  back_end.tell(*user, [range](iommu::DmaUser& told) { told.dma_unmap(range); });
  {
    Lock lock(back_end.mutex_);
    if (!back_end.has_pins(*user, range)) return;
  }
  Calls::about_to_wait();
  const auto limit = back_end.registration_->module().world().core().limits().unmap_deadline;
  {
    Lock lock(back_end.mutex_);
    while (back_end.has_pins(*user, range))
      if (!back_end.changed_.wait_for(back_end.mutex_, limit)) break;
  }
  if (back_end.revoke(*user, range))
    back_end.tell(*user, [range](iommu::DmaUser& told) { told.pins_revoked(range); });
}

void IommuBackEnd::take_pins() {
  std::vector<std::shared_ptr<User>> users;
  {
    Lock lock(mutex_);
    for (const auto& [key, user] : users_) users.push_back(user);
  }
  for (const auto& user : users) {
    std::vector<iommu::IovaRange> ranges;
    {
      Lock lock(mutex_);
      for (const auto& [key, pin] : pins_)
        if (pin->user == user.get()) ranges.push_back(pin->range);
    }
    for (const iommu::IovaRange range : ranges)
      tell(*user, [range](iommu::DmaUser& told) { told.dma_unmap(range); });
    if (revoke(*user, everything)) tell(*user, [](iommu::DmaUser& told) { told.pins_revoked(everything); });
  }
}

// --- Pins.

Result<iommu::DmaPin> IommuBackEnd::pin(iommu::DmaUser& by, iommu::IovaRange range, iommu::Access access) {
  if (ops().pin_pages == nullptr) return fail(ENOTTY, "the module's driver cannot pin");
  if (!range.valid()) return fail(EINVAL, "nothing to pin");
  const iommu::Iova first = range.iova & ~(page_bytes - 1);
  const std::uint64_t count = (range.last() - first) / page_bytes + 1;
  if (count > pages_max) return fail(E2BIG, "too many pages at once");
  const auto user = find_user(by);
  if (!user) return fail(EINVAL, "the device is not open in the container");
  auto pin = std::make_shared<Pin>(user.get(), iommu::IovaRange{.iova = first, .size = count * page_bytes});
  UMDEV_TRY(ask_here(
      registration_, "pin_pages",
      [self = self(), pin, prot = static_cast<int>(access), group = user->group](Call& call) -> Result<> {
        call.pages = &self->held_->pages;
        return self->pin_pages(*pin, prot, group.get());
      }));
  pin->segments = segments_of(*pin, range);
  bool came_too_late = false;
  {
    Lock lock(mutex_);
    came_too_late = user->gone;
    pins_[pin.get()] = pin;
  }
  if (came_too_late) {
    unpin(pin);
    return fail(EINVAL, "the device is not open in the container");
  }
  return iommu::DmaPin(std::make_unique<PinHolder>(self(), pin), range, access, pin->segments.front(), 0);
}

// Inside of a call.
Result<> IommuBackEnd::pin_pages(Pin& pin, int prot, ::iommu_group* group) const {
  const auto pages = static_cast<int>(pin.pages.size());
  for (int done = 0; done < pages;) {
    const int count = std::min(pages - done, UMDEV_IOMMU_PAGES_MAX);
    const iommu::Iova at = pin.range.iova + static_cast<std::uint64_t>(done) * page_bytes;
    const int answer =
        ops().pin_pages(registration_->key(), held_->data, group, at, count, prot, pin.pages.data() + done);
    if (answer == count) {
      done += count;
      continue;
    }
    done += std::max(answer, 0);
    for (int undone = 0; ops().unpin_pages != nullptr && undone < done; undone += UMDEV_IOMMU_PAGES_MAX)
      ops().unpin_pages(registration_->key(), held_->data,
                        pin.range.iova + static_cast<std::uint64_t>(undone) * page_bytes,
                        std::min(done - undone, UMDEV_IOMMU_PAGES_MAX));
    return fail(answer < 0 ? -answer : EFAULT, "the module's pin_pages failed");
  }
  return {};
}

std::vector<iommu::DmaSegment> IommuBackEnd::segments_of(const Pin& pin, iommu::IovaRange range) {
  std::vector<iommu::DmaSegment> segments;
  std::uint64_t skip = range.iova - pin.range.iova;
  std::uint64_t left = range.size;
  const ::page* last = nullptr;
  for (const ::page* page : pin.pages) {
    const std::uint64_t length = std::min(page_bytes - skip, left);
    const bool goes_on = last != nullptr && last->arena == page->arena &&
                         segments.back().data + segments.back().length == page->address;
    if (goes_on)
      segments.back().length += length;
    else
      segments.push_back({.data = page->address + skip, .length = length});
    last = page;
    skip = 0;
    left -= length;
  }
  return segments;
}

iommu::DmaFile IommuBackEnd::file_of(const Pin& pin, const iommu::DmaSegment& segment) const {
  const auto begins_in = [&](const ::page* page) {
    return page->address <= segment.data && segment.data < page->address + page_bytes;
  };
  const auto page = std::ranges::find_if(pin.pages, begins_in);
  // Its other pages may be anybody's.
  if (page == pin.pages.end() || (*page)->arena != &held_->pages) return {};
  return {
      .fd = held_->pages.fd(),
      .offset = (*page)->index * page_bytes + static_cast<std::uint64_t>(segment.data - (*page)->address)};
}

void IommuBackEnd::unpin(const std::shared_ptr<Pin>& pin) {
  {
    Lock lock(mutex_);
    if (pin->is_dropped) return;
    pin->is_dropped = true;
  }
  give_back(pin);
}

void IommuBackEnd::give_back(const std::shared_ptr<Pin>& pin) {
  start_call<void>(
      registration_, "unpin_pages", CallPlace::here,
      [self = self(), pin](Call& call) -> Result<> {
        call.pages = &self->held_->pages;
        const int pages = static_cast<int>(pin->pages.size());
        for (int done = 0; self->ops().unpin_pages != nullptr && done < pages; done += UMDEV_IOMMU_PAGES_MAX)
          self->ops().unpin_pages(self->registration_->key(), self->held_->data,
                                  pin->range.iova + static_cast<std::uint64_t>(done) * page_bytes,
                                  std::min(pages - done, UMDEV_IOMMU_PAGES_MAX));
        return {};
      },
      [self = self(), pin](Result<>) {
        Lock lock(self->mutex_);
        self->pins_.erase(pin.get());
        self->changed_.notify_all();
      });
}

bool IommuBackEnd::has_pins(const User& user, iommu::IovaRange range) const {
  return std::ranges::any_of(pins_, [&](const auto& entry) {
    return entry.second->user == &user && entry.second->range.overlaps(range);
  });
}

bool IommuBackEnd::revoke(const User& user, iommu::IovaRange range) {
  std::vector<std::shared_ptr<Pin>> taken;
  {
    Lock lock(mutex_);
    for (const auto& [key, pin] : pins_) {
      if (pin->user != &user || pin->is_dropped || !pin->range.overlaps(range)) continue;
      pin->is_dropped = true;
      pin->is_revoked = true;
      taken.push_back(pin);
    }
  }
  for (const auto& pin : taken) give_back(pin);
  return !taken.empty();
}

std::uint32_t IommuBackEnd::pin_count() const {
  Lock lock(mutex_);
  return static_cast<std::uint32_t>(pins_.size());
}

// --- Copies.

void IommuBackEnd::dma_read(iommu::DmaUser&, iommu::Iova iova, Bytes into, Done<> done) {
  copy(iova, into, /*write=*/false, std::move(done));
}

void IommuBackEnd::dma_write(iommu::DmaUser&, iommu::Iova iova, ConstBytes from, Done<> done) {
  copy(iova, {const_cast<std::byte*>(from.data()), from.size()}, /*write=*/true, std::move(done));
}

void IommuBackEnd::copy(iommu::Iova iova, Bytes bytes, bool write, Done<> done) {
  if (ops().dma_rw == nullptr) return done(fail(ENOTTY, "the module's driver has no dma_rw"));
  if (bytes.empty()) return done(fail(EINVAL, "nothing to copy"));
  start_call<void>(
      registration_, "dma_rw", CallPlace::here,
      [self = self(), iova, bytes, write](Call& call) -> Result<> {
        call.pages = &self->held_->pages;
        return to_result(self->ops().dma_rw(self->held_->data, iova, bytes.data(), bytes.size(), write),
                         "the module's dma_rw failed");
      },
      std::move(done));
}

}  // namespace umdev::kernel
