// Registering a parent, and what the tree shows of it.
#include "umdev/mdev/parent.h"

#include "tests/unit/mdev/mdev_fixture.h"
#include "umdev/device/driver.h"

namespace umdev::mdev {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class ParentTest : public MdevTest {
 public:
  int error_of_registering(ParentSpec spec) {
    auto registration =
        world.bus->register_parent(std::move(spec), std::make_unique<test::FakeParent>(script));
    return test::error_of(registration);
  }
  ParentSpec spec_on(const std::shared_ptr<device::Device>& device) {
    ParentSpec spec = card_spec();
    spec.device = device;
    return spec;
  }
};

TEST_F(ParentTest, D12_D16_what_a_parent_must_have) {
  const auto device = world.add_physical("other");
  EXPECT_EQ(error_of_registering(card_spec()), EINVAL) << "no device";
  const auto broken = [&](auto&& breaks) {
    ParentSpec spec = spec_on(device);
    breaks(spec);
    return error_of_registering(std::move(spec));
  };
  EXPECT_EQ(broken([](ParentSpec& spec) { spec.types.clear(); }), EINVAL) << "no types";
  EXPECT_EQ(broken([](ParentSpec& spec) { spec.types[0].name.clear(); }), EINVAL) << "a type without a name";
  EXPECT_EQ(broken([](ParentSpec& spec) { spec.types[0].device_api.clear(); }), EINVAL);
  EXPECT_EQ(broken([](ParentSpec& spec) { spec.types[1].name = "1"; }), EINVAL) << "two types of one name";
  EXPECT_EQ(broken([](ParentSpec& spec) { spec.types[0].cost = {{"memory", 1}}; }), EINVAL);
  EXPECT_EQ(broken([](ParentSpec& spec) { spec.types[0].name = "a/b"; }), EINVAL) << "no name of a file";
  EXPECT_EQ(test::error_of(world.bus->register_parent(spec_on(device), nullptr)), EINVAL) << "no driver";
  EXPECT_FALSE(exists(device->path() + "/mdev_supported_types")) << "nothing is left of any of these";
  EXPECT_THAT(list("/class/mdev_bus"), ElementsAre());
  EXPECT_EQ(error_of_registering(spec_on(device)), 0) << "and the device can be a parent yet";
}

TEST_F(ParentTest, D12_a_device_is_a_parent_once) {
  auto parent = register_card();
  ParentSpec again = card_spec();
  again.device = world.bus->find_parent("card").value()->device();
  skip_events();
  EXPECT_EQ(error_of_registering(std::move(again)), EEXIST);
  EXPECT_THAT(events(), ElementsAre());
  EXPECT_EQ(create(1), 0) << "the first registration is as it was";
}

TEST_F(ParentTest, D12_a_name_that_a_type_cannot_have_undoes_all) {
  ParentSpec spec = card_spec();
  spec.types[1].name = std::string(300, 'x');
  const auto device = world.add_physical("other");
  spec.device = device;
  EXPECT_EQ(error_of_registering(std::move(spec)), EINVAL);
  EXPECT_FALSE(exists(device->path() + "/mdev_supported_types"));
  EXPECT_EQ(world.bus->find_parent("other").error().code, ENODEV);
  EXPECT_TRUE(script->destroyed);
}

TEST_F(ParentTest, D30_a_link_among_the_parents_comes_and_goes) {
  EXPECT_THAT(list("/class/mdev_bus"), ElementsAre());
  auto parent = register_card();
  EXPECT_EQ(link("/class/mdev_bus/card"), "../../devices/virtual/card/card");
  parent = Registration();
  EXPECT_THAT(list("/class/mdev_bus"), ElementsAre());
}

TEST_F(ParentTest, D27_D31_D33_D34_D35_D36_D37_a_type_is_a_directory_of_files) {
  auto parent = register_card();
  EXPECT_THAT(list(std::string(card) + "/mdev_supported_types"), UnorderedElementsAre("card-1", "card-2"));
  EXPECT_THAT(list(type_path("card-1")), UnorderedElementsAre("create", "available_instances", "device_api",
                                                              "name", "description", "devices"));
  EXPECT_EQ(mode(type_path("card-1")), "0755");
  EXPECT_EQ(mode(type_path("card-1/create")), "0200");
  for (const std::string file : {"available_instances", "device_api", "name", "description"})
    EXPECT_EQ(mode(type_path("card-1/" + file)), "0444") << file;
  EXPECT_EQ(mode(type_path("card-1/devices")), "0755");
  EXPECT_EQ(show(type_path("card-1/name")), "One port\n");
  EXPECT_EQ(show(type_path("card-1/device_api")), "vfio-pci\n");
  EXPECT_EQ(show(type_path("card-1/available_instances")), "8\n");
  EXPECT_EQ(show(type_path("card-1/create")), "errno EACCES") << "sysfs says so to root too";
  EXPECT_EQ(write(type_path("card-1/name"), "x"), EACCES);
  EXPECT_THAT(list(type_path("card-1/devices")), ElementsAre());
}

TEST_F(ParentTest, D33_a_type_without_a_pretty_name_shows_its_own) {
  auto parent = register_card();
  EXPECT_EQ(show(type_path("card-2/name")), "2\n");
}

TEST_F(ParentTest, D36_a_description_may_have_lines_and_may_be_absent) {
  auto parent = register_card();
  EXPECT_EQ(show(type_path("card-1/description")), "A card\nwith a port\n");
  EXPECT_FALSE(exists(type_path("card-2/description")));
}

// dev_driver_string(): the driver, else the bus, else the class.
TEST_F(ParentTest, D31_the_type_id_begins_with_the_parents_driver_string) {
  class AnyPolicy final : public device::BusPolicy {
    bool match(const device::Device&, const device::Driver&) const override { return true; }
  };
  class CardDriver final : public device::Driver {
    std::string_view name() const override { return "carddrv"; }
  };
  auto bus = device::Bus::create(*world.model, "cardbus", std::make_unique<AnyPolicy>()).value();
  auto device =
      std::make_shared<device::Device>(*world.model, device::Device::Spec{.name = "slot0", .bus = bus});
  ASSERT_TRUE(device->add());
  {
    auto parent =
        world.bus->register_parent(spec_on(device), std::make_unique<test::FakeParent>(script)).value();
    EXPECT_TRUE(exists("/devices/slot0/mdev_supported_types/cardbus-1"));
  }
  auto driver = bus->register_driver(std::make_shared<CardDriver>()).value();
  {
    auto parent =
        world.bus->register_parent(spec_on(device), std::make_unique<test::FakeParent>(script)).value();
    EXPECT_TRUE(exists("/devices/slot0/mdev_supported_types/carddrv-1"));
  }
  Pending<> removed;
  device->remove(RemovePolicy::wait, removed.done());
  EXPECT_EQ(removed.error(), 0);
}

// --- Attributes of the vendor.

Result<std::string> show_text(device::Device&, const device::DeviceAttribute& attribute) {
  return std::string(attribute.name) + "\n";
}
constexpr device::DeviceAttribute parent_attributes[] = {{.name = "sample_mtty_dev", .show = show_text}};
constexpr device::AttributeGroup parent_group{.name = "mtty_dev", .attributes = parent_attributes};
constexpr const device::AttributeGroup* parent_groups[] = {&parent_group};

TEST_F(ParentTest, D14_D38_the_vendors_attributes_of_the_parent) {
  script->parent_groups = parent_groups;
  auto parent = register_card();
  EXPECT_EQ(show(std::string(card) + "/mtty_dev/sample_mtty_dev"), "sample_mtty_dev\n");
  parent = Registration();
  EXPECT_FALSE(exists(std::string(card) + "/mtty_dev"));
}

TEST_F(ParentTest, D14_a_vendors_attribute_whose_name_is_taken_undoes_all) {
  static constexpr device::AttributeGroup clash{.name = "mdev_supported_types", .attributes = {}};
  static constexpr const device::AttributeGroup* clashes[] = {&clash};
  script->parent_groups = clashes;
  const auto device = world.add_physical("other");
  EXPECT_EQ(error_of_registering(spec_on(device)), EEXIST);
  EXPECT_FALSE(exists(device->path() + "/mdev_supported_types"));
  EXPECT_THAT(list("/class/mdev_bus"), ElementsAre());
}

// --- Events.

TEST_F(ParentTest, D12_the_parent_tells_when_it_is_registered_and_unregistered) {
  auto parent = register_card();
  EXPECT_THAT(events(),
              ElementsAre("add /devices/virtual/card/card", "change /devices/virtual/card/card registered"));
  ASSERT_EQ(create(1), 0);
  skip_events();
  parent = Registration();
  const auto told = events();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), "change /devices/virtual/card/card unregistered") << "after its children's events";
  EXPECT_EQ(told[told.size() - 2], "remove " + instance_path(1));
}

TEST_F(ParentTest, D12_the_parent_is_complete_when_it_tells_so) {
  const auto device = world.add_physical("card");
  bool complete = false;
  const auto watch = world.model->events().subscribe(100, [this, &complete] {
    complete = exists("/class/mdev_bus/card") && exists(type_path("card-2/create")) &&
               world.bus->find_parent("card").has_value();
  });
  EXPECT_EQ(error_of_registering(spec_on(device)), 0);
  EXPECT_TRUE(complete);
}

TEST_F(ParentTest, D28_D29_the_accessors) {
  auto parent = register_card();
  const auto found = world.bus->find_parent("card").value();
  EXPECT_EQ(found->name(), "card");
  EXPECT_EQ(&found->bus(), world.bus.get());
  EXPECT_EQ(found->types().size(), 2U);
  const Type* type = found->find_type("card-2");
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(&type->parent(), found.get());
  EXPECT_EQ(type->spec().name, "2");
  EXPECT_EQ(type->available(), 4U);
  EXPECT_EQ(found->find_type("2"), nullptr);
  EXPECT_EQ(world.bus->parents().size(), 1U);
  EXPECT_EQ(world.bus->find_parent("nobody").error().code, ENODEV);

  ASSERT_EQ(create(1, "card-2"), 0);
  const auto instance = world.bus->find(uuid(1)).value();
  EXPECT_EQ(instance->uuid(), uuid(1));
  EXPECT_EQ(&instance->mdev_parent(), found.get());
  EXPECT_EQ(&instance->type(), type);
  EXPECT_EQ(&Instance::from(*instance), instance.get());
  EXPECT_EQ(instance->parent(), found->device());
  EXPECT_NE(instance->driver_data(), nullptr) << "the bus driver's own";
}

// --- Its end.

TEST_F(ParentTest, D12_D27_unregistering_removes_children_by_force_then_the_types) {
  auto parent = register_card();
  for (unsigned n = 1; n <= 3; ++n) ASSERT_EQ(create(n), 0);
  script->remove_error = EBUSY;
  skip_events();
  parent = Registration();
  EXPECT_EQ(script->forced_removes, 3U) << "the vendor was asked, and its answer did not count";
  EXPECT_EQ(script->live_devices(), 0U);
  EXPECT_FALSE(exists(std::string(card) + "/mdev_supported_types"));
  EXPECT_THAT(list("/bus/mdev/devices"), ElementsAre());
  EXPECT_TRUE(world.bus->instances().empty());
  EXPECT_EQ(world.bus->find_parent("card").error().code, ENODEV);
  EXPECT_EQ(create(4), ENODEV);
}

TEST_F(ParentTest, D12_a_parent_can_be_registered_again_and_begins_afresh) {
  auto parent = register_card();
  const auto physical = world.bus->find_parent("card").value()->device();
  const auto node = world.tree.lookup(type_path("card-1/create")).value();
  ASSERT_TRUE(world.tree.set_mode(node, 0222));
  parent = Registration();
  ParentSpec spec = card_spec();
  spec.device = physical;
  parent = world.bus->register_parent(std::move(spec), std::make_unique<test::FakeParent>(script)).value();
  EXPECT_EQ(mode(type_path("card-1/create")), "0200") << "a mode that was changed is forgotten";
  EXPECT_EQ(create(1), 0);
}

TEST_F(ParentTest, a_file_of_the_parent_that_was_held_open_says_enodev) {
  auto parent = register_card();
  const auto create_file = world.tree.lookup(type_path("card-1/create")).value();
  const auto available_file = world.tree.lookup(type_path("card-1/available_instances")).value();
  parent = Registration();
  Pending<std::size_t> written;
  world.tree.store(create_file, name(1), written.done());
  EXPECT_EQ(written.error(), ENODEV);
  EXPECT_EQ(world.tree.show(available_file).error().code, ENODEV);
}

}  // namespace
}  // namespace umdev::mdev
