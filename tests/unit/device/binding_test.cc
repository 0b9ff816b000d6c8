// Buses and drivers: who may bind what, when, and who is told.
#include <atomic>
#include <latch>
#include <thread>

#include "tests/unit/device/device_fixture.h"

namespace umdev::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Binding : public DeviceTest {};

TEST_F(Binding, a_bus_has_the_kernels_files) {
  EXPECT_THAT(tree.list("/bus/mdev").value(),
              ElementsAre("devices", "drivers", "drivers_autoprobe", "drivers_probe", "uevent"));
  const auto mode = [this](std::string_view path) { return tree.info(tree.lookup(path).value()).mode; };
  EXPECT_EQ(mode("/bus/mdev/drivers_autoprobe"), 0644);
  EXPECT_EQ(mode("/bus/mdev/drivers_probe"), 0200);
  EXPECT_EQ(mode("/bus/mdev/uevent"), 0200);
  EXPECT_EQ(error_of(Bus::create(*model, "mdev", std::make_unique<TestBus>(nullptr))), EEXIST);
}

TEST_F(Binding, a_driver_has_the_kernels_files) {
  auto driver = std::make_shared<TestDriver>("vfio_mdev");
  driver->module = "vfio_mdev";
  registrations.push_back(bus->register_driver(driver).value());
  EXPECT_THAT(tree.list("/bus/mdev/drivers/vfio_mdev").value(),
              ElementsAre("bind", "module", "uevent", "unbind"));
  EXPECT_EQ(link("/bus/mdev/drivers/vfio_mdev/module"), "../../../../module/vfio_mdev");
  EXPECT_EQ(tree.info(tree.lookup("/bus/mdev/drivers/vfio_mdev/bind").value()).mode, 0200);
}

TEST_F(Binding, attach_binds_without_asking_for_a_match) {
  const auto device = add_on_bus("uuid");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_TRUE(device->is_bound());
  EXPECT_EQ(device->driver(), driver);
  EXPECT_EQ(driver->device_count(), 1U);
  EXPECT_EQ(link("/devices/uuid/driver"), "../../bus/mdev/drivers/driver");
  EXPECT_EQ(link("/bus/mdev/drivers/driver/uuid"), "../../../../devices/uuid");
  EXPECT_EQ(tree.read("/devices/uuid/uevent").value(), "DRIVER=driver\n");
}

TEST_F(Binding, a_bound_device_is_ebusy) {
  const auto device = add_on_bus("x");
  const auto first = add_driver("first");
  const auto second = add_driver("second");
  EXPECT_EQ(attach(*device, first), 0);
  EXPECT_EQ(attach(*device, second), EBUSY);
  EXPECT_EQ(attach(*device, first), EBUSY);
  EXPECT_THAT(second->log, IsEmpty());
  EXPECT_EQ(device->driver(), first);
}

TEST_F(Binding, a_probe_that_fails_leaves_nothing) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  driver->probe_answer = fail(ENOSPC, "no ports are left");
  driver->during_probe = [](Device& probed) { probed.set_driver_data(std::make_shared<int>(1)); };
  EXPECT_EQ(attach(*device, driver), ENOSPC);
  EXPECT_EQ(device->driver(), nullptr);
  EXPECT_EQ(device->driver_data(), nullptr);
  EXPECT_EQ(driver->device_count(), 0U);
  EXPECT_FALSE(exists("/devices/x/driver"));
  EXPECT_FALSE(exists("/bus/mdev/drivers/driver/x"));
}

TEST_F(Binding, detach_unbinds_and_drops_the_drivers_data) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  const auto data = std::make_shared<int>(1);
  driver->during_probe = [&](Device& probed) { probed.set_driver_data(data); };
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_EQ(data.use_count(), 2);
  EXPECT_EQ(detach(*device), 0);
  EXPECT_EQ(data.use_count(), 1);
  EXPECT_THAT(driver->log, ElementsAre("probe x", "remove x"));
  EXPECT_FALSE(exists("/devices/x/driver"));
  EXPECT_FALSE(exists("/bus/mdev/drivers/driver/x"));
  EXPECT_EQ(detach(*device), ENODEV);
}

TEST_F(Binding, detach_of_another_driver_is_enodev) {
  const auto device = add_on_bus("x");
  const auto bound = add_driver("bound");
  const auto other = add_driver("other");
  EXPECT_EQ(attach(*device, bound), 0);
  Outcome<> outcome;
  device->detach(other, RemovePolicy::wait, outcome.done());
  EXPECT_EQ(outcome.error(), ENODEV);
  EXPECT_TRUE(device->is_bound());
}

TEST_F(Binding, a_driver_refuses_under_busy_alone) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  driver->remove_answer = fail(EBUSY, "in use");
  EXPECT_EQ(detach(*device, RemovePolicy::busy), EBUSY);
  EXPECT_TRUE(device->is_bound());
  EXPECT_EQ(link("/devices/x/driver"), "../../bus/mdev/drivers/driver");
  EXPECT_EQ(detach(*device, RemovePolicy::wait), 0);
}

TEST_F(Binding, needs_both_on_the_same_bus_and_there) {
  const auto other_bus = make_bus("pci");
  const auto foreign = add({.name = "foreign", .bus = other_bus});
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*foreign, driver), ENODEV);
  EXPECT_EQ(attach(*device, std::make_shared<TestDriver>("unregistered")), ENODEV);
  EXPECT_EQ(attach(*make({.name = "never", .bus = bus}), driver), ENODEV);
  EXPECT_EQ(remove(*device), 0);
  EXPECT_EQ(attach(*device, driver), ENODEV);
}

TEST_F(Binding, the_bind_file_asks_the_bus_and_an_mdev_bus_never_matches) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(write("/bus/mdev/drivers/driver/bind", "x\n"), ENODEV);
  match = [](const Device&, const Driver&) { return true; };
  EXPECT_EQ(write("/bus/mdev/drivers/driver/bind", "nobody"), ENODEV);
  EXPECT_EQ(write("/bus/mdev/drivers/driver/bind", "x\n"), 0);
  EXPECT_EQ(write("/bus/mdev/drivers/driver/bind", "x"), EBUSY);
  EXPECT_TRUE(device->is_bound());
}

TEST_F(Binding, the_unbind_file_unbinds_what_is_bound_to_that_driver) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  const auto other = add_driver("other");
  EXPECT_EQ(write("/bus/mdev/drivers/driver/unbind", "x"), ENODEV);
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_EQ(write("/bus/mdev/drivers/other/unbind", "x"), ENODEV);
  EXPECT_EQ(write("/bus/mdev/drivers/driver/unbind", "nobody"), ENODEV);
  EXPECT_EQ(write("/bus/mdev/drivers/driver/unbind", "x\n"), 0);
  EXPECT_FALSE(device->is_bound());
  EXPECT_TRUE(exists("/bus/mdev/devices/x")) << "the device stays";
  EXPECT_EQ(remove(*device), 0) << "an unbound device can be removed";
}

TEST_F(Binding, drivers_probe_tries_what_matches) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(write("/bus/mdev/drivers_probe", "nobody"), ENODEV);
  EXPECT_EQ(write("/bus/mdev/drivers_probe", "x\n"), 0) << "no match is no error, and has no effect";
  EXPECT_FALSE(device->is_bound());
  match = [](const Device&, const Driver&) { return true; };
  EXPECT_EQ(write("/bus/mdev/drivers_probe", "x\n"), 0);
  EXPECT_TRUE(device->is_bound());
  EXPECT_EQ(write("/bus/mdev/drivers_probe", "x\n"), 0);
  EXPECT_THAT(driver->log, ElementsAre("probe x"));
}

TEST_F(Binding, autoprobe_binds_a_new_device_to_the_first_driver_that_takes_it) {
  match = [](const Device&, const Driver& driver) { return driver.name() != "unfit"; };
  const auto unfit = add_driver("unfit");
  const auto declines = add_driver("declines");
  const auto fails = add_driver("fails");
  const auto takes = add_driver("takes");
  const auto late = add_driver("late");
  declines->probe_answer = fail(ENODEV, "not mine");
  fails->probe_answer = fail(EIO, "broken");
  const auto device = add_on_bus("x");
  EXPECT_EQ(device->driver(), takes);
  EXPECT_THAT(unfit->log, IsEmpty());
  EXPECT_THAT(declines->log, ElementsAre("probe x"));
  EXPECT_THAT(fails->log, ElementsAre("probe x"));
  EXPECT_THAT(late->log, IsEmpty());
}

TEST_F(Binding, autoprobe_offers_a_new_driver_the_devices_without_one) {
  match = [](const Device& device, const Driver&) { return device.name() != "unfit"; };
  const auto a = add_on_bus("a");
  const auto b = add_on_bus("b");
  const auto unfit = add_on_bus("unfit");
  const auto first = add_driver("first");
  EXPECT_EQ(detach(*b), 0);
  const auto second = add_driver("second");
  EXPECT_EQ(a->driver(), first);
  EXPECT_EQ(b->driver(), second);
  EXPECT_EQ(unfit->driver(), nullptr);
}

TEST_F(Binding, autoprobe_can_be_switched_off_through_its_file) {
  match = [](const Device&, const Driver&) { return true; };
  EXPECT_EQ(tree.read("/bus/mdev/drivers_autoprobe").value(), "1\n");
  for (const char* no : {"0\n", "no", "off", "N", "f"}) {
    bus->set_autoprobe(true);
    EXPECT_EQ(write("/bus/mdev/drivers_autoprobe", no), 0) << no;
    EXPECT_EQ(tree.read("/bus/mdev/drivers_autoprobe").value(), "0\n") << no;
  }
  const auto driver = add_driver("driver");
  const auto device = add_on_bus("x");
  EXPECT_FALSE(device->is_bound());
  for (const char* bad : {"2", "o", "x", "\n"})
    EXPECT_EQ(write("/bus/mdev/drivers_autoprobe", bad), EINVAL) << bad;
  for (const char* yes : {"1", "y\n", "On", "true"}) {
    bus->set_autoprobe(false);
    EXPECT_EQ(write("/bus/mdev/drivers_autoprobe", yes), 0) << yes;
    EXPECT_TRUE(bus->autoprobe()) << yes;
  }
}

TEST_F(Binding, probed_is_called_when_autoprobe_is_over) {
  match = [](const Device&, const Driver&) { return true; };
  const auto driver = add_driver("driver");
  driver->holds_probe = true;
  Outcome<> probed;
  const auto device = make({.name = "x", .bus = bus});
  EXPECT_TRUE(device->add({}, probed.done()));
  devices.push_back(device);
  EXPECT_FALSE(probed.is_done());
  EXPECT_FALSE(device->is_bound());
  driver->complete();
  EXPECT_EQ(probed.error(), 0);
  EXPECT_TRUE(device->is_bound());
}

// --- Observers: what an IOMMU group sees and may refuse.

class Observed : public DeviceTest {
 public:
  std::vector<std::string> log;
};

TEST_F(Observed, C14_each_step_is_told_once_and_in_order) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  device->add_bind_observer(std::make_shared<RecordingObserver>(log));
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_EQ(detach(*device), 0);
  driver->probe_answer = fail(ENODEV, "not mine");
  EXPECT_EQ(attach(*device, driver), ENODEV);
  EXPECT_EQ(remove(*device), 0);
  EXPECT_THAT(log, ElementsAre("binding driver", "bound driver", "unbinding driver", "unbound driver",
                               "binding driver", "failed driver", "removed"));
}

TEST_F(Observed, C14_removal_unbinds_before_the_device_goes) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  device->add_bind_observer(std::make_shared<RecordingObserver>(log));
  EXPECT_EQ(remove(*device), 0);
  EXPECT_THAT(log, ElementsAre("unbinding driver", "unbound driver", "removed"));
}

TEST_F(Observed, C13_a_veto_refuses_the_driver_before_its_probe) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("foreign");
  const auto first = std::make_shared<RecordingObserver>(log, "1:");
  const auto second = std::make_shared<RecordingObserver>(log, "2:");
  const auto third = std::make_shared<RecordingObserver>(log, "3:");
  second->answer = fail(EBUSY, "a member of the group is in use");
  for (const auto& observer : {first, second, third}) device->add_bind_observer(observer);
  EXPECT_EQ(attach(*device, driver), EBUSY);
  EXPECT_THAT(log, ElementsAre("1:binding foreign", "2:binding foreign", "1:failed foreign"));
  EXPECT_THAT(driver->log, IsEmpty());
  EXPECT_EQ(device->driver(), nullptr);
  match = [](const Device&, const Driver&) { return true; };
  EXPECT_EQ(write("/bus/mdev/drivers/foreign/bind", "x"), EBUSY);
  second->answer = {};
  EXPECT_EQ(write("/bus/mdev/drivers/foreign/bind", "x"), 0);
}

TEST_F(Observed, C13_an_observer_can_tell_a_driver_that_manages_dma) {
  struct DmaOnly final : BindObserver {
    Result<> driver_binding(Device&, Driver& driver) override {
      if (driver.manages_dma()) return {};
      return fail(EBUSY, "the group's DMA is a user's");
    }
  };
  const auto device = add_on_bus("x");
  const auto foreign = add_driver("foreign");
  const auto vfio = add_driver("vfio");
  vfio->dma = true;
  device->add_bind_observer(std::make_shared<DmaOnly>());
  EXPECT_EQ(attach(*device, foreign), EBUSY);
  EXPECT_EQ(attach(*device, vfio), 0);
}

TEST_F(Observed, C12_who_comes_in_the_middle_hears_no_half_story) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  const auto early = std::make_shared<RecordingObserver>(log, "early:");
  const auto late = std::make_shared<RecordingObserver>(log, "late:");
  device->add_bind_observer(early);
  driver->during_probe = [&](Device& probed) {
    probed.add_bind_observer(late);
    probed.remove_bind_observer(early);
  };
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_THAT(log, ElementsAre("early:binding driver", "early:bound driver"));
  EXPECT_EQ(detach(*device), 0);
  EXPECT_THAT(log, ElementsAre("early:binding driver", "early:bound driver", "late:unbinding driver",
                               "late:unbound driver"));
}

TEST_F(Observed, a_refusal_to_unbind_is_told) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  device->add_bind_observer(std::make_shared<RecordingObserver>(log));
  driver->remove_answer = fail(EBUSY, "in use");
  EXPECT_EQ(detach(*device, RemovePolicy::busy), EBUSY);
  EXPECT_THAT(log, ElementsAre("unbinding driver", "refused driver"));
}

// --- A driver's own attributes of a device.

constexpr DeviceAttribute ports_attributes[] = {
    {.name = "ports", .show = [](Device& device, const DeviceAttribute&) -> Result<std::string> {
       const auto data = std::static_pointer_cast<std::string>(device.driver_data());
       EXPECT_NE(data, nullptr) << "shown while the driver's data is not there";
       return data ? *data : std::string();
     }}};
constexpr AttributeGroup ports_group{.attributes = ports_attributes};

TEST_F(Binding, a_drivers_attributes_are_there_while_it_is_bound) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  driver->groups = {&ports_group};
  driver->during_probe = [&](Device& probed) {
    EXPECT_FALSE(exists("/devices/x/ports"));
    probed.set_driver_data(std::make_shared<std::string>("2\n"));
  };
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_EQ(tree.read("/devices/x/ports").value(), "2\n");
  driver->remove_answer = fail(EBUSY, "in use");
  EXPECT_EQ(detach(*device, RemovePolicy::busy), EBUSY);
  EXPECT_EQ(tree.read("/devices/x/ports").value(), "2\n");
  EXPECT_EQ(detach(*device), 0);
  EXPECT_FALSE(exists("/devices/x/ports"));
}

TEST_F(Binding, a_driver_whose_attributes_clash_is_removed_again) {
  const auto device = add({.name = "x", .bus = bus, .groups = {&ports_group}});
  const auto driver = add_driver("driver");
  driver->groups = {&ports_group};
  EXPECT_EQ(attach(*device, driver), EEXIST);
  EXPECT_THAT(driver->log, ElementsAre("probe x", "remove x"));
  EXPECT_FALSE(device->is_bound());
}

// --- One at a time.

TEST_F(Binding, requests_during_a_probe_wait_their_turn) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  driver->holds_probe = true;
  Outcome<> first;
  Outcome<> second;
  Outcome<> unbind;
  Outcome<> removal;
  device->attach(driver, first.done());
  device->attach(driver, second.done());
  device->detach(driver, RemovePolicy::wait, unbind.done());
  device->remove(RemovePolicy::wait, removal.done());
  EXPECT_THAT(driver->log, ElementsAre("probe x"));
  EXPECT_FALSE(first.is_done() || second.is_done() || unbind.is_done() || removal.is_done());
  driver->complete();
  EXPECT_EQ(first.error(), 0);
  EXPECT_EQ(second.error(), EBUSY) << "it met a bound device";
  EXPECT_EQ(unbind.error(), 0);
  EXPECT_EQ(removal.error(), 0);
  EXPECT_THAT(driver->log, ElementsAre("probe x", "remove x"));
}

TEST_F(Binding, what_waits_for_a_removal_finds_no_device) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  driver->holds_remove = true;
  Outcome<> removal;
  Outcome<> bind;
  Outcome<> again;
  device->remove(RemovePolicy::wait, removal.done());
  device->attach(driver, bind.done());
  device->remove(RemovePolicy::wait, again.done());
  driver->complete();
  EXPECT_EQ(removal.error(), 0);
  EXPECT_EQ(bind.error(), ENODEV);
  EXPECT_EQ(again.error(), ENODEV);
}

TEST_F(Binding, too_many_that_wait_are_eagain_but_never_a_removal) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  driver->holds_probe = true;
  std::vector<Outcome<>> outcomes(Device::waiting_limit + 2);
  for (auto& outcome : outcomes) device->attach(driver, outcome.done());
  EXPECT_EQ(outcomes.back().error(), EAGAIN);
  EXPECT_EQ(outcomes[outcomes.size() - 2].error(), -1);
  Outcome<> removal;
  device->remove(RemovePolicy::wait, removal.done());
  EXPECT_FALSE(removal.is_done());
  driver->complete();
  EXPECT_EQ(outcomes[0].error(), 0);
  EXPECT_EQ(outcomes[1].error(), EBUSY);
  EXPECT_EQ(removal.error(), 0);
}

TEST_F(Binding, a_forced_removal_hurries_one_that_waits) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  EXPECT_EQ(attach(*device, driver), 0);
  driver->holds_remove = true;
  Outcome<> patient;
  Outcome<> forced;
  device->remove(RemovePolicy::wait, patient.done());
  EXPECT_EQ(driver->last_policy, RemovePolicy::wait);
  device->remove(RemovePolicy::force, forced.done());
  EXPECT_THAT(driver->log, ElementsAre("probe x", "remove x", "force x"));
  driver->complete();
  EXPECT_EQ(patient.error(), 0);
  EXPECT_EQ(forced.error(), ENODEV) << "it is gone already";
}

TEST_F(Binding, a_request_from_within_probe_does_not_deadlock) {
  const auto device = add_on_bus("x");
  const auto driver = add_driver("driver");
  Outcome<> inner;
  driver->during_probe = [&](Device& probed) { probed.detach(nullptr, RemovePolicy::wait, inner.done()); };
  EXPECT_EQ(attach(*device, driver), 0);
  EXPECT_EQ(inner.error(), 0);
  EXPECT_FALSE(device->is_bound());
}

TEST_F(Binding, two_devices_bind_at_the_same_time) {
  struct Meeting final : Driver {
    std::string_view name() const override { return "meeting"; }
    Result<> probe(Device&) override {
      both.arrive_and_wait();
      return {};
    }
    std::latch both{2};
  };
  const auto driver = std::make_shared<Meeting>();
  registrations.push_back(bus->register_driver(driver).value());
  const auto a = add_on_bus("a");
  const auto b = add_on_bus("b");
  std::thread other([&] { EXPECT_EQ(attach(*b, driver), 0); });
  EXPECT_EQ(attach(*a, driver), 0);
  other.join();
}

// --- Registering drivers.

TEST_F(Binding, a_drivers_name_is_unique_on_its_bus) {
  const auto driver = add_driver("driver");
  EXPECT_EQ(error_of(bus->register_driver(std::make_shared<TestDriver>("driver"))), EEXIST);
  EXPECT_EQ(error_of(bus->register_driver(driver)), EBUSY);
  EXPECT_EQ(bus->find_driver("driver\n").value(), driver);
  EXPECT_EQ(error_of(bus->find_driver("other")), ENODEV);
}

TEST_F(Binding, unregistering_a_driver_unbinds_its_devices) {
  const auto driver = std::make_shared<TestDriver>("driver");
  Registration registration = bus->register_driver(driver).value();
  const auto a = add_on_bus("a");
  const auto b = add_on_bus("b");
  EXPECT_EQ(attach(*a, driver), 0);
  EXPECT_EQ(attach(*b, driver), 0);
  Outcome<> refused;
  registration.unregister(RemovePolicy::busy, refused.done());
  EXPECT_EQ(refused.error(), EBUSY);
  EXPECT_TRUE(a->is_bound());
  driver->holds_remove = true;
  Outcome<> unregistered;
  registration.unregister(RemovePolicy::wait, unregistered.done());
  driver->complete();
  EXPECT_FALSE(unregistered.is_done());
  EXPECT_EQ(attach(*a, driver), ENODEV) << "it takes no more devices";
  driver->complete();
  EXPECT_EQ(unregistered.error(), 0);
  EXPECT_FALSE(exists("/bus/mdev/drivers/driver"));
  EXPECT_EQ(driver->bus(), nullptr);
  driver->holds_remove = false;
  registrations.push_back(bus->register_driver(driver).value());
  EXPECT_TRUE(exists("/bus/mdev/drivers/driver"));
}

TEST_F(Binding, unregistering_a_driver_waits_for_a_probe_under_way) {
  const auto driver = std::make_shared<TestDriver>("driver");
  Registration registration = bus->register_driver(driver).value();
  const auto device = add_on_bus("x");
  driver->holds_probe = true;
  Outcome<> bind;
  Outcome<> unregistered;
  device->attach(driver, bind.done());
  registration.unregister(RemovePolicy::wait, unregistered.done());
  EXPECT_FALSE(unregistered.is_done());
  driver->complete();
  EXPECT_EQ(bind.error(), 0);
  EXPECT_EQ(unregistered.error(), 0);
  EXPECT_FALSE(device->is_bound());
}

TEST_F(Binding, a_registration_that_is_dropped_forces_the_driver_off) {
  const auto driver = std::make_shared<TestDriver>("driver");
  const auto device = add_on_bus("x");
  {
    const Registration registration = bus->register_driver(driver).value();
    EXPECT_EQ(attach(*device, driver), 0);
  }
  EXPECT_EQ(driver->last_policy, RemovePolicy::force);
  EXPECT_FALSE(device->is_bound());
}

// Whatever several threads ask for at once, probe and remove of a device alternate, and everything ends.
TEST_F(Binding, storm_of_binds_unbinds_and_removals_keeps_each_device_one_at_a_time) {
  struct Alternating final : Driver {
    std::string_view name() const override { return "alternating"; }
    Result<> probe(Device& device) override {
      EXPECT_EQ(inside.fetch_add(1), 0) << device.name();
      return {};
    }
    void remove(Device&) override { EXPECT_EQ(inside.fetch_sub(1), 1); }
    std::atomic<int> inside = 0;
  };
  match = [](const Device&, const Driver&) { return true; };
  bus->set_autoprobe(false);
  for (int round = 0; round < 40; ++round) {
    const auto driver = std::make_shared<Alternating>();
    Registration registration = bus->register_driver(driver).value();
    const auto device = make({.name = "x", .bus = bus});
    EXPECT_TRUE(device->add());
    std::vector<std::thread> threads;
    for (int index = 0; index < 3; ++index) {
      threads.emplace_back([&] {
        for (int turn = 0; turn < 5; ++turn) {
          tree.write("/bus/mdev/drivers/alternating/bind", "x", [](Result<std::size_t>) {});
          [[maybe_unused]] const auto shown = tree.read("/devices/x/uevent");
          tree.write("/bus/mdev/drivers/alternating/unbind", "x", [](Result<std::size_t>) {});
        }
      });
    }
    threads.emplace_back([&] { device->remove(RemovePolicy::wait, [](Result<>) {}); });
    threads.emplace_back([&] { registration.unregister(RemovePolicy::wait, [](Result<>) {}); });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(driver->inside, 0);
    EXPECT_FALSE(exists("/devices/x"));
    EXPECT_FALSE(exists("/bus/mdev/drivers/alternating"));
  }
}

}  // namespace
}  // namespace umdev::device
