#include "umdev/pci/shown_function.h"

#include <utility>

#include "umdev/vfio/group.h"

namespace umdev::pci {
namespace {

std::vector<const device::AttributeGroup*> groups_of(const VirtualFunctions* functions) {
  if (functions == nullptr) return {};
  return {&VirtualFunctions::attributes()};
}

}  // namespace

ShownFunction::ShownFunction(const Place& place, ConfigLayout layout,
                             std::shared_ptr<vfio::RegisteredDevice> device, std::string shown,
                             std::unique_ptr<VirtualFunctions> functions)
    : PciFunction(place, std::move(layout), groups_of(functions.get())),
      device_(std::move(device)),
      shown_(std::move(shown)),
      functions_(std::move(functions)) {}

void ShownFunction::stage(tree::Transaction& transaction, const tree::Directory& directory) {
  PciFunction::stage(transaction, directory);
  transaction.add_link_to_path(
      directory, "iommu_group",
      "/kernel/iommu_groups/" + std::to_string(device_->group()->iommu_group().number()));
}

Result<> ShownFunction::bind_to_vfio() {
  tree::Transaction transaction(directory().tree());
  transaction.add_link_to_path(directory(), "vfio-dev", shown_ + "/vfio-dev");
  tree::NodeHandle link = UMDEV_TRY(transaction.commit());
  device_->set_second_name(name());
  Lock lock(mutex_);
  vfio_dev_ = std::move(link);
  return {};
}

void ShownFunction::unbind_from_vfio(RemovePolicy policy, Done<> done) {
  if (!functions_) {
    hide();
    return done();
  }
  auto self = std::static_pointer_cast<ShownFunction>(shared_from_this());
  auto unbound = std::make_shared<Done<>>(std::move(done));
  functions_->remove_all(policy, [self, unbound](Result<> result) {
    if (result) self->hide();
    (*unbound)(std::move(result));
  });
}

void ShownFunction::hide() {
  device_->set_second_name({});
  tree::NodeHandle link;
  {
    Lock lock(mutex_);
    link = std::move(vfio_dev_);
  }
  link.remove();
}

void ShownFunction::force_unbind() {
  if (functions_) functions_->force();
}

}  // namespace umdev::pci
