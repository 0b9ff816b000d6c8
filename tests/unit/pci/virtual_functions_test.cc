// What `sriov_numvfs` of a physical function makes and removes.
#include "umdev/pci/virtual_functions.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/core_world.h"
#include "tests/support/outcome.h"
#include "tests/unit/pci/physical_function.h"
#include "umdev/pci/pci_bus.h"
#include "umdev/pci/slot.h"

namespace umdev::pci {
namespace {

using test::CoreWorld;
using test::error_of;
using test::Outcome;
using test::PhysicalFunction;

const std::string physical = "/bus/pci/devices/0000:00:05.0/";
const std::array<std::string, 3> virtual_names{"0000:00:15.0", "0000:00:15.2", "0000:00:15.4"};
const Uuid token = Uuid::parse("52ac9bff-3a88-4fbd-901a-0d767c3b6c97").value();

struct VirtualFunctionsTest : testing::Test {
  VirtualFunctionsTest() {
    parent = std::make_shared<device::Device>(*world.model, device::Device::Spec{.name = "card"});
    EXPECT_TRUE(parent->add());
    auto made =
        world.core->register_emulated_device(std::make_unique<PhysicalFunction>(), {.parent = parent});
    device = made->device;
    registration = std::move(made->registration);
    EXPECT_TRUE(bus->add(address, *parent, device));
  }
  ~VirtualFunctionsTest() override {
    session = {};
    world.host.run();
    Outcome<> outcome;
    bus->remove(address, *parent, RemovePolicy::force, outcome.done());
    world.host.run();
    registration.unregister(RemovePolicy::wait, [](Result<>) {});
    world.host.run();
    parent->remove(RemovePolicy::force, [](Result<>) {});
  }

  std::string read(const std::string& path) { return world.tree.read(path).value_or("no such file"); }
  bool is_there(const std::string& path) { return world.tree.resolve(path).has_value(); }
  int write(const std::string& path, std::string_view text) {
    Outcome<std::size_t> outcome;
    world.tree.write(path, text, outcome.done());
    EXPECT_TRUE(outcome.is_done()) << path;
    return outcome.error();
  }
  int set_count(std::string_view text) { return write(physical + "sriov_numvfs", text); }
  // The errno of opening a function by its name.
  int open(const std::string& name, std::optional<Uuid> shown) {
    const std::string link = world.tree.read_link("/bus/pci/devices/" + name + "/iommu_group").value();
    session.container = world.core->open_container();
    session.group =
        world.core->open_group(static_cast<std::uint32_t>(std::stoul(link.substr(link.rfind('/') + 1))))
            .value();
    EXPECT_TRUE(session.group->set_container(session.container));
    EXPECT_TRUE(session.container->set_iommu(abi::vfio_type1v2_iommu));
    Result<std::shared_ptr<vfio::DeviceFile>> opened = fail(EINPROGRESS, "not completed inline");
    session.group->get_device(
        name, [&](Result<std::shared_ptr<vfio::DeviceFile>> file) { opened = std::move(file); }, shown);
    if (opened) session.device = *opened;
    return error_of(opened);
  }
  void close() {
    session = {};
    world.host.run();
  }

  CoreWorld world;
  std::unique_ptr<PciBus> bus = PciBus::create(*world.model, *world.core).value();
  std::shared_ptr<device::Device> parent;
  std::shared_ptr<vfio::RegisteredDevice> device;
  Registration registration;
  CoreWorld::Session session;
  const Address address{.device = 5};
};

TEST_F(VirtualFunctionsTest, what_may_be_had_is_shown) {
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"sriov_totalvfs", "3\n"},
                                                                  {"sriov_numvfs", "0\n"},
                                                                  {"sriov_offset", "128\n"},
                                                                  {"sriov_stride", "2\n"},
                                                                  {"sriov_vf_device", "154c\n"},
                                                                  {"sriov_vf_total_msix", "0\n"},
                                                                  {"sriov_drivers_autoprobe", "1\n"}})
    EXPECT_EQ(read(physical + name), value) << name;
  EXPECT_EQ(write(physical + "sriov_drivers_autoprobe", "0"), 0);
  EXPECT_EQ(read(physical + "sriov_drivers_autoprobe"), "0\n");
  EXPECT_EQ(write(physical + "sriov_drivers_autoprobe", "x"), EINVAL);
  EXPECT_FALSE(bus->has_virtual_functions(*parent));
}

TEST_F(VirtualFunctionsTest, they_come_together_and_bound_to_vfio_pci) {
  ASSERT_EQ(set_count("3\n"), 0);
  EXPECT_EQ(read(physical + "sriov_numvfs"), "3\n");
  EXPECT_TRUE(bus->has_virtual_functions(*parent));
  for (std::size_t number = 0; number < virtual_names.size(); ++number) {
    const std::string directory = "/bus/pci/devices/" + virtual_names[number] + "/";
    EXPECT_EQ(world.tree.read_link(physical + "virtfn" + std::to_string(number)).value(),
              "../" + virtual_names[number]);
    EXPECT_EQ(world.tree.read_link(directory + "physfn").value(), "../0000:00:05.0");
    EXPECT_EQ(read(directory + "device"), "0x154c\n");
    EXPECT_EQ(read(directory + "driver_override"), "vfio-pci\n");
    EXPECT_TRUE(is_there(directory + "driver"));
    EXPECT_TRUE(is_there(directory + "vfio-dev"));
    EXPECT_TRUE(is_there(directory + "iommu_group"));
    EXPECT_FALSE(is_there(directory + "sriov_totalvfs"));
  }
  ASSERT_EQ(set_count("0"), 0);
  EXPECT_EQ(read(physical + "sriov_numvfs"), "0\n");
  EXPECT_FALSE(is_there("/bus/pci/devices/" + virtual_names[0]));
  EXPECT_FALSE(is_there(physical + "virtfn0"));
  EXPECT_EQ(set_count("1"), 0) << "and again";
  EXPECT_FALSE(is_there("/bus/pci/devices/" + virtual_names[1]));
}

TEST_F(VirtualFunctionsTest, a_count_that_cannot_be_is_refused_as_in_the_kernel) {
  for (const char* text : {"\n", "x", "-1", "65536", "99999999999999999999", "1 2"})
    EXPECT_EQ(set_count(text), EINVAL) << text;
  EXPECT_EQ(set_count("4"), ERANGE);
  EXPECT_EQ(set_count("0"), 0) << "as it is";
  ASSERT_EQ(set_count("0x2"), 0);
  EXPECT_EQ(set_count("2"), 0) << "as it is";
  EXPECT_EQ(set_count("1"), EBUSY);
  EXPECT_EQ(set_count("3"), EBUSY);
  EXPECT_EQ(read(physical + "sriov_numvfs"), "2\n");
}

TEST_F(VirtualFunctionsTest, without_a_driver_there_are_none) {
  ASSERT_EQ(set_count("2"), 0);
  ASSERT_EQ(write("/bus/pci/drivers/vfio-pci/unbind", "0000:00:05.0"), 0);
  EXPECT_EQ(read(physical + "sriov_numvfs"), "0\n");
  EXPECT_FALSE(is_there("/bus/pci/devices/" + virtual_names[0]));
  EXPECT_EQ(set_count("1"), ENOENT);
  ASSERT_EQ(write("/bus/pci/drivers/vfio-pci/bind", "0000:00:05.0"), 0);
  EXPECT_EQ(set_count("1"), 0);
}

TEST_F(VirtualFunctionsTest, an_address_that_is_taken_undoes_it_all) {
  auto other = std::make_shared<device::Device>(*world.model, device::Device::Spec{.name = "other"});
  ASSERT_TRUE(other->add());
  auto made = world.core->register_emulated_device(std::make_unique<PhysicalFunction>(), {.parent = other});
  const Address taken{.device = 0x15, .function = 2};
  ASSERT_TRUE(bus->add(taken, *other, made->device));
  EXPECT_EQ(set_count("2"), EEXIST);
  EXPECT_EQ(read(physical + "sriov_numvfs"), "0\n");
  EXPECT_FALSE(is_there("/bus/pci/devices/" + virtual_names[0]));
  EXPECT_FALSE(is_there(physical + "virtfn0"));
  EXPECT_EQ(set_count("1"), 0) << "the first one's is free";
  Outcome<> outcome;
  bus->remove(taken, *other, RemovePolicy::wait, outcome.done());
  EXPECT_TRUE(outcome.succeeded());
  made->registration.unregister(RemovePolicy::wait, [](Result<>) {});
  world.host.run();
  other->remove(RemovePolicy::force, [](Result<>) {});
}

TEST_F(VirtualFunctionsTest, they_are_devices_that_want_the_token) {
  ASSERT_EQ(set_count("2"), 0);
  EXPECT_EQ(open(virtual_names[1], std::nullopt), EACCES);
  close();
  EXPECT_EQ(open(virtual_names[1], token), EACCES);
  close();
  ASSERT_TRUE(device->match_token(token));
  EXPECT_EQ(open(virtual_names[1], token), 0);
  EXPECT_EQ(error_of(device->match_token(std::nullopt)), EACCES) << "the physical function, meanwhile";
  close();
  EXPECT_TRUE(device->match_token(std::nullopt));
}

TEST_F(VirtualFunctionsTest, who_takes_them_away_waits_for_their_users) {
  ASSERT_EQ(set_count("2"), 0);
  ASSERT_TRUE(device->match_token(token));
  ASSERT_EQ(open(virtual_names[0], token), 0);
  Outcome<std::size_t> outcome;
  world.tree.write(physical + "sriov_numvfs", "0", outcome.done());
  EXPECT_FALSE(outcome.is_done());
  EXPECT_EQ(read(physical + "sriov_numvfs"), "2\n");
  Outcome<std::size_t> next;
  world.tree.write(physical + "sriov_numvfs", "1", next.done());
  EXPECT_FALSE(next.is_done()) << "one after the other";
  close();
  EXPECT_TRUE(outcome.is_done());
  EXPECT_EQ(outcome.error(), 0);
  EXPECT_EQ(next.error(), 0);
  EXPECT_EQ(read(physical + "sriov_numvfs"), "1\n");
}

TEST_F(VirtualFunctionsTest, they_go_with_the_physical_function_when_it_must_go) {
  ASSERT_EQ(set_count("2"), 0);
  ASSERT_TRUE(device->match_token(token));
  ASSERT_EQ(open(virtual_names[0], token), 0);
  Outcome<> busy;
  bus->remove(address, *parent, RemovePolicy::busy, busy.done());
  EXPECT_EQ(busy.error(), EBUSY);
  Outcome<> waiting;
  bus->remove(address, *parent, RemovePolicy::wait, waiting.done());
  EXPECT_FALSE(waiting.is_done());
  Outcome<> forced;
  bus->remove(address, *parent, RemovePolicy::force, forced.done());
  world.host.advance(std::chrono::seconds(6));
  EXPECT_TRUE(waiting.is_done());
  EXPECT_TRUE(forced.is_done());
  EXPECT_FALSE(is_there("/bus/pci/devices/0000:00:05.0"));
  EXPECT_FALSE(is_there("/bus/pci/devices/" + virtual_names[0]));
}

TEST_F(VirtualFunctionsTest, one_of_them_can_be_unbound_and_bound_again) {
  ASSERT_EQ(set_count("1"), 0);
  ASSERT_TRUE(device->match_token(token));
  ASSERT_EQ(write("/bus/pci/drivers/vfio-pci/unbind", virtual_names[0]), 0);
  EXPECT_FALSE(is_there("/bus/pci/devices/" + virtual_names[0] + "/vfio-dev"));
  EXPECT_EQ(read(physical + "sriov_numvfs"), "1\n");
  ASSERT_EQ(write("/bus/pci/drivers/vfio-pci/bind", virtual_names[0]), 0);
  EXPECT_EQ(open(virtual_names[0], token), 0);
}

TEST_F(VirtualFunctionsTest, they_are_in_no_slot) {
  ASSERT_EQ(set_count("2"), 0);
  const auto slot = slot_of(*world.core, *device);
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->size(), 1U);
  for (const vfio::DeviceRef& each : world.core->devices()) {
    if (each.shared() != device) {
      EXPECT_EQ(error_of(slot_of(*world.core, *each)), ENODEV);
    }
  }
}

TEST(PciAddress, functions_are_counted_across_devices_and_buses) {
  const Address address{.domain = 1, .bus = 0xfe, .device = 31, .function = 6};
  EXPECT_EQ(address.behind(0).value(), address);
  EXPECT_EQ(address.behind(1).value().to_string(), "0001:fe:1f.7");
  EXPECT_EQ(address.behind(2).value().to_string(), "0001:ff:00.0");
  EXPECT_EQ(address.behind(2 + 255).value().to_string(), "0001:ff:1f.7");
  EXPECT_EQ(error_of(address.behind(2 + 256)), ERANGE);
}

}  // namespace
}  // namespace umdev::pci
