// The making of one instance, step by step.
#pragma once

#include <memory>

#include "umdev/device/event.h"
#include "umdev/mdev/bus.h"
#include "umdev/support/gate.h"

namespace umdev::mdev {

// Lives while a creation is under way, owned by the completion of the step that it waits for. An error in any
// step undoes the steps before it.
class Creation : public std::enable_shared_from_this<Creation> {
 public:
  static void start(Bus& bus, Registry& registry, CreateRequest request, Done<> done);

 private:
  Creation(Bus& bus, Registry& registry, CreateRequest request, Done<> done)
      : bus_(bus), registry_(registry), request_(std::move(request)), done_(std::move(done)) {}

  Result<> draw();    // UUID, slot, pass, resources
  void ask_vendor();  // the vendor makes the device
  void add_to_bus(std::unique_ptr<vfio::Device> device);
  void attach_bus_driver();  // IOMMU group and VFIO group
  void succeed();
  void give_up(Error error);  // before the instance was added
  void undo(Error error);     // after it
  void forget_device();

  Bus& bus_;
  Registry& registry_;
  const CreateRequest request_;
  Done<> done_;
  std::shared_ptr<Parent> parent_;
  const Type* type_ = nullptr;
  bool reserved_ = false;
  Gate::Pass pass_;
  std::shared_ptr<Instance> instance_;
  std::shared_ptr<device::EventBatch> events_;
};

}  // namespace umdev::mdev
