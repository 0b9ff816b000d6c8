// Uevents: keys, order, batches, synthetic ones.
#include <thread>

#include "tests/unit/device/device_fixture.h"

namespace umdev::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Uevents : public DeviceTest {};

TEST_F(Uevents, D42_of_a_device_come_in_the_order_of_its_life) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_EQ(remove(*device), 0);
  EXPECT_THAT(told(),
              ElementsAre("add /devices/x", "bind /devices/x", "unbind /devices/x", "remove /devices/x"));
}

TEST_F(Uevents, have_the_kernels_keys_in_its_order) {
  const auto vfio = Class::create(*model, "vfio").value();
  const auto group = add({.name = "12",
                          .device_class = vfio,
                          .number = DeviceNumber{.major = 243, .minor = 12, .node_name = "vfio/12"}});
  EXPECT_THAT(events.next().value().environment,
              ElementsAre("ACTION=add", "DEVPATH=/devices/virtual/vfio/12", "SUBSYSTEM=vfio", "MAJOR=243",
                          "MINOR=12", "DEVNAME=vfio/12", "SEQNUM=1"));
  const auto device = add_on_bus("x");
  const auto driver = add_driver("vfio_mdev");
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_EQ(detach(*device), 0);
  EXPECT_THAT(events.next().value().environment,
              ElementsAre("ACTION=add", "DEVPATH=/devices/x", "SUBSYSTEM=mdev", "SEQNUM=2"));
  EXPECT_THAT(
      events.next().value().environment,
      ElementsAre("ACTION=bind", "DEVPATH=/devices/x", "SUBSYSTEM=mdev", "DRIVER=vfio_mdev", "SEQNUM=3"));
  EXPECT_THAT(events.next().value().environment,
              ElementsAre("ACTION=unbind", "DEVPATH=/devices/x", "SUBSYSTEM=mdev", "SEQNUM=4"));
}

TEST_F(Uevents, carry_what_the_caller_and_the_device_add) {
  struct Pci final : Device {
    using Device::Device;
    void add_to_environment(Environment& environment) const override {
      environment.emplace_back("PCI_ID=4348:3253");
    }
  };
  const auto device = std::make_shared<Pci>(*model, Device::Spec{.name = "mtty", .bus = bus});
  EXPECT_TRUE(device->add());
  devices.push_back(device);
  told();
  device->emit(Action::change, {"MDEV_STATE=registered"});
  const Uevent event = events.next().value();
  EXPECT_THAT(event.environment, ElementsAre("ACTION=change", "DEVPATH=/devices/mtty", "SUBSYSTEM=mdev",
                                             "MDEV_STATE=registered", "PCI_ID=4348:3253", "SEQNUM=2"));
  EXPECT_EQ(event.value("MDEV_STATE"), "registered");
  EXPECT_EQ(event.value("MDEV"), std::nullopt);
  EXPECT_EQ(tree.read("/devices/mtty/uevent").value(), "PCI_ID=4348:3253\n");
}

TEST_F(Uevents, C38_name_the_node_and_its_mode) {
  const auto misc = Class::create(*model, "misc").value();
  const auto vfio =
      add({.name = "vfio",
           .device_class = misc,
           .number = DeviceNumber{.major = 10, .minor = 196, .node_name = "vfio/vfio", .node_mode = 0666}});
  EXPECT_EQ(tree.read("/devices/virtual/misc/vfio/uevent").value(),
            "MAJOR=10\nMINOR=196\nDEVNAME=vfio/vfio\nDEVMODE=0666\n");
}

TEST_F(Uevents, come_when_the_tree_is_complete) {
  std::vector<bool> complete;
  auto subscription = model->events().subscribe(16, [&] {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    complete.push_back(exists("/bus/mdev/devices/x/uevent"));
  });
  const auto device = add_on_bus("x");
  EXPECT_THAT(complete, ElementsAre(true));
  while (subscription.next()) {
  }
  EXPECT_EQ(remove(*device), 0);
  EXPECT_THAT(complete, ElementsAre(true, false));
}

TEST_F(Uevents, are_not_sent_for_a_device_without_bus_and_class_nor_for_one_that_is_not_there) {
  const auto bare = add({.name = "bare"});
  bare->emit(Action::change);
  const auto never = make({.name = "x", .bus = bus});
  never->emit(Action::change);
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(Uevents, of_a_failed_bind_are_none) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  driver->probe_answer = fail(ENODEV, "not mine");
  EXPECT_EQ(attach(*device, driver), ENODEV);
  EXPECT_THAT(told(), ElementsAre("add /devices/x"));
}

TEST_F(Uevents, a_batch_holds_them_until_the_whole_story_is_true) {
  const auto vfio = Class::create(*model, "vfio").value();
  const auto vfio_dev = Class::create(*model, "vfio-dev").value();
  const auto batch = std::make_shared<EventBatch>(model->events());
  const auto uuid = make({.name = "uuid", .bus = bus});
  uuid->hold_events(batch);
  EXPECT_TRUE(uuid->add());
  const auto driver = add_driver("driver");
  std::vector<std::shared_ptr<Device>> made;
  driver->during_probe = [&](Device& probed) {
    made.push_back(make({.name = "0", .device_class = vfio}));
    made.back()->hold_events(probed.event_batch());
    EXPECT_TRUE(made.back()->add());
    made.push_back(make({.name = "vfio0", .parent = probed.shared_from_this(), .device_class = vfio_dev}));
    EXPECT_TRUE(made.back()->add());
  };
  EXPECT_EQ(attach(*uuid, driver), 0);
  EXPECT_THAT(told(), IsEmpty());
  batch->release();
  EXPECT_THAT(told(), ElementsAre("add /devices/uuid", "add /devices/virtual/vfio/0",
                                  "add /devices/uuid/vfio-dev/vfio0", "bind /devices/uuid"));
  uuid->emit(Action::change);
  EXPECT_THAT(told(), ElementsAre("change /devices/uuid"));
  devices.push_back(uuid);
  devices.insert(devices.end(), made.begin(), made.end());
}

TEST_F(Uevents, a_batch_that_is_discarded_never_was) {
  const auto batch = std::make_shared<EventBatch>(model->events());
  const auto device = make({.name = "x", .bus = bus});
  device->hold_events(batch);
  EXPECT_TRUE(device->add());
  batch->discard();
  EXPECT_EQ(remove(*device), 0);
  EXPECT_THAT(told(), ElementsAre("remove /devices/x"));
}

TEST_F(Uevents, a_batch_that_is_forgotten_loses_nothing) {
  const auto device = make({.name = "x", .bus = bus});
  devices.push_back(device);
  device->hold_events(std::make_shared<EventBatch>(model->events()));
  EXPECT_TRUE(device->add());
  device->hold_events(nullptr);
  EXPECT_THAT(told(), ElementsAre("add /devices/x"));
}

TEST_F(Uevents, too_many_are_lost_and_told) {
  auto small = model->events().subscribe(1);
  const auto a = add_on_bus("a");
  const auto b = add_on_bus("b");
  EXPECT_EQ(small.next().value().devpath, "/devices/a");
  EXPECT_EQ(error_of(small.next()), ENOBUFS);
  EXPECT_EQ(error_of(small.next()), EAGAIN);
}

TEST_F(Uevents, are_numbered_in_the_order_in_which_they_arrive) {
  std::vector<std::thread> threads;
  auto subscription = model->events().subscribe(10000);
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([this, index] {
      for (int round = 0; round < 50; ++round) {
        const auto device = make({.name = std::to_string(index), .bus = bus});
        EXPECT_TRUE(device->add());
        EXPECT_EQ(remove(*device), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::uint64_t last = 0;
  while (const Result<Uevent> event = subscription.next()) {
    EXPECT_EQ(event->sequence, last + 1);
    last = event->sequence;
  }
  EXPECT_EQ(last, 300U);
}

TEST_F(Uevents, a_write_to_uevent_sends_one) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  told();
  EXPECT_EQ(write("/devices/x/uevent", "change\n"), 0);
  EXPECT_THAT(events.next().value().environment, ElementsAre("ACTION=change", "DEVPATH=/devices/x",
                                                             "SUBSYSTEM=mdev", "SYNTH_UUID=0", "SEQNUM=2"));
  EXPECT_EQ(write("/devices/x/uevent", "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 A=1 bc=2d"), 0);
  EXPECT_THAT(events.next().value().environment,
              ElementsAre("ACTION=add", "DEVPATH=/devices/x", "SUBSYSTEM=mdev",
                          "SYNTH_UUID=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "SYNTH_ARG_A=1",
                          "SYNTH_ARG_bc=2d", "SEQNUM=3"));
  EXPECT_EQ(write("/bus/mdev/uevent", "add"), 0);
  EXPECT_EQ(events.next().value().value("DEVPATH"), "/bus/mdev");
  EXPECT_EQ(write("/bus/mdev/drivers/driver/uevent", "add"), 0);
  EXPECT_EQ(events.next().value().value("SUBSYSTEM"), "drivers");
}

TEST_F(Uevents, junk_written_to_uevent_is_einval) {
  const auto device = add_on_bus("x");
  told();
  for (const char* junk :
       {"\n", " ", "addd", "ad", "ADD", " add", "add ", "add x", "add  83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
        "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa100", "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 ",
        "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 A", "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 =1",
        "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 A=", "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 A=1=2",
        "add 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 A_B=1"}) {
    EXPECT_EQ(write("/devices/x/uevent", junk), EINVAL) << "'" << junk << "'";
    EXPECT_EQ(write("/bus/mdev/uevent", junk), EINVAL) << "'" << junk << "'";
  }
  EXPECT_THAT(told(), IsEmpty());
}

}  // namespace
}  // namespace umdev::device
