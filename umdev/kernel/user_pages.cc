#include "umdev/kernel/user_pages.h"

#include "umdev/kernel/iommu_back_end.h"
#include "umdev/kernel/mdev_record.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/vfio_record.h"
#include "umdev/kernel/waiting.h"
#include "umdev/vfio/device_user.h"

namespace umdev::kernel {
namespace {

constexpr std::uint64_t page_bytes = iommu::page_size;

// IOMMU_READ and IOMMU_WRITE.
iommu::Access access_of(int prot) {
  return static_cast<iommu::Access>(prot & 3);
}

}  // namespace

void UserPages::set_user(vfio::User* user) {
  std::map<std::uint64_t, std::unique_ptr<Pinned>> left;
  {
    Lock lock(mutex_);
    user_ = user;
    if (user == nullptr) left = std::exchange(pinned_, {});
  }
}

Result<::page*> UserPages::pin_one(std::uint64_t iova, iommu::Access access) {
  vfio::User* user = nullptr;
  {
    Lock lock(mutex_);
    const auto known = pinned_.find(iova);
    if (known != pinned_.end()) {
      if (!iommu::allows(known->second->pin.access(), access)) return fail(EPERM, "pinned for less before");
      ++known->second->count;
      return &known->second->page;
    }
    user = user_;
  }
  if (user == nullptr) return fail(EINVAL, "the device is not open");
  auto pin = UMDEV_TRY(user->pin({.iova = iova, .size = page_bytes}, access));
  auto made = std::make_unique<Pinned>();
  made->page = {.arena = nullptr, .index = 0, .address = pin.segments().front().data, .references = 1};
  made->pin = std::move(pin);
  std::unique_ptr<Pinned> raced;
  Lock lock(mutex_);
  auto& place = pinned_[iova];
  if (place) {
    ++place->count;
    raced = std::move(made);
  } else {
    place = std::move(made);
  }
  return &place->page;
}

Result<> UserPages::pin(std::uint64_t iova, int count, iommu::Access access, ::page** pages) {
  if (count <= 0 || pages == nullptr || iova % page_bytes != 0) return fail(EINVAL, "nothing to pin");
  if (count > pages_max) return fail(E2BIG, "too many pages at once");
  for (int n = 0; n < count; ++n) {
    auto page = pin_one(iova + static_cast<std::uint64_t>(n) * page_bytes, access);
    if (!page) {
      unpin(iova, n);
      return std::unexpected(page.error());
    }
    pages[n] = *page;
  }
  return {};
}

void UserPages::unpin(std::uint64_t iova, int count) {
  for (int n = 0; n < count; ++n) {
    std::unique_ptr<Pinned> last;
    Lock lock(mutex_);
    const auto known = pinned_.find(iova + static_cast<std::uint64_t>(n) * page_bytes);
    if (known == pinned_.end() || --known->second->count > 0) continue;
    last = std::move(known->second);
    pinned_.erase(known);
  }
}

Result<> UserPages::tells_unmaps() {
  const vfio::DeviceUser* user = nullptr;
  {
    Lock lock(mutex_);
    user = dynamic_cast<const vfio::DeviceUser*>(user_);
  }
  if (user == nullptr) return {};
  const auto* const of_module = dynamic_cast<const IommuBackEnd*>(user->iommu().get());
  return of_module == nullptr ? Result<>() : of_module->tells_unmaps(*user);
}

Result<> UserPages::copy(std::uint64_t iova, Bytes data, bool write) {
  vfio::User* user = nullptr;
  {
    Lock lock(mutex_);
    user = user_;
  }
  if (user == nullptr || data.empty()) return fail(EINVAL, "the device is not open");
  return wait_for([&](Done<> done) {
    if (write) return user->dma_write(iova, data, std::move(done));
    user->dma_read(iova, data, std::move(done));
  });
}

// --- The services.

int vfio_pin_pages(::vfio_device* object, umdev_u64 iova, int count, int prot, ::page** pages) {
  const auto record = VfioRecord::of(object);
  if (!record) return -EINVAL;
  const auto pinned = record->user_pages().pin(iova, count, access_of(prot), pages);
  return pinned ? count : -pinned.error().code;
}

void vfio_unpin_pages(::vfio_device* object, umdev_u64 iova, int count) {
  if (const auto record = VfioRecord::of(object)) record->user_pages().unpin(iova, count);
}

int vfio_dma_rw(::vfio_device* object, umdev_u64 iova, void* data, std::size_t size, bool write) {
  const auto record = VfioRecord::of(object);
  if (!record) return -EINVAL;
  const auto copied = record->user_pages().copy(iova, {static_cast<std::byte*>(data), size}, write);
  return copied ? 0 : -copied.error().code;
}

::vfio_device* vfio_of_device(::device* dev) {
  if (const DeviceRecord* const record = DeviceRecord::of(dev);
      record != nullptr && record->mdev != nullptr) {
    const auto vfio = record->mdev->vfio();
    return vfio ? vfio->object() : nullptr;
  }
  const auto registered = current_call()->module->world().vfio_devices().find(dev);
  return registered ? registered->object() : nullptr;
}

int vfio_on_unmap(::vfio_device* object, void (*unmap)(void*, umdev_u64, umdev_u64), void* data) {
  const auto record = VfioRecord::of(object);
  if (!record) return -EINVAL;
  if (unmap != nullptr)
    if (const auto told = record->user_pages().tells_unmaps(); !told) return -told.error().code;
  return record->set_unmap(unmap, data) ? 0 : -EBUSY;
}

}  // namespace umdev::kernel
