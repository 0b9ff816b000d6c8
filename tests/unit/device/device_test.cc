// Devices in the tree: paths, links, attributes, removal.
#include "umdev/device/device.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "tests/unit/device/device_fixture.h"
#include "umdev/support/sanitizers.h"

namespace umdev::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Devices : public DeviceTest {};

TEST_F(Devices, the_model_makes_the_roots) {
  for (const char* path : {"/devices", "/devices/virtual", "/bus", "/class", "/kernel/iommu_groups"})
    EXPECT_TRUE(exists(path)) << path;
  EXPECT_EQ(error_of(Model::create(tree)), EEXIST);
}

TEST_F(Devices, two_models_live_side_by_side) {
  tree::Tree other_tree;
  const auto other = Model::create(other_tree).value();
  const auto device = add({.name = "x"});
  EXPECT_TRUE(exists("/devices/x"));
  EXPECT_FALSE(other_tree.lookup("/devices/x"));
}

TEST_F(Devices, D39_a_device_of_a_bus_is_below_its_parent_and_linked_from_the_bus) {
  const auto mtty_class = Class::create(*model, "mtty").value();
  const auto mtty = add({.name = "mtty", .device_class = mtty_class});
  const auto uuid = add({.name = "83b8f4f2", .parent = mtty, .bus = bus});
  EXPECT_EQ(mtty->path(), "/devices/virtual/mtty/mtty");
  EXPECT_EQ(link("/class/mtty/mtty"), "../../devices/virtual/mtty/mtty");
  EXPECT_EQ(link("/devices/virtual/mtty/mtty/subsystem"), "../../../../class/mtty");
  EXPECT_EQ(uuid->path(), "/devices/virtual/mtty/mtty/83b8f4f2");
  EXPECT_EQ(link("/devices/virtual/mtty/mtty/83b8f4f2/subsystem"), "../../../../../bus/mdev");
  EXPECT_EQ(link("/bus/mdev/devices/83b8f4f2"), "../../../devices/virtual/mtty/mtty/83b8f4f2");
  EXPECT_FALSE(exists("/devices/virtual/mtty/mtty/83b8f4f2/dev"));
}

TEST_F(Devices, C41_a_class_device_below_a_bus_device_is_in_a_directory_of_the_class) {
  const auto vfio_dev = Class::create(*model, "vfio-dev").value();
  const auto uuid = add_on_bus("uuid");
  auto vfio0 = add({.name = "vfio0",
                    .parent = uuid,
                    .device_class = vfio_dev,
                    .number = DeviceNumber{.major = 511, .minor = 0, .node_name = "vfio/devices/vfio0"}});
  auto vfio1 = add({.name = "vfio1", .parent = uuid, .device_class = vfio_dev});
  EXPECT_EQ(vfio0->path(), "/devices/uuid/vfio-dev/vfio0");
  EXPECT_EQ(link("/devices/uuid/vfio-dev/vfio0/device"), "../../../uuid");
  EXPECT_EQ(link("/devices/uuid/vfio-dev/vfio0/subsystem"), "../../../../class/vfio-dev");
  EXPECT_EQ(link("/class/vfio-dev/vfio0"), "../../devices/uuid/vfio-dev/vfio0");
  EXPECT_EQ(tree.read("/devices/uuid/vfio-dev/vfio0/dev").value(), "511:0\n");
  // The directory goes with the last of them.
  EXPECT_EQ(remove(*vfio0), 0);
  EXPECT_TRUE(exists("/devices/uuid/vfio-dev"));
  EXPECT_EQ(remove(*vfio1), 0);
  EXPECT_FALSE(exists("/devices/uuid/vfio-dev"));
}

TEST_F(Devices, a_class_device_below_a_class_device_is_directly_below) {
  const auto tty = Class::create(*model, "tty").value();
  const auto parent = add({.name = "parent", .device_class = tty});
  const auto below = add({.name = "below", .parent = parent, .device_class = tty});
  EXPECT_EQ(below->path(), "/devices/virtual/tty/parent/below");
}

TEST_F(Devices, D30_a_compatibility_class_is_a_bare_directory_of_links) {
  const auto mdev_bus = Class::create(*model, "mdev_bus").value();
  const auto mtty = add({.name = "mtty", .device_class = Class::create(*model, "mtty").value()});
  {
    const tree::NodeHandle parent_link = mdev_bus->add_link(*mtty).value();
    EXPECT_EQ(link("/class/mdev_bus/mtty"), "../../devices/virtual/mtty/mtty");
    EXPECT_EQ(error_of(mdev_bus->add_link(*mtty)), EEXIST);
  }
  EXPECT_THAT(tree.list("/class/mdev_bus").value(), IsEmpty());
}

TEST_F(Devices, D31_dev_driver_string_is_driver_else_bus_else_class) {
  const auto of_class = add({.name = "mtty", .device_class = Class::create(*model, "mtty").value()});
  const auto of_bus = add_on_bus("x");
  EXPECT_EQ(dev_driver_string(*of_class), "mtty");
  EXPECT_EQ(dev_driver_string(*of_bus), "mdev");
  const auto driver = add_driver("i915");
  EXPECT_EQ(attach(*of_bus, driver), 0);
  EXPECT_EQ(dev_driver_string(*of_bus), "i915");
  EXPECT_EQ(dev_driver_string(*add({.name = "bare"})), "");
}

TEST_F(Devices, a_slash_in_a_name_becomes_an_exclamation_mark) {
  EXPECT_EQ(add({.name = "cciss/c0d0"})->path(), "/devices/cciss!c0d0");
}

TEST_F(Devices, a_name_that_is_taken_is_eexist_and_leaves_nothing) {
  const auto parent = add({.name = "parent"});
  const auto first = add_on_bus("x");
  const auto same_place = make({.name = "x"});
  EXPECT_EQ(error_of(same_place->add()), EEXIST);
  const auto same_bus = make({.name = "x", .parent = parent, .bus = bus});
  EXPECT_EQ(error_of(same_bus->add()), EEXIST);
  EXPECT_FALSE(exists("/devices/parent/x"));
  EXPECT_EQ(bus->find_device("x").value(), first);
  EXPECT_FALSE(same_bus->is_added());
  EXPECT_EQ(remove(*first), 0);
  EXPECT_TRUE(same_bus->add()) << "a failed add can be tried again";
  devices.push_back(same_bus);
}

TEST_F(Devices, a_failed_add_takes_its_class_directory_back) {
  const auto mtty = Class::create(*model, "mtty").value();
  const auto bad = make({.name = "..", .device_class = mtty});
  EXPECT_EQ(error_of(bad->add()), EINVAL);
  EXPECT_FALSE(exists("/devices/virtual/mtty"));
}

TEST_F(Devices, is_added_once_and_lives_once) {
  const auto device = add_on_bus("x");
  EXPECT_EQ(error_of(device->add()), EBUSY);
  EXPECT_EQ(remove(*device), 0);
  EXPECT_EQ(error_of(device->add()), ENODEV);
  EXPECT_EQ(remove(*device), ENODEV);
  EXPECT_EQ(remove(*make({.name = "never"})), ENODEV);
}

TEST_F(Devices, below_a_parent_that_is_not_there_is_enodev) {
  const auto parent = add({.name = "parent"});
  EXPECT_EQ(remove(*parent), 0);
  EXPECT_EQ(error_of(make({.name = "x", .parent = parent})->add()), ENODEV);
  const auto never = make({.name = "never"});
  EXPECT_EQ(error_of(make({.name = "x", .parent = never})->add()), ENODEV);
}

TEST_F(Devices, a_device_is_released_by_its_last_reference) {
  struct Released final : Device {
    Released(Model& model, bool& flag) : Device(model, {.name = "x"}), released(flag) {}
    ~Released() override { released = true; }
    bool& released;
  };
  bool released = false;
  auto device = std::make_shared<Released>(*model, released);
  EXPECT_TRUE(device->add());
  const std::weak_ptr<Device> weak = device;
  device.reset();
  EXPECT_FALSE(released) << "the tree holds it";
  auto held = weak.lock();
  EXPECT_EQ(remove(*held), 0);
  EXPECT_FALSE(released);
  held.reset();
  EXPECT_TRUE(released);
}

constexpr DeviceAttribute vendor_attributes[] = {
    {.name = "sample_mdev_dev",
     .show = [](Device& device, const DeviceAttribute&) -> Result<std::string> {
       return "This is MDEV " + device.name() + "\n";
     }},
    {.name = "hidden"},
    {.name = "reset",
     .mode = 0200,
     .store = [](Device&, const DeviceAttribute&, std::string_view text,
                 Done<std::size_t> done) { done(text.size()); }},
    {.name = "nothing", .mode = 0666},
};
tree::Mode vendor_is_visible(const Device&, const DeviceAttribute& attribute) {
  return attribute.name == "hidden" ? 0 : attribute.mode;
}
constexpr AttributeGroup vendor_group{
    .name = "vendor", .attributes = vendor_attributes, .is_visible = vendor_is_visible};
constexpr AttributeGroup plain_group{.attributes = vendor_attributes};

TEST_F(Devices, D38_attribute_groups_show_and_store) {
  const auto device = add({.name = "x", .bus = bus, .groups = {&vendor_group, &plain_group}});
  EXPECT_EQ(tree.read("/devices/x/vendor/sample_mdev_dev").value(), "This is MDEV x\n");
  EXPECT_EQ(tree.read("/devices/x/sample_mdev_dev").value(), "This is MDEV x\n");
  EXPECT_EQ(write("/devices/x/vendor/reset", "1"), 0);
  EXPECT_EQ(error_of(tree.read("/devices/x/vendor/reset")), EACCES);
  EXPECT_EQ(error_of(tree.read("/devices/x/vendor/nothing")), EIO);
  EXPECT_EQ(write("/devices/x/vendor/nothing", "1"), EIO);
  EXPECT_THAT(tree.list("/devices/x/vendor").value(), ElementsAre("nothing", "reset", "sample_mdev_dev"));
}

TEST_F(Devices, D36_an_attribute_that_is_not_visible_is_absent) {
  const auto device = add({.name = "x", .groups = {&vendor_group}});
  EXPECT_EQ(error_of(tree.lookup("/devices/x/vendor/hidden")), ENOENT);
}

TEST_F(Devices, appears_complete_in_one_step) {
  bool complete = false;
  auto changes = tree.subscribe(16, [&] {
    complete = exists("/devices/x/vendor/reset") && exists("/devices/x/subsystem") &&
               exists("/bus/mdev/devices/x/uevent") && exists("/by-owner/x");
  });
  const auto owner = tree.root().add_directory("by-owner").value();
  while (changes.next()) {
  }
  const auto device = make({.name = "x", .bus = bus, .groups = {&vendor_group}});
  EXPECT_TRUE(device->add([&](tree::Transaction& transaction, const tree::Directory& directory) {
    transaction.add_link(owner.directory(), "x", directory);
    transaction.add_link(directory, "owner", owner.directory());
  }));
  devices.push_back(device);
  EXPECT_TRUE(complete);
  EXPECT_EQ(link("/devices/x/owner"), "../../by-owner");
  EXPECT_EQ(remove(*device), 0);
  EXPECT_FALSE(exists("/by-owner/x"));
}

TEST_F(Devices, removal_takes_the_links_first_then_the_driver_then_the_directory) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  driver->holds_remove = true;
  Outcome<> removed;
  device->remove(RemovePolicy::wait, removed.done());
  // The driver waits for its users; meanwhile nobody finds the device on the bus, and its directory stays.
  EXPECT_FALSE(removed.is_done());
  EXPECT_FALSE(exists("/bus/mdev/devices/x"));
  EXPECT_EQ(error_of(bus->find_device("x")), ENODEV);
  EXPECT_TRUE(exists("/devices/x/uevent"));
  const auto same_name = make({.name = "x", .bus = bus});
  EXPECT_EQ(error_of(same_name->add()), EEXIST);
  driver->complete();
  EXPECT_EQ(removed.error(), 0);
  EXPECT_FALSE(exists("/devices/x"));
  EXPECT_EQ(device->driver(), nullptr);
}

TEST_F(Devices, removal_under_busy_asks_the_driver_before_anything_is_touched) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  driver->remove_answer = fail(EBUSY, "in use");
  EXPECT_EQ(remove(*device, RemovePolicy::busy), EBUSY);
  EXPECT_TRUE(device->is_bound());
  EXPECT_EQ(link("/devices/x/driver"), "../../bus/mdev/drivers/driver");
  EXPECT_TRUE(exists("/bus/mdev/devices/x"));
  EXPECT_EQ(bus->find_device("x").value(), device);
  driver->remove_answer = {};
  EXPECT_EQ(remove(*device, RemovePolicy::busy), 0);
  EXPECT_FALSE(exists("/devices/x"));
  EXPECT_FALSE(exists("/bus/mdev/devices/x"));
}

TEST_F(Devices, D40_an_attribute_of_the_device_can_remove_it) {
  const auto device = make({.name = "x", .bus = bus});
  EXPECT_TRUE(device->add([&](tree::Transaction& transaction, const tree::Directory& directory) {
    auto store = [weak = std::weak_ptr(device)](std::string_view text, Done<std::size_t> done) {
      const auto self = weak.lock();
      if (!self || !self->directory().remove("remove")) return done(fail(ENODEV, "another was first"));
      const std::size_t count = text.size();
      self->remove(RemovePolicy::wait, [count, done = std::make_unique<Done<std::size_t>>(std::move(done))](
                                           Result<>) mutable { (*done)(count); });
    };
    transaction.add_attribute(directory, {"remove", 0200, tree::function_attribute({}, std::move(store))});
  }));
  const tree::NodeRef held = tree.lookup("/devices/x/remove").value();
  EXPECT_EQ(write("/devices/x/remove", "1\n"), 0);
  EXPECT_FALSE(exists("/devices/x"));
  Outcome<std::size_t> second;
  tree.store(held, "1\n", second.done());
  EXPECT_EQ(second.error(), ENODEV);
}

TEST_F(Devices, an_idle_instance_costs_little_memory) {
#if defined(__GLIBC__)
  if (has_own_heap) GTEST_SKIP() << "the sanitizer has a heap of its own";
  const auto vfio_dev = Class::create(*model, "vfio-dev").value();
  const auto driver = add_driver("driver");
  constexpr std::size_t count = 1000;
  const std::size_t before = mallinfo2().uordblks;
  for (std::size_t index = 0; index < count; ++index) {
    const auto device = add({.name = "83b8f4f2-509f-382f-3c1e-e6bfe0fa" + std::to_string(1000 + index),
                             .bus = bus,
                             .groups = {&vendor_group}});
    EXPECT_EQ(attach(*device, driver), 0);
    add({.name = "vfio" + std::to_string(index), .parent = device, .device_class = vfio_dev});
    told();
  }
  const std::size_t each = (mallinfo2().uordblks - before) / count;
  RecordProperty("bytes_per_instance", static_cast<int>(each));
  EXPECT_LT(each, 6000U);
#else
  GTEST_SKIP() << "needs the C library's own allocator";
#endif
}

}  // namespace
}  // namespace umdev::device
