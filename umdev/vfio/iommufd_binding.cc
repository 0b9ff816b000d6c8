#include "umdev/vfio/iommufd_binding.h"

#include <utility>

#include "umdev/vfio/device_claim.h"
#include "umdev/vfio/device_set.h"

namespace umdev::vfio {

void IommufdBinding::create(std::shared_ptr<RegisteredDevice> device, std::shared_ptr<iommu::Iommufd> iommufd,
                            Done<std::shared_ptr<IommufdBinding>> done) {
  auto user = CdevUser::acquire(device->group(), iommufd.get());
  if (!user) return done(std::unexpected(user.error()));
  const bool physical = device->group()->iommu_group().kind() == IommuGroup::Kind::physical;
  auto access = std::make_shared<iommu::IoasAccess>(physical);
  const auto id = iommufd->add_device(access);
  if (!id) return done(std::unexpected(id.error()));
  struct Binding {
    std::shared_ptr<iommu::Iommufd> iommufd;
    std::uint32_t id;
    Done<std::shared_ptr<IommufdBinding>> done;
  };
  auto binding = std::make_shared<Binding>(std::move(iommufd), *id, std::move(done));
  DeviceFile::open(std::move(device), DeviceClaim(std::move(*user), std::move(access)),
                   [binding](Result<std::shared_ptr<DeviceFile>> file) {
                     if (!file) {
                       binding->iommufd->remove_device(binding->id);
                       return binding->done(std::unexpected(file.error()));
                     }
                     binding->done(std::shared_ptr<IommufdBinding>(
                         new IommufdBinding(std::move(binding->iommufd), binding->id, std::move(*file))));
                   });
}

// The queue closes the device before the number is given back.
IommufdBinding::~IommufdBinding() {
  const auto queue = file_->device().device_set().queue().shared_from_this();
  file_.reset();
  queue->post([iommufd = iommufd_, id = id_](Done<> next) {
    iommufd->remove_device(id);
    next();
  });
}

void IommufdBinding::attach(std::uint32_t object, Done<std::uint32_t> done) {
  struct Attaching {
    std::shared_ptr<iommu::Iommufd> iommufd;
    std::uint32_t id;
    std::uint32_t object;
    Done<std::uint32_t> done;
  };
  auto attaching = std::make_shared<Attaching>(iommufd_, id_, object, std::move(done));
  file_->device().device_set().queue().post([attaching](Done<> next) {
    attaching->done(attaching->iommufd->attach(attaching->id, attaching->object));
    next();
  });
}

void IommufdBinding::detach(Done<> done) {
  struct Detaching {
    std::shared_ptr<iommu::Iommufd> iommufd;
    std::uint32_t id;
    Done<> done;
  };
  auto detaching = std::make_shared<Detaching>(iommufd_, id_, std::move(done));
  file_->device().device_set().queue().post([detaching](Done<> next) {
    detaching->iommufd->detach(detaching->id);
    detaching->done();
    next();
  });
}

}  // namespace umdev::vfio
