#include "umdev/kernel/iommu_registration.h"

#include <algorithm>
#include <cstring>

#include "umdev/abi/vfio_ioctl.h"
#include "umdev/kernel/belongings.h"
#include "umdev/kernel/iommu_back_end.h"
#include "umdev/kernel/iommu_call.h"
#include "umdev/kernel/module.h"

namespace umdev::kernel {

IommuRegistration::IommuRegistration(Module& module, const void* key, const ::umdev_iommu_ops& ops)
    : module_(module), key_(key), ops_(ops), name_(ops.name != nullptr ? ops.name : "") {}

// As the kernel asks a driver that has no container yet: with no iommu_data.
int IommuRegistration::check_extension(std::uint32_t extension) const {
  auto self = std::const_pointer_cast<IommuRegistration>(shared_from_this());
  const auto answer = ask_elsewhere<int>(self, "iommu ioctl", [self, extension](Call&) -> Result<int> {
    return static_cast<int>(self->ops_.ioctl(nullptr, abi::vfio_check_extension, extension));
  });
  return answer ? *answer : -answer.error().code;
}

Result<std::shared_ptr<iommu::IommuInstance>> IommuRegistration::open(std::uint32_t type) {
  auto back_end = std::make_shared<IommuBackEnd>(shared_from_this());
  {
    Lock lock(mutex_);
    back_ends_.emplace_back(back_end.get(), back_end);
  }
  UMDEV_TRY(back_end->open(type));
  return back_end;
}

bool IommuRegistration::enter() {
  Lock lock(mutex_);
  if (closed_) return false;
  ++inside_;
  return true;
}

void IommuRegistration::leave() {
  Lock lock(mutex_);
  if (--inside_ == 0) left_.notify_all();
}

void IommuRegistration::close() {
  Calls::about_to_wait();
  Lock lock(mutex_);
  closed_ = true;
  while (inside_ > 0) left_.wait(mutex_);
}

Result<> IommuRegistration::begin() {
  auto registration = UMDEV_TRY(module_.world().core().register_iommu_driver(shared_from_this()));
  module_.world().iommu_drivers().add(key_, shared_from_this());
  module_.belongings().add(key_, "IOMMU driver", name_,
                           [self = shared_from_this()] { self->end(/*module_ends=*/true); });
  Lock lock(mutex_);
  registration_ = std::move(registration);
  return {};
}

void IommuRegistration::end(bool module_ends) {
  Registration registration;
  {
    Lock lock(mutex_);
    ended_ = true;
    registration = std::move(registration_);
  }
  if (registration) {
    static_cast<void>(module_.world().iommu_drivers().take(key_));
    registration.unregister(RemovePolicy::force, [](Result<>) {});
  }
  const auto left = back_ends();
  if (!left.empty() && !module_ends) return;
  for (const auto& back_end : left) back_end->take_pins();
  close();
  for (const auto& back_end : left) back_end->release_now();
  module_.belongings().remove(key_);
}

std::vector<std::shared_ptr<IommuBackEnd>> IommuRegistration::back_ends() {
  std::vector<std::shared_ptr<IommuBackEnd>> list;
  Lock lock(mutex_);
  for (const auto& [key, back_end] : back_ends_)
    if (auto lives = back_end.lock()) list.push_back(std::move(lives));
  return list;
}

void IommuRegistration::forget(const IommuBackEnd& back_end) {
  {
    Lock lock(mutex_);
    std::erase_if(back_ends_, [&](const auto& entry) { return entry.first == &back_end; });
    if (!ended_ || !back_ends_.empty()) return;
  }
  module_.belongings().remove(key_);
}

// --- The services.

int vfio_register_iommu_driver(::module* owner, const void* ops, const ::umdev_iommu_ops* callbacks) {
  Module& module = *static_cast<Module*>(owner->umdev);
  // A module that was compiled for a shorter table has nothing behind it.
  ::umdev_iommu_ops known = {};
  std::memcpy(&known, callbacks, std::min<std::size_t>(callbacks->size, sizeof(known)));
  if (known.open == nullptr || known.release == nullptr || known.ioctl == nullptr ||
      known.attach_group == nullptr || known.detach_group == nullptr)
    return -EINVAL;
  if (module.world().iommu_drivers().find(ops)) return -EINVAL;
  const auto begun = std::make_shared<IommuRegistration>(module, ops, known)->begin();
  return begun ? 0 : -begun.error().code;
}

void vfio_unregister_iommu_driver(::module* owner, const void* ops) {
  const Module& module = *static_cast<Module*>(owner->umdev);
  if (const auto registration = module.world().iommu_drivers().find(ops))
    registration->end(module.is_forced());
}

void iommu_user_unmap(::umdev_iommu_user* user, umdev_u64 iova, umdev_u64 size) {
  IommuBackEnd::tell_unmap(user, {.iova = iova, .size = size});
}

}  // namespace umdev::kernel
