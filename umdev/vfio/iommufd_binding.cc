#include "umdev/vfio/iommufd_binding.h"

#include <utility>

#include "umdev/vfio/device_claim.h"
#include "umdev/vfio/device_set.h"

namespace umdev::vfio {

void IommufdBinding::create(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<iommu::Iommufd> iommufd,
                            Done<std::shared_ptr<IommufdBinding>> done) {
  const DeviceRef stays = DeviceRef::try_get(device);
  if (!stays) return done(fail(ENODEV, "the device is being removed"));
  auto user = CdevUser::acquire(device->group(), iommufd.get());
  if (!user) return done(std::unexpected(user.error()));
  struct Binding {
    std::shared_ptr<IommufdSteps> steps;
    Done<std::shared_ptr<IommufdBinding>> done;
  };
  auto steps = std::make_shared<IommufdSteps>(device, std::move(iommufd), IommufdSteps::Way::node);
  auto binding = std::make_shared<Binding>(steps, std::move(done));
  DeviceFile::open(std::move(device), DeviceClaim(std::move(*user), steps->access(), steps),
                   [binding](Result<std::shared_ptr<DeviceFile>> file) {
                     if (!file) return binding->done(std::unexpected(file.error()));
                     binding->done(std::shared_ptr<IommufdBinding>(
                         new IommufdBinding(std::move(binding->steps), std::move(*file))));
                   });
}

// One after another with opens, closes and resets of the device.
template <typename T, typename Step>
void IommufdBinding::in_turn(Step step, Done<T> done) {
  struct Turn {
    std::shared_ptr<IommufdSteps> steps;
    Step step;
    Done<T> done;
    Done<> next;
  };
  auto turn = std::make_shared<Turn>(steps_, std::move(step), std::move(done));
  file_->device().device_set().queue().post([turn](Done<> next) {
    turn->next = std::move(next);
    turn->step(*turn->steps, Done<T>([turn](Result<T> result) {
      turn->done(std::move(result));
      turn->next();
    }));
  });
}

void IommufdBinding::attach(std::uint32_t object, Pasid pasid, Done<std::uint32_t> done) {
  in_turn<std::uint32_t>(
      [object, pasid](IommufdSteps& steps, Done<std::uint32_t> attached) {
        if (pasid) return steps.attach_pasid(*pasid, object, std::move(attached));
        steps.attach(object, std::move(attached));
      },
      std::move(done));
}

void IommufdBinding::detach(Pasid pasid, Done<> done) {
  in_turn<void>(
      [pasid](IommufdSteps& steps, Done<> detached) {
        if (pasid) return steps.detach_pasid(*pasid, std::move(detached));
        steps.detach(std::move(detached));
      },
      std::move(done));
}

}  // namespace umdev::vfio
