// A device shown as a function of the tree's PCI bus: what programs read there, and what binding means.
#include "umdev/pci/pci_bus.h"

#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/core_world.h"
#include "tests/support/outcome.h"
#include "umdev/pci/pci_device.h"

namespace umdev::pci {
namespace {

using test::CoreWorld;
using test::error_of;
using test::Outcome;

TEST(PciAddress, is_parsed_strictly_and_printed_as_sysfs_has_it) {
  const auto address = Address::parse("0a1b:c2:1f.7");
  ASSERT_TRUE(address);
  EXPECT_EQ(*address, (Address{.domain = 0x0a1b, .bus = 0xc2, .device = 0x1f, .function = 7}));
  EXPECT_EQ(address->to_string(), "0a1b:c2:1f.7");
  EXPECT_EQ(address->root(), "0a1b:c2");
  for (const char* text : {"", "0000:00:05", "00:05.0", "0000:00:20.0", "0000:00:05.8", "0000:00:05.00",
                           "0000-00:05.0", "0000:00:05:0", "000g:00:05.0", "0000:0 :05.0", "0000:00:05.0\n",
                           "0000:00:0A.0", "-001:00:05.0", "0000:00:05.0 ", "+000:00:05.0"})
    EXPECT_EQ(error_of(Address::parse(text)), EINVAL) << text;
}

class Function final : public PciDevice {
 public:
  Function() : PciDevice(make_model()) {}
  std::string_view name() const override { return "function"; }

 private:
  static ModelRef make_model() {
    ConfigLayout layout(abi::pci_cfg_space_exp_size);
    layout.identify({.vendor = 0x8086,
                     .device = 0x2021,
                     .subsystem_vendor = 0x1af4,
                     .subsystem = 0x1100,
                     .class_code = 0x088001,
                     .revision = 4});
    layout.add_bar(0, {.kind = Bar::Kind::memory64, .size = 0x4000});
    layout.add_bar(2, {.kind = Bar::Kind::io, .size = 32});
    layout.add_bar(3, {.kind = Bar::Kind::memory32, .size = 0x100000, .prefetchable = true});
    return share(Model(std::move(layout)));
  }
};

class PciBusTest : public testing::Test {
 public:
  PciBusTest() : bus(PciBus::create(*world.model, *world.core).value()) {
    // As an instance of the mdev bus it is of no class.
    parent = std::make_shared<device::Device>(*world.model, device::Device::Spec{.name = "card"});
    EXPECT_TRUE(parent->add());
    auto made = world.core->register_emulated_device(std::make_unique<Function>(), {.parent = parent});
    device = made->device;
    registration = std::move(made->registration);
  }
  ~PciBusTest() override {
    Outcome<> outcome;
    bus->remove(address, *parent, RemovePolicy::force, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
    session = {};
    registration.unregister(RemovePolicy::wait, [](Result<>) {});
    world.host.run();
    parent->remove(RemovePolicy::force, [](Result<>) {});
  }

  Result<> add() {
    auto added = bus->add(address, *parent, device);
    if (!added) return std::unexpected(added.error());
    function = *std::move(added);
    return {};
  }
  std::string read(const std::string& path) { return world.tree.read(path).value_or("no such file"); }
  std::string in_function(const std::string& name) { return read("/bus/pci/devices/0000:00:05.0/" + name); }
  // The errno of opening the device under a name.
  int open(std::string_view name) {
    session.container = world.core->open_container();
    session.group = world.core->open_group(device->group()->iommu_group().number()).value();
    EXPECT_TRUE(session.group->set_container(session.container));
    EXPECT_TRUE(session.container->set_iommu(abi::vfio_type1v2_iommu));
    auto opened = CoreWorld::get_device(*session.group, name);
    const int error = error_of(opened);
    if (opened) session.device = *std::move(opened);
    session = {};
    world.host.run();
    return error;
  }
  int write(const std::string& path, std::string_view text) {
    Outcome<std::size_t> outcome;
    world.tree.write(path, text, outcome.done());
    return outcome.error();
  }

  CoreWorld world;
  std::unique_ptr<PciBus> bus;
  std::shared_ptr<device::Device> parent, function;
  std::shared_ptr<vfio::RegisteredDevice> device;
  Registration registration;
  CoreWorld::Session session;
  const Address address{.device = 5};
};

TEST_F(PciBusTest, shows_a_function_as_sysfs_does) {
  ASSERT_TRUE(add());
  EXPECT_EQ(function->path(), "/devices/virtual/pci_bus/0000:00/0000:00:05.0");
  EXPECT_EQ(in_function("vendor"), "0x8086\n");
  EXPECT_EQ(in_function("device"), "0x2021\n");
  EXPECT_EQ(in_function("subsystem_vendor"), "0x1af4\n");
  EXPECT_EQ(in_function("subsystem_device"), "0x1100\n");
  EXPECT_EQ(in_function("class"), "0x088001\n");
  EXPECT_EQ(in_function("revision"), "0x04\n");
  EXPECT_EQ(in_function("numa_node"), "-1\n");
  EXPECT_EQ(in_function("modalias"), "pci:v00008086d00002021sv00001AF4sd00001100bc08sc80i01\n");
  EXPECT_EQ(in_function("driver_override"), "vfio-pci\n");
  EXPECT_EQ(read("/bus/pci/drivers/vfio-pci/0000:00:05.0/vendor"), "0x8086\n");
  EXPECT_NE(in_function("uevent").find("PCI_ID=8086:2021\n"), std::string::npos) << in_function("uevent");
  EXPECT_NE(in_function("uevent").find("PCI_CLASS=88001\n"), std::string::npos);
}

TEST_F(PciBusTest, with_the_first_function_come_the_modules_and_an_iommu) {
  EXPECT_FALSE(world.tree.resolve("module/vfio"));
  ASSERT_TRUE(add());
  for (const char* path :
       {"module/vfio", "module/vfio_pci", "class/iommu/dmar0", "devices/virtual/iommu/dmar0"})
    EXPECT_TRUE(world.tree.resolve(path)) << path;
}

TEST_F(PciBusTest, resources_have_the_sizes_and_kinds_of_the_bars) {
  ASSERT_TRUE(add());
  std::vector<std::uint64_t> sizes, flags;
  std::istringstream lines(in_function("resource"));
  std::uint64_t begin = 0, end = 0, flag = 0;
  while (lines >> std::hex >> begin >> end >> flag) {
    sizes.push_back(flag == 0 ? 0 : end - begin + 1);
    flags.push_back(flag);
    if (flag != 0) {
      EXPECT_EQ(begin % sizes.back(), 0U);
    }
  }
  EXPECT_EQ(sizes, (std::vector<std::uint64_t>{0x4000, 0, 32, 0x100000, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(flags[0], 0x140200U);
  EXPECT_EQ(flags[2], 0x40100U);
  EXPECT_EQ(flags[3], 0x42200U);
}

TEST_F(PciBusTest, leads_to_the_groups_and_the_device_file) {
  ASSERT_TRUE(add());
  const std::string number = std::to_string(device->group()->iommu_group().number());
  EXPECT_EQ(read("/bus/pci/devices/0000:00:05.0/iommu_group/name"),
            read("/kernel/iommu_groups/" + number + "/name"));
  EXPECT_EQ(world.tree.read_link("/bus/pci/devices/0000:00:05.0/iommu_group").value(),
            "../../../../../kernel/iommu_groups/" + number);
  EXPECT_EQ(world.tree.read_link("/bus/pci/devices/0000:00:05.0/vfio-dev").value(),
            "../../../../card/vfio-dev");
  EXPECT_TRUE(
      world.tree.resolve("/bus/pci/devices/0000:00:05.0/vfio-dev/vfio" + std::to_string(device->index())));
}

TEST_F(PciBusTest, the_address_is_a_second_name_of_the_one_device) {
  EXPECT_EQ(open("0000:00:05.0"), ENODEV);
  ASSERT_TRUE(add());
  EXPECT_EQ(open("0000:00:05.0"), 0);
  EXPECT_EQ(open("card"), 0);
  EXPECT_EQ(open("0000:00:05.1"), ENODEV);
}

TEST_F(PciBusTest, unbound_it_is_not_found_by_its_address_and_can_be_bound_again) {
  ASSERT_TRUE(add());
  EXPECT_EQ(write("/bus/pci/drivers/vfio-pci/unbind", "0000:00:05.0\n"), 0);
  EXPECT_EQ(open("0000:00:05.0"), ENODEV);
  EXPECT_EQ(open("card"), 0) << "the device itself is where it was";
  EXPECT_FALSE(world.tree.resolve("/bus/pci/devices/0000:00:05.0/vfio-dev"));
  EXPECT_EQ(write("/bus/pci/devices/0000:00:05.0/driver_override", "\n"), 0);
  EXPECT_EQ(in_function("driver_override"), "(null)\n");
  EXPECT_EQ(write("/bus/pci/drivers/vfio-pci/bind", "0000:00:05.0"), ENODEV) << "no driver has its ids";
  EXPECT_EQ(write("/bus/pci/devices/0000:00:05.0/driver_override", "vfio-pci\n"), 0);
  EXPECT_EQ(write("/bus/pci/drivers_probe", "0000:00:05.0"), 0);
  EXPECT_EQ(open("0000:00:05.0"), 0);
}

TEST_F(PciBusTest, an_address_is_taken_once_and_free_after_removal) {
  ASSERT_TRUE(add());
  EXPECT_EQ(error_of(bus->add(address, *parent, device)), EEXIST);
  EXPECT_EQ(open("0000:00:05.0"), 0) << "it is still there";
  Outcome<> outcome;
  bus->remove(address, *parent, RemovePolicy::force, outcome.done());
  EXPECT_TRUE(outcome.succeeded());
  function.reset();
  EXPECT_EQ(open("0000:00:05.0"), ENODEV);
  ASSERT_TRUE(add());
  EXPECT_EQ(open("0000:00:05.0"), 0);
}

TEST_F(PciBusTest, only_a_pci_function_can_be_shown) {
  auto other = world.add_device("other");
  EXPECT_EQ(error_of(bus->add({.device = 6}, *other.parent, other.device)), EOPNOTSUPP);
}

}  // namespace
}  // namespace umdev::pci
