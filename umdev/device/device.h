// A device of the model.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "umdev/device/attribute_group.h"
#include "umdev/device/bind_observer.h"
#include "umdev/device/bus.h"
#include "umdev/device/class.h"
#include "umdev/device/driver.h"
#include "umdev/device/event.h"
#include "umdev/device/model.h"

namespace umdev::device {

// What a device with a node in /dev has.
struct DeviceNumber {
  std::uint32_t major;
  std::uint32_t minor;
  std::string node_name;                // below /dev, as "vfio/12" (DEVNAME)
  std::optional<tree::Mode> node_mode;  // DEVMODE, where it is not the default
};

// Made by std::make_shared (of itself or of a class derived from it), then added, then removed. The
// shared_ptr is the kernel's kref: the destructor of the derived class is `release`, and runs when the last
// reference is gone, which may be long after the removal. All members from any thread unless they say
// otherwise.
//
// Its directory is devices/<name>, <parent>/<name>, or for a device of a class devices/virtual/<class>/<name>
// or <parent>/<class>/<name> (directly <parent>/<name> when the parent is of a class too). In it: `uevent`,
// `subsystem` (with a bus or class), `dev` (with a number), `device` (of a class with a parent), the groups,
// and while it is bound `driver`. Links to it: bus/<bus>/devices/<name>, class/<class>/<name>,
// bus/<bus>/drivers/<driver>/<name>.
//
// Binding, unbinding and removal of one device happen one after the other: a request that comes during
// another waits its turn (as for the kernel's device lock) and then meets the state that it finds. More than
// `waiting_limit` waiting ones get EAGAIN. None of these functions blocks; their Done is called inline or
// later, on the thread that ended the matter.
class Device : public std::enable_shared_from_this<Device> {
 public:
  struct Spec {
    std::string name;                     // a slash becomes '!', as in the kernel
    std::shared_ptr<Device> parent = {};  // must have been added
    std::shared_ptr<Bus> bus = {};
    std::shared_ptr<Class> device_class = {};
    std::vector<const AttributeGroup*> groups = {};
    std::optional<DeviceNumber> number = {};
  };
  // Adds nodes as part of the transaction that publishes the device: into its directory, which is given and
  // is removed last, or elsewhere (links to it, as <type>/devices/<name>), removed first.
  using Stage = InlineFunction<void(tree::Transaction&, const tree::Directory&), 48>;

  static constexpr std::size_t waiting_limit = 64;

  Device(Model& model, Spec spec);
  virtual ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Model& model() const { return model_; }
  const std::string& name() const { return name_; }
  const std::shared_ptr<Device>& parent() const { return parent_; }
  const std::shared_ptr<Bus>& bus() const { return bus_; }
  const std::shared_ptr<Class>& device_class() const { return class_; }
  const std::optional<DeviceNumber>& number() const { return number_; }
  // Its directory; empty before add().
  tree::Directory directory() const;
  // The absolute path of that, which is DEVPATH; empty before add(), kept after removal.
  std::string path() const;

  // Publishes the device in one step, complete with its attributes and links, then emits "add", then, if its
  // bus has autoprobe, tries the bus's drivers; `probed` is called when that is over, whatever came of it.
  // From here on the device lives until it is removed. EEXIST (the name is taken, in the directory or on the
  // bus), EBUSY (added already), ENODEV (added and removed once, or the parent is not there), EINVAL (the
  // name).
  Result<> add(Stage stage = {}, Done<> probed = {});

  // The end: links to the device go at once, the driver is removed from it, observers are told, and the
  // directory goes when no show or store runs in it any more; then "remove" is emitted. Under
  // RemovePolicy::busy nothing is touched until the driver has agreed: EBUSY otherwise. ENODEV when it was
  // not added, or is removed already. Devices below it must have been removed before.
  void remove(RemovePolicy policy, Done<> done);

  bool is_added() const;

  // Binds the driver to the device, without asking the bus whether they match. EBUSY: it has a driver (or an
  // observer vetoed); ENODEV: device or driver is not there (any more), or they are on different buses; else
  // what probe said.
  void attach(std::shared_ptr<Driver> driver, Done<> done);
  // Unbinds the driver (any, when null). ENODEV: it is not bound to that; EBUSY only under
  // RemovePolicy::busy.
  void detach(std::shared_ptr<Driver> driver, RemovePolicy policy, Done<> done);
  // The driver that is bound, being probed or being removed; null when there is none.
  std::shared_ptr<Driver> driver() const;
  bool is_bound() const;

  void add_bind_observer(std::shared_ptr<BindObserver> observer);
  void remove_bind_observer(const std::shared_ptr<BindObserver>& observer);

  // Emits an event of the device with keys of the caller's; nothing before add(), nor for a device without
  // bus and class (as in the kernel).
  void emit(Action action, Environment extra = {});
  // From now on events of this device, and of devices below it, go into the batch while that holds.
  void hold_events(std::shared_ptr<EventBatch> batch);
  // Its own batch or its nearest ancestor's; null when there is none.
  std::shared_ptr<EventBatch> event_batch() const;

  // The driver's own; dropped when the driver has been removed.
  void set_driver_data(std::shared_ptr<void> data);
  std::shared_ptr<void> driver_data() const;

 protected:
  // Adds keys of the kind of device to each event and to the text of `uevent` (MODALIAS and the like). No
  // lock is held.
  virtual void add_to_environment(Environment&) const {}

 private:
  friend class Bus;
  enum class Life : std::uint8_t { made, adding, added, removing, removed };
  enum class Request : std::uint8_t { attach, detach, remove };
  enum class Unbinding : std::uint8_t { no, entering, entered };  // begin_remove: called, has returned
  struct Operation;

  // publish.cc
  Result<tree::Directory> find_place();
  Result<> publish(Stage& stage);
  Result<> publish_binding(Driver& driver);
  Result<> publish_driver_groups(Driver& driver);
  std::string subsystem() const;
  void emit_now(Action action, Environment extra);
  Environment environment() const;
  static Result<std::string> show_uevent(Device& device, const DeviceAttribute&);
  static void store_uevent(Device& device, const DeviceAttribute&, std::string_view text,
                           Done<std::size_t> done);
  static Result<std::string> show_dev(Device& device, const DeviceAttribute&);
  static const AttributeGroup& uevent_group();
  static const AttributeGroup& dev_group();

  // binding.cc: the steps of an operation, each called when the one before has ended.
  void request(std::unique_ptr<Operation> operation);
  void start(std::unique_ptr<Operation> operation);
  void finish(std::unique_ptr<Operation> operation, Result<> result);
  void end_operation(Done<> done, Result<> result);
  void begin_attach(std::unique_ptr<Operation> operation);
  Result<> ask_observers(Operation& operation);
  void probed(std::unique_ptr<Operation> operation, Result<> result);
  void bound(std::unique_ptr<Operation> operation);
  void bind_failed(std::unique_ptr<Operation> operation, Error error);
  void begin_detach(std::unique_ptr<Operation> operation);
  void remove_driver_groups(std::unique_ptr<Operation> operation);
  void remove_driver(std::unique_ptr<Operation> operation);
  void driver_removed(std::unique_ptr<Operation> operation, Result<> result);
  void unbound(std::unique_ptr<Operation> operation);
  void forget_driver(Operation& operation);
  void begin_removal(std::unique_ptr<Operation> operation);
  void remove_links(std::unique_ptr<Operation> operation);
  void links_removed(std::unique_ptr<Operation> operation);
  void remove_directory(std::unique_ptr<Operation> operation);
  void directory_removed(std::unique_ptr<Operation> operation);
  // The next step of this operation, as a completion.
  Done<> then(std::unique_ptr<Operation> operation, void (Device::*step)(std::unique_ptr<Operation>));
  Done<> then(std::unique_ptr<Operation> operation,
              void (Device::*step)(std::unique_ptr<Operation>, Result<>));
  void request_detach(std::shared_ptr<Driver> driver, RemovePolicy policy, bool limited, Done<> done);

  Model& model_;
  const std::string name_;
  const std::shared_ptr<Device> parent_;
  const std::shared_ptr<Bus> bus_;
  const std::shared_ptr<Class> class_;
  const std::optional<DeviceNumber> number_;

  mutable Mutex mutex_;
  Life life_ UMDEV_GUARDED_BY(mutex_) = Life::made;
  bool busy_ UMDEV_GUARDED_BY(mutex_) = false;  // an operation runs
  bool bound_ UMDEV_GUARDED_BY(mutex_) = false;
  bool forced_ UMDEV_GUARDED_BY(mutex_) = false;  // a request that waits is a forced one
  Unbinding unbinding_ UMDEV_GUARDED_BY(mutex_) = Unbinding::no;
  std::uint32_t unbinding_ticket_ UMDEV_GUARDED_BY(mutex_) = 0;
  std::list<std::unique_ptr<Operation>> waiting_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<Driver> driver_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<void> driver_data_ UMDEV_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<BindObserver>> observers_ UMDEV_GUARDED_BY(mutex_);
  std::shared_ptr<EventBatch> batch_ UMDEV_GUARDED_BY(mutex_);
  tree::Directory directory_ UMDEV_GUARDED_BY(mutex_);
  std::string path_ UMDEV_GUARDED_BY(mutex_);

  // Written by add() and by the operation that runs, one at a time.
  std::vector<const AttributeGroup*> groups_;
  std::shared_ptr<Device> self_;    // while it is in the tree
  SharedDirectory shared_;          // the class directory it is in
  tree::NodeHandle nodes_;          // its directory
  tree::NodeHandle links_;          // what leads to it
  tree::NodeHandle driver_links_;   // `driver`, and the link in the driver's directory
  tree::NodeHandle driver_groups_;  // the driver's attributes
};

// The kernel's dev_driver_string(): the name of the device's driver, else of its bus, else of its class, else
// "".
std::string dev_driver_string(const Device& device);

}  // namespace umdev::device
