#include "umdev/device/class.h"

#include "umdev/device/device.h"

namespace umdev::device {

Result<std::shared_ptr<Class>> Class::create(Model& model, std::string name) {
  tree::NodeHandle nodes = UMDEV_TRY(model.classes().add_directory(name));
  return std::shared_ptr<Class>(new Class(std::move(name), std::move(nodes)));
}

Result<tree::NodeHandle> Class::add_link(const Device& device) const {
  return directory().add_link(device.name(), device.directory());
}

}  // namespace umdev::device
