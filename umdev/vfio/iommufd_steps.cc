#include "umdev/vfio/iommufd_steps.h"

#include <string>
#include <utility>

#include "umdev/vfio/device_wrapper.h"
#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/group.h"

namespace umdev::vfio {

BindsIommufd* IommufdSteps::asked_part_of(RegisteredDevice& device) {
  if (device.group()->no_iommu()) return nullptr;
  auto* const own = facet_of<BindsIommufd>(device.device());
  return own != nullptr && driver_call([&] { return own->binds_iommufd(); }) ? own : nullptr;
}

IommufdSteps::IommufdSteps(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<iommu::Iommufd> iommufd,
                           Way way)
    : device_(std::move(device)),
      use_(std::make_shared<IommufdUse>(
          std::move(iommufd), device_->group()->iommu_group().kind() == IommuGroup::Kind::physical)),
      own_(asked_part_of(*device_)),
      attaches_pasids_(own_ != nullptr && driver_call([&] { return own_->attaches_pasids(); })),
      way_(way) {}

// Calls `begin` with a Done that completes in time, inside of the driver. The driver stays meanwhile.
template <typename T, typename Begin>
void IommufdSteps::ask(std::string_view too_long, Begin begin, Done<T> done) {
  struct Asking {
    RegisteredDevice::Stay stay;
    Done<T> done;
  };
  auto asking = std::make_shared<Asking>(device_->enter(), std::move(done));
  Done<T> bounded =
      device_->in_time<T>([asking](Result<T> result) { asking->done(std::move(result)); }, too_long);
  driver_call([&] { begin(std::move(bounded)); });
}

Result<> IommufdSteps::usable() const {
  if (!bound_) return fail(ENODEV, "the device was closed");
  if (device_->faulted()) return fail(EIO, "the device is faulted");
  return {};
}

// --- The device is opened and closed.

void IommufdSteps::bind(Done<> done) {
  struct Binding {
    std::shared_ptr<IommufdSteps> self;
    Done<> done;
  };
  auto binding = std::make_shared<Binding>(shared_from_this(), std::move(done));
  Done<std::uint32_t> bound([binding](Result<std::uint32_t> id) {
    if (!id) return binding->done(std::unexpected(id.error()));
    binding->self->id_ = *id;
    binding->self->bound_ = true;
    binding->done();
  });
  if (own_ == nullptr) return bound(use_->bind());
  ask<std::uint32_t>(
      "bind_iommufd was not completed in time",
      [this](Done<std::uint32_t> asked) { own_->bind_iommufd(use_, std::move(asked)); }, std::move(bound));
}

void IommufdSteps::attach_at_open(Done<> done) {
  if (way_ == Way::node) return done();
  const auto ioas = iommufd()->compatibility_ioas();
  if (!ioas) return done(std::unexpected(ioas.error()));
  auto kept = std::make_shared<Done<>>(std::move(done));
  attach(*ioas, [kept](Result<std::uint32_t> id) {
    if (!id) return (*kept)(std::unexpected(id.error()));
    (*kept)();
  });
}

void IommufdSteps::unbind(Done<> done) {
  bound_ = false;
  if (own_ == nullptr) return done();  // give_back() does it
  auto kept = std::make_shared<Done<>>(std::move(done));
  ask<void>(
      "unbind_iommufd was not completed in time",
      [this](Done<> asked) { own_->unbind_iommufd(std::move(asked)); }, [kept](Result<>) { (*kept)(); });
}

// --- Its user attaches it.

void IommufdSteps::attach(std::uint32_t object, Done<std::uint32_t> done) {
  if (const auto now = usable(); !now) return done(std::unexpected(now.error()));
  if (own_ == nullptr) return done(use_->attach(object));
  ask<std::uint32_t>(
      "attach_ioas was not completed in time",
      [this, object](Done<std::uint32_t> asked) { own_->attach_ioas(object, std::move(asked)); },
      std::move(done));
}

void IommufdSteps::detach(Done<> done) {
  if (!bound_) return done(fail(ENODEV, "the device was closed"));
  if (own_ == nullptr) return done(use_->detach());
  struct Detaching {
    std::shared_ptr<IommufdUse> use;
    Done<> done;
  };
  auto detaching = std::make_shared<Detaching>(use_, std::move(done));
  ask<void>(
      "detach_ioas was not completed in time", [this](Done<> asked) { own_->detach_ioas(std::move(asked)); },
      [detaching](Result<> result) {
        // A driver that has crashed does not do it any more.
        if (!result) static_cast<void>(detaching->use->detach());
        detaching->done(std::move(result));
      });
}

void IommufdSteps::attach_pasid(std::uint32_t pasid, std::uint32_t object, Done<std::uint32_t> done) {
  if (const auto now = usable(); !now) return done(std::unexpected(now.error()));
  if (!attaches_pasids_) return done(fail(EOPNOTSUPP, "the device has no PASIDs"));
  ask<std::uint32_t>(
      "pasid_attach_ioas was not completed in time",
      [=, this](Done<std::uint32_t> asked) { own_->attach_pasid(pasid, object, std::move(asked)); },
      std::move(done));
}

void IommufdSteps::detach_pasid(std::uint32_t pasid, Done<> done) {
  if (!bound_) return done(fail(ENODEV, "the device was closed"));
  if (!attaches_pasids_) return done(fail(EOPNOTSUPP, "the device has no PASIDs"));
  ask<void>(
      "pasid_detach_ioas was not completed in time",
      [this, pasid](Done<> asked) { own_->detach_pasid(pasid, std::move(asked)); }, std::move(done));
}

}  // namespace umdev::vfio
