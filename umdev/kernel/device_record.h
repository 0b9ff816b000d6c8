// What hangs on a module's struct device: its place in the device model, its name, its references.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/device/device.h"
#include "umdev/kernel/attribute_tables.h"

namespace umdev::mdev {
class Instance;
}

namespace umdev::kernel {

class MdevRecord;
class Module;

// The device of the model that a module's struct device is.
class ModuleNode final : public device::Device {
 public:
  ModuleNode(device::Model& model, Spec spec, ::device& object)
      : Device(model, std::move(spec)), object_(object) {}
  ::device& object() const { return object_; }

 private:
  ::device& object_;
};

// One a struct device, made with its name or its first reference, destroyed with its last one.
struct DeviceRecord {
  explicit DeviceRecord(Module& owner) : module(owner) {}

  Module& module;
  std::atomic<int> references = 1;
  std::string name;
  std::unique_ptr<AttributeTables> attributes;
  std::shared_ptr<device::Device> node;  // from device_add() on; of an mdev its instance
  MdevRecord* mdev = nullptr;            // of an mdev: the references are that one's business

  // Null when nothing was done with the device yet.
  static DeviceRecord* of(const ::device* dev) {
    return dev == nullptr ? nullptr : static_cast<DeviceRecord*>(dev->umdev);
  }
};

// The services.
void device_initialize(::device* dev);
int device_add(::device* dev);
void device_del(::device* dev);
::device* get_device(::device* dev);
void put_device(::device* dev);
int dev_set_name(::device* dev, const char* format, va_list arguments);
// Of a ::class_; see the table of services.
int class_register(::module* owner, void* registered);
void class_unregister(const void* registered);

}  // namespace umdev::kernel
