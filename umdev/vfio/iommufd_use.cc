#include "umdev/vfio/iommufd_use.h"

#include <utility>

namespace umdev::vfio {

// Whoever takes a step, for as long as this lives.
class IommufdUse::Step {
 public:
  static Result<Step> begin(IommufdUse& use) {
    Lock lock(use.mutex_);
    if (use.closed_) return fail(ENODEV, "the device was closed");
    if (use.in_step_ != std::thread::id()) return fail(EBUSY, "another step of the iommufd is under way");
    use.in_step_ = std::this_thread::get_id();
    return Step(use);
  }
  Step(Step&& other) noexcept : use_(std::exchange(other.use_, nullptr)) {}
  Step& operator=(Step&&) = delete;
  ~Step() {
    if (use_ == nullptr) return;
    Lock lock(use_->mutex_);
    use_->in_step_ = {};
    use_->step_over_.notify_all();
  }

 private:
  explicit Step(IommufdUse& use) : use_(&use) {}
  IommufdUse* use_;
};

Result<std::uint32_t> IommufdUse::bind() {
  const Step step = UMDEV_TRY(Step::begin(*this));
  if (id_) return fail(EBUSY, "the device is bound");
  id_ = UMDEV_TRY(iommufd_->add_device(access_));
  return *id_;
}

Result<> IommufdUse::unbind() {
  const Step step = UMDEV_TRY(Step::begin(*this));
  give_back();
  return {};
}

Result<std::uint32_t> IommufdUse::attach(std::uint32_t object) {
  const Step step = UMDEV_TRY(Step::begin(*this));
  if (!id_) return fail(EINVAL, "the device is not bound");
  return iommufd_->attach(*id_, object);
}

Result<> IommufdUse::detach() {
  const Step step = UMDEV_TRY(Step::begin(*this));
  if (!id_) return fail(EINVAL, "the device is not bound");
  iommufd_->detach(*id_);
  return {};
}

void IommufdUse::close() {
  Lock lock(mutex_);
  closed_ = true;
  while (in_step_ != std::thread::id() && in_step_ != std::this_thread::get_id()) step_over_.wait(mutex_);
}

void IommufdUse::give_back() {
  if (const auto id = std::exchange(id_, std::nullopt)) iommufd_->remove_device(*id);
}

}  // namespace umdev::vfio
