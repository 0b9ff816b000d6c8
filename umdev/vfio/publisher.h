// What the core shows of itself in the tree: class/vfio and class/vfio-dev.
#pragma once

#include <cstdint>
#include <memory>

#include "umdev/device/class.h"
#include "umdev/device/device.h"
#include "umdev/device/model.h"

namespace umdev::vfio {

class Group;

// Makes the devices that stand for VFIO groups and VFIO devices. Thread-safe.
class Publisher {
 public:
  // EEXIST when the model has these classes already (a second core in one model).
  static Result<std::unique_ptr<Publisher>> create(device::Model& model);

  // devices/virtual/vfio/N with the node vfio/N ("noiommu-N" for a group without isolation). Its events keep
  // the order of those of the device that it is made for: they go into that one's batch, if it has any.
  Result<std::shared_ptr<device::Device>> publish_group(const Group& group,
                                                        std::shared_ptr<device::EventBatch> events);
  // <parent>/vfio-dev/vfioN.
  Result<std::shared_ptr<device::Device>> publish_device(const std::shared_ptr<device::Device>& parent,
                                                         std::uint32_t index);

 private:
  Publisher(device::Model& model, std::shared_ptr<device::Class> groups,
            std::shared_ptr<device::Class> devices)
      : model_(model), groups_(std::move(groups)), devices_(std::move(devices)) {}

  device::Model& model_;
  const std::shared_ptr<device::Class> groups_;
  const std::shared_ptr<device::Class> devices_;
};

}  // namespace umdev::vfio
