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

void IommufdBinding::attach(std::uint32_t object, Pasid pasid, Done<std::uint32_t> done) {
  struct Attaching {
    std::shared_ptr<IommufdSteps> steps;
    std::uint32_t object;
    Pasid pasid;
    Done<std::uint32_t> done;
    Done<> next;
  };
  auto attaching = std::make_shared<Attaching>(steps_, object, pasid, std::move(done));
  file_->device().device_set().queue().post([attaching](Done<> next) {
    attaching->next = std::move(next);
    Done<std::uint32_t> attached([attaching](Result<std::uint32_t> id) {
      attaching->done(std::move(id));
      attaching->next();
    });
    if (attaching->pasid)
      return attaching->steps->attach_pasid(*attaching->pasid, attaching->object, std::move(attached));
    attaching->steps->attach(attaching->object, std::move(attached));
  });
}

void IommufdBinding::detach(Pasid pasid, Done<> done) {
  struct Detaching {
    std::shared_ptr<IommufdSteps> steps;
    Pasid pasid;
    Done<> done;
    Done<> next;
  };
  auto detaching = std::make_shared<Detaching>(steps_, pasid, std::move(done));
  file_->device().device_set().queue().post([detaching](Done<> next) {
    detaching->next = std::move(next);
    Done<> detached([detaching](Result<> result) {
      detaching->done(std::move(result));
      detaching->next();
    });
    if (detaching->pasid) return detaching->steps->detach_pasid(*detaching->pasid, std::move(detached));
    detaching->steps->detach(std::move(detached));
  });
}

}  // namespace umdev::vfio
