// Creating instances: the four steps, what the tree shows after them, and how each may fail.
#include "tests/unit/mdev/mdev_fixture.h"

namespace umdev::mdev {
namespace {

using testing::ElementsAre;

using MdevCreate = CardTest;

TEST_F(MdevCreate, D1_the_four_steps_and_their_undoing) {
  ASSERT_EQ(create(1), 0);
  EXPECT_EQ(script->live_devices(), 1U) << "the vendor's device";
  EXPECT_TRUE(exists("/bus/mdev/devices/" + name(1))) << "the mdev bus";
  EXPECT_THAT(list("/kernel/iommu_groups/" + group_number(1) + "/devices"), ElementsAre(name(1)));
  EXPECT_TRUE(exists("/devices/virtual/vfio/" + group_number(1))) << "the VFIO group's node";
  const std::string group = group_number(1);
  ASSERT_EQ(remove(1), 0);
  EXPECT_EQ(script->live_devices(), 0U);
  EXPECT_THAT(list("/bus/mdev/devices"), ElementsAre());
  EXPECT_THAT(list("/kernel/iommu_groups"), ElementsAre());
  EXPECT_FALSE(exists("/devices/virtual/vfio/" + group));
  EXPECT_EQ(world.core->status().devices, 0U);
}

TEST_F(MdevCreate, D37_D39_D41_the_tree_of_an_instance) {
  ASSERT_EQ(create(1), 0);
  const std::string path = instance_path(1);
  EXPECT_EQ(mode(path), "0755");
  EXPECT_EQ(mode(path + "/remove"), "0200");
  EXPECT_EQ(mode(path + "/uevent"), "0644");
  EXPECT_EQ(show(path + "/uevent"), "DRIVER=vfio_mdev\n");
  EXPECT_EQ(show(path + "/remove"), "errno EACCES");
  EXPECT_EQ(link(path + "/mdev_type"), "../mdev_supported_types/card-1");
  EXPECT_EQ(link(path + "/subsystem"), "../../../../../bus/mdev");
  EXPECT_EQ(link(path + "/driver"), "../../../../../bus/mdev/drivers/vfio_mdev");
  EXPECT_EQ(link(path + "/iommu_group"), "../../../../../kernel/iommu_groups/0");
  EXPECT_EQ(link("/bus/mdev/devices/" + name(1)), "../../../devices/virtual/card/card/" + name(1));
  EXPECT_EQ(link("/bus/mdev/drivers/vfio_mdev/" + name(1)),
            "../../../../devices/virtual/card/card/" + name(1));
  EXPECT_EQ(link(type_path("card-1/devices/") + name(1)), "../../../" + name(1));
  EXPECT_THAT(list(type_path("card-2/devices")), ElementsAre());
  EXPECT_EQ(mode(path + "/mdev_type"), "0777");
}

TEST_F(MdevCreate, D41_the_vfio_side_of_the_tree) {
  ASSERT_EQ(create(1), 0);
  const std::string vfio_dev = instance_path(1) + "/vfio-dev/vfio0";
  EXPECT_EQ(link(vfio_dev + "/device"), "../../../" + name(1));
  EXPECT_EQ(link(vfio_dev + "/subsystem"), "../../../../../../../class/vfio-dev");
  EXPECT_TRUE(exists(vfio_dev + "/uevent"));
  EXPECT_EQ(link("/kernel/iommu_groups/0/devices/" + name(1)),
            "../../../../devices/virtual/card/card/" + name(1));
  EXPECT_EQ(show("/kernel/iommu_groups/0/type"), "unknown\n");
  EXPECT_EQ(link("/class/vfio/0"), "../../devices/virtual/vfio/0");
}

TEST_F(MdevCreate, D41_the_group_number_is_the_lowest_free_one) {
  for (unsigned n = 1; n <= 3; ++n) ASSERT_EQ(create(n), 0);
  EXPECT_EQ(group_number(2), "1");
  ASSERT_EQ(remove(2), 0);
  ASSERT_EQ(create(4), 0);
  EXPECT_EQ(group_number(4), "1");
}

TEST_F(MdevCreate, the_tree_of_the_bus) {
  EXPECT_THAT(list("/bus/mdev"), testing::UnorderedElementsAre("devices", "drivers", "drivers_autoprobe",
                                                               "drivers_probe", "uevent"));
  EXPECT_EQ(mode("/bus/mdev/drivers_autoprobe"), "0644");
  EXPECT_EQ(mode("/bus/mdev/drivers_probe"), "0200");
  EXPECT_EQ(mode("/bus/mdev/uevent"), "0200");
  for (const std::string file : {"bind", "unbind", "uevent"})
    EXPECT_EQ(mode("/bus/mdev/drivers/vfio_mdev/" + file), "0200") << file;
  EXPECT_EQ(link("/bus/mdev/drivers/vfio_mdev/module"), "../../../../module/vfio_mdev");
}

// --- What may be written to `create`.

struct CreateInput {
  const char* what;
  std::string text;
  int error;
};

TEST_F(MdevCreate, D32_what_may_be_written_to_create) {
  const std::string good = "0123abcd-4567-89ef-0123-456789abcdef";
  const CreateInput inputs[] = {
      {"36 characters", good, 0},
      {"with a newline", good + "\n", 0},
      {"the 37th may be anything", good + "x", 0},
      {"the 37th may be a NUL", good + std::string(1, '\0'), 0},
      {"35 characters", good.substr(0, 35), EINVAL},
      {"38 characters", good + "\n\n", EINVAL},
      {"braces", "{" + good + "}", EINVAL},
      {"one brace", "{" + good, EINVAL},
      {"a space before", " " + good, EINVAL},
      {"upper case", "0123ABCD-4567-89EF-0123-456789ABCDEF", 0},
      {"nil", "00000000-0000-0000-0000-000000000000", 0},
      {"all ones", "ffffffff-ffff-ffff-ffff-ffffffffffff", 0},
      {"a dash misplaced", "0123abc-d4567-89ef-0123-456789abcdef", EINVAL},
      {"no dashes", "0123abcd045670890ef010123f456789abcd", EINVAL},
      {"not hexadecimal", "0123abcg-4567-89ef-0123-456789abcdef", EINVAL},
      {"one character", "1", EINVAL},
      {"one newline", "\n", EINVAL},
      {"much too long", std::string(4096, '0'), EINVAL},
      {"bytes that are no text", std::string(36, '\xff'), EINVAL},
  };
  for (const CreateInput& input : inputs) {
    skip_events();
    EXPECT_EQ(write(type_path("card-1/create"), input.text), input.error) << input.what;
    EXPECT_EQ(list("/bus/mdev/devices").size(), input.error == 0 ? 1U : 0U) << input.what;
    if (input.error != 0) {
      EXPECT_THAT(events(), ElementsAre()) << input.what;
      continue;
    }
    const std::string uuid = list("/bus/mdev/devices")[0];
    EXPECT_EQ(uuid, Uuid::parse(input.text.substr(0, 36))->to_string()) << "lower case, whatever was written";
    EXPECT_EQ(write(std::string(card) + "/" + uuid + "/remove", "1"), 0) << input.what;
  }
}

TEST_F(MdevCreate, D32_an_empty_write_creates_nothing) {
  EXPECT_EQ(write(type_path("card-1/create"), ""), 0);
  EXPECT_EQ(script->creates, 0U);
}

TEST_F(MdevCreate, D32_a_write_is_complete_when_it_returns) {
  script->hold_creates = true;
  const auto written = begin_write(type_path("card-1/create"), name(1) + "\n");
  EXPECT_FALSE(written.is_done());
  script->finish_create();
  ASSERT_EQ(written.error(), 0);
  EXPECT_EQ(**written.result, 37U);
  EXPECT_EQ(link(instance_path(1) + "/mdev_type"), "../mdev_supported_types/card-1");
}

TEST_F(MdevCreate, the_door_of_a_creation_is_kept) {
  ASSERT_EQ(write(type_path("card-1/create"), name(1)), 0);
  EXPECT_EQ(world.bus->find(uuid(1)).value()->owner().door, "tree");
  const auto file = world.tree.resolve(type_path("card-1/create")).value();
  Outcome<std::size_t> stored;
  world.tree.store(file, name(3), stored.done(), {.uid = 1000, .gid = 100, .pid = 42});
  ASSERT_TRUE(stored.succeeded());
  EXPECT_EQ(world.bus->find(uuid(3)).value()->owner().uid, 1000U);
  EXPECT_EQ(world.bus->find(uuid(3)).value()->owner().pid, 42);
  const CreateRequest request{.parent = "card",
                              .type = "card-1",
                              .uuid = uuid(2),
                              .owner = {.uid = 1000, .pid = 7, .door = "control"},
                              .attributes = {{"color", "red"}}};
  Outcome<> outcome;
  world.bus->create(request, outcome.done());
  ASSERT_TRUE(outcome.succeeded());
  const auto instance = world.bus->find(uuid(2)).value();
  EXPECT_EQ(instance->owner().uid, 1000U);
  EXPECT_EQ(instance->attributes(), request.attributes);
  EXPECT_EQ(script->requests().back().attributes, request.attributes) << "the vendor sees them too";
}

// --- Its errors.

TEST_F(MdevCreate, an_unknown_parent_is_enodev_and_an_unknown_type_is_einval) {
  EXPECT_EQ(world.create("nobody", "card-1", uuid(1)), ENODEV);
  EXPECT_EQ(create(1, "card-3"), EINVAL);
  EXPECT_EQ(create(1, "1"), EINVAL);
  EXPECT_EQ(script->creates, 0U);
}

TEST_F(MdevCreate, D32_a_duplicate_uuid_is_eexist_anywhere_on_the_host) {
  auto other_script = std::make_shared<ParentScript>();
  auto other = world.register_parent("other", card_spec(), std::make_unique<test::FakeParent>(other_script));
  ASSERT_EQ(create(1), 0);
  EXPECT_EQ(create(1), EEXIST);
  EXPECT_EQ(create(1, "card-2"), EEXIST) << "another type";
  EXPECT_EQ(world.create("other", "other-1", uuid(1)), EEXIST) << "another parent";
  EXPECT_EQ(write("/devices/virtual/other/other/mdev_supported_types/other-1/create", name(1)), EEXIST);
  EXPECT_EQ(other_script->creates, 0U) << "its vendor is not asked";
  EXPECT_EQ(available(), "7\n") << "and nothing is drawn";
  ASSERT_EQ(remove(1), 0);
  EXPECT_EQ(world.create("other", "other-1", uuid(1)), 0);
}

TEST_F(MdevCreate, D32_a_uuid_is_taken_while_its_creation_is_under_way) {
  script->hold_creates = true;
  const auto first = begin_create(1);
  EXPECT_EQ(create(1), EEXIST);
  script->create_error = EIO;
  script->finish_create();
  EXPECT_EQ(first.error(), EIO);
  script->create_error = 0;
  script->hold_creates = false;
  EXPECT_EQ(create(1), 0) << "free again";
}

TEST_F(MdevCreate, D34_types_draw_on_shared_resources) {
  EXPECT_EQ(available("card-1"), "8\n");
  EXPECT_EQ(available("card-2"), "4\n");
  ASSERT_EQ(create(1, "card-1"), 0);
  EXPECT_EQ(available("card-1"), "7\n");
  EXPECT_EQ(available("card-2"), "3\n");
  for (unsigned n = 2; n <= 4; ++n) ASSERT_EQ(create(n, "card-2"), 0);
  EXPECT_EQ(create(5, "card-2"), ENOSPC);
  EXPECT_EQ(script->creates, 4U) << "the vendor is not asked for what is not there";
  EXPECT_EQ(create(5, "card-1"), 0);
  EXPECT_EQ(create(6, "card-1"), ENOSPC);
  ASSERT_EQ(remove(2), 0);
  EXPECT_EQ(available("card-1"), "2\n");
}

TEST_F(MdevCreate, D34_it_is_the_vendors_answer_where_the_vendor_answers) {
  script->available = 1000;
  EXPECT_EQ(available(), "1000\n");
  script->available = 0;
  EXPECT_EQ(available(), "0\n");
  EXPECT_EQ(create(1), 0) << "it is advice: what counts is the vendor's create";
}

class MaxInstances : public MdevTest {};

TEST_F(MaxInstances, D9_D32_none_left_of_all_types_together_is_eusers) {
  ParentSpec spec = card_spec(100);
  spec.max_instances = 2;
  auto parent = register_card(std::move(spec));
  EXPECT_EQ(available("card-1"), "2\n");
  EXPECT_EQ(available("card-2"), "2\n");
  ASSERT_EQ(create(1, "card-1"), 0);
  ASSERT_EQ(create(2, "card-2"), 0);
  EXPECT_EQ(available("card-1"), "0\n");
  EXPECT_EQ(create(3), EUSERS);
  script->available = 50;
  EXPECT_EQ(available(), "0\n") << "the vendor cannot promise more";
  ASSERT_EQ(remove(1), 0);
  EXPECT_EQ(create(3), 0);
}

TEST_F(MaxInstances, a_failed_create_gives_the_instance_back) {
  ParentSpec spec = card_spec();
  spec.max_instances = 1;
  auto parent = register_card(std::move(spec));
  script->create_error = ENXIO;
  for (int times = 0; times < 3; ++times) EXPECT_EQ(create(1), ENXIO);
  script->create_error = 0;
  EXPECT_EQ(create(1), 0);
}

class FewInstances : public MdevTest {
 public:
  FewInstances() : small(MdevWorld::Options{.limits = {.instances = 2}}) {}
  MdevWorld small;
};

TEST_F(FewInstances, the_daemon_has_a_limit_of_its_own) {
  auto parent = small.register_parent("card", card_spec(), std::make_unique<test::FakeParent>(script));
  ASSERT_EQ(small.create("card", "card-1", uuid(1)), 0);
  ASSERT_EQ(small.create("card", "card-1", uuid(2)), 0);
  EXPECT_EQ(small.create("card", "card-1", uuid(3)), ENOSPC);
  EXPECT_EQ(small.create("card", "card-1", uuid(2)), EEXIST) << "a duplicate is one at the limit too";
  EXPECT_EQ(small.remove(uuid(1)), 0);
  EXPECT_EQ(small.create("card", "card-1", uuid(3)), 0);
}

// --- The vendor's attributes.

Result<std::string> show_mdev_dev(device::Device& device, const device::DeviceAttribute&) {
  return "This is MDEV " + Instance::from(device).uuid().to_string() + "\n";
}
constexpr device::DeviceAttribute mdev_attributes[] = {{.name = "sample_mdev_dev", .show = show_mdev_dev}};
constexpr device::AttributeGroup mdev_group{.name = "vendor", .attributes = mdev_attributes};
constexpr const device::AttributeGroup* mdev_groups[] = {&mdev_group};

class VendorAttributes : public MdevTest {};

TEST_F(VendorAttributes, D15_D38_are_there_after_create_and_gone_at_remove) {
  script->instance_groups = mdev_groups;
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  EXPECT_EQ(show(instance_path(1) + "/vendor/sample_mdev_dev"), "This is MDEV " + name(1) + "\n");
  const auto file = world.tree.lookup(instance_path(1) + "/vendor/sample_mdev_dev").value();
  ASSERT_EQ(remove(1), 0);
  EXPECT_FALSE(exists(instance_path(1)));
  EXPECT_EQ(world.tree.show(file).error().code, ENODEV) << "for who had the file open";
}

// --- The events.

TEST_F(MdevCreate, D42_the_events_in_the_kernels_order) {
  skip_events();
  ASSERT_EQ(create(1), 0);
  EXPECT_THAT(events(),
              ElementsAre("add " + instance_path(1), "add /devices/virtual/vfio/0",
                          "add " + instance_path(1) + "/vfio-dev/vfio0", "bind " + instance_path(1)));
  ASSERT_EQ(remove(1), 0);
  EXPECT_THAT(events(),
              ElementsAre("remove " + instance_path(1) + "/vfio-dev/vfio0", "remove /devices/virtual/vfio/0",
                          "unbind " + instance_path(1), "remove " + instance_path(1)));
}

TEST_F(MdevCreate, D42_what_the_events_say) {
  auto all = world.model->events().subscribe(100);
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(remove(1), 0);
  std::vector<device::Uevent> told;
  while (auto event = all.next()) told.push_back(*event);
  ASSERT_EQ(told.size(), 8U);
  EXPECT_EQ(told[0].subsystem, "mdev");
  EXPECT_EQ(told[1].subsystem, "vfio");
  EXPECT_EQ(told[1].value("DEVNAME"), "vfio/0");
  EXPECT_TRUE(told[1].value("MAJOR").has_value());
  EXPECT_EQ(told[2].subsystem, "vfio-dev");
  EXPECT_EQ(told[3].value("DRIVER"), "vfio_mdev");
  EXPECT_EQ(told[6].action, device::Action::unbind);
  EXPECT_EQ(told[6].value("DRIVER"), std::nullopt);
  for (std::size_t index = 1; index < told.size(); ++index)
    EXPECT_EQ(told[index].sequence, told[index - 1].sequence + 1);
}

TEST_F(MdevCreate, D42_events_come_after_the_tree_is_complete) {
  std::vector<bool> complete;
  const auto watch = world.model->events().subscribe(100, [this, &complete] {
    complete.push_back(exists(instance_path(1) + "/mdev_type") && exists(instance_path(1) + "/driver") &&
                       exists(instance_path(1) + "/iommu_group") &&
                       exists(type_path("card-1/devices/") + name(1)) &&
                       exists("/bus/mdev/drivers/vfio_mdev/" + name(1)) &&
                       world.bus->state(uuid(1)) == InstanceState::active);
  });
  ASSERT_EQ(create(1), 0);
  EXPECT_THAT(complete, ElementsAre(true))
      << "who reacts to the first event finds all of it, and may remove it";
}

// --- Management as libvirt and mdevctl do it: by the tree alone.

TEST_F(MdevCreate, D45_all_of_it_through_the_tree) {
  for (const std::string& parent_name : list("/class/mdev_bus")) {
    const std::string types = "/class/mdev_bus/" + parent_name + "/mdev_supported_types";
    for (const std::string& type : list(types)) {
      EXPECT_THAT(show(types + "/" + type + "/device_api"), testing::StartsWith("vfio-"));
      EXPECT_NE(show(types + "/" + type + "/available_instances"), "0\n");
    }
    ASSERT_EQ(write(types + "/card-1/create", name(1) + "\n"), 0);
  }
  EXPECT_THAT(list("/bus/mdev/devices"), ElementsAre(name(1)));
  const std::string device = "/bus/mdev/devices/" + name(1);
  EXPECT_EQ(link(device + "/mdev_type"), "../mdev_supported_types/card-1");
  EXPECT_EQ(show(device + "/mdev_type/name"), "One port\n");
  EXPECT_EQ(link(device + "/iommu_group"), "../../../../../kernel/iommu_groups/0");
  ASSERT_EQ(write(device + "/remove", "1\n"), 0);
  EXPECT_THAT(list("/bus/mdev/devices"), ElementsAre());
}

}  // namespace
}  // namespace umdev::mdev
