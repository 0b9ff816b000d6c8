#include "umdev/manage/definitions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/failing_file_calls.h"
#include "tests/support/fake_parent.h"
#include "tests/support/mdev_world.h"
#include "tests/support/scratch_directory.h"
#include "umdev/manage/state_directory.h"

namespace umdev::manage {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::MdevWorld;
using test::Outcome;
using testing::HasSubstr;

// What was written to the device's attributes, in order.
std::vector<std::string>& written() {
  static std::vector<std::string> values;
  return values;
}
void store_speed(device::Device&, const device::DeviceAttribute& attribute, std::string_view text,
                 Done<std::size_t> done) {
  if (text == "bad") return done(fail(ERANGE, "not a speed"));
  written().push_back(std::string(attribute.name) + "=" + std::string(text));
  done(text.size());
}
Result<std::string> show_serial(device::Device&, const device::DeviceAttribute&) {
  return "1\n";
}
constexpr device::DeviceAttribute vendor_attributes[] = {
    {.name = "speed", .mode = 0644, .show = show_serial, .store = store_speed},
    {.name = "serial", .show = show_serial}};
constexpr device::AttributeGroup vendor_group{.name = "vendor", .attributes = vendor_attributes};
constexpr const device::AttributeGroup* vendor_groups[] = {&vendor_group};

class DefinitionsTest : public testing::Test {
 public:
  DefinitionsTest() {
    written().clear();
    script->instance_groups = vendor_groups;
    card = register_card("card");
  }
  Registration register_card(const std::string& name) {
    return world.register_parent(name,
                                 {.types = {{.name = "1", .device_api = "vfio-pci", .cost = {{"slots", 1}}}},
                                  .resources = {{"slots", 3}}},
                                 std::make_unique<test::FakeParent>(script));
  }
  Definitions make() {
    return {KeyedFiles(state->definitions(), state->scratch(), calls),
            KeyedFiles(state->owners(), state->scratch(), calls),
            {.bus = world.bus.get(),
             .executor = &world.host.executor(),
             .log = &world.host.log(),
             .uid = 500,
             .observer = &hearer}};
  }
  // What is told of changes.
  struct Hearer final : DefinitionObserver {
    void definition_changed(std::string_view what, const DefinitionKey& key, std::string_view type) override {
      EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
      heard.push_back(std::string(what) + " " + key.parent + " " + std::string(type));
    }
    std::vector<std::string> heard;
  };
  static Uuid uuid(unsigned n) { return MdevWorld::uuid(n); }
  static DefinitionChange card_type(Start start = Start::manual, mdev::Attributes attributes = {}) {
    return {.type = "card-1", .start = start, .attributes = std::move(attributes)};
  }
  int start(unsigned n, const Asker& asker = {}) {
    Outcome<> outcome;
    definitions.start(asker, uuid(n), {}, outcome.done());
    world.host.run();
    return outcome.error();
  }
  DefinitionReport report(unsigned n) {
    const auto reports = definitions.find(uuid(n)).value();
    return reports.empty() ? DefinitionReport{.stranger = "none"} : reports.front();
  }
  void write_file(unsigned n, const std::string& text, const std::string& parent = "card") {
    fs::create_directories(state->definitions() + "/" + parent);
    std::ofstream(state->definitions() + "/" + parent + "/" + uuid(n).to_string()) << text;
  }
  void start_automatic() {
    Outcome<> outcome;
    definitions.start_automatic(outcome.done());
    world.host.run();
    EXPECT_TRUE(outcome.succeeded());
  }

  test::ScratchDirectory scratch;
  test::FailingFileCalls calls;
  std::unique_ptr<StateDirectory> state = StateDirectory::claim(scratch / "state").value();
  std::shared_ptr<test::ParentScript> script = std::make_shared<test::ParentScript>();
  MdevWorld world;
  Registration card;
  Hearer hearer;
  Definitions definitions = make();
  const Asker root{.uid = 0, .pid = 1};
  const Asker ann{.uid = 1000, .pid = 11};
  const Asker bob{.uid = 1001, .pid = 12};
};

TEST_F(DefinitionsTest, What_is_defined_is_there_for_the_next_daemon) {
  ASSERT_TRUE(definitions.define(ann, uuid(1), "card", card_type(Start::automatic, {{"vendor/speed", "9"}})));
  const auto reports = make().list().value();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].key, (DefinitionKey{.parent = "card", .uuid = uuid(1)}));
  EXPECT_EQ(reports[0].definition.start, Start::automatic);
  EXPECT_EQ(reports[0].definition.attributes, (mdev::Attributes{{"vendor/speed", "9"}}));
  EXPECT_EQ(reports[0].mark.uid, 1000U);
  EXPECT_EQ(reports[0].state, DefinitionState::inactive);
}

TEST_F(DefinitionsTest, Changes_are_told_when_they_have_been_made_and_not_otherwise) {
  ASSERT_TRUE(definitions.define(ann, uuid(1), "card", card_type()));
  ASSERT_TRUE(definitions.modify(ann, uuid(1), {}, {.start = Start::automatic}));
  EXPECT_FALSE(definitions.define(ann, uuid(1), "card", card_type()));
  EXPECT_FALSE(definitions.modify(bob, uuid(1), {}, {.start = Start::manual}));
  EXPECT_FALSE(definitions.undefine(bob, uuid(1)));
  ASSERT_TRUE(definitions.undefine(ann, uuid(1)));
  EXPECT_FALSE(definitions.undefine(ann, uuid(1)));
  EXPECT_THAT(hearer.heard,
              testing::ElementsAre("defined card card-1", "modified card card-1", "undefined card "));
}

TEST_F(DefinitionsTest, What_is_unknown_is_not_defined) {
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "none", card_type())), ENODEV);
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "..", card_type())), ENODEV);
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "card", {.type = "card-2"})), EINVAL);
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "card", {})), EINVAL);
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "", card_type())), EINVAL);
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "", {})), ENODEV);
  EXPECT_TRUE(definitions.list()->empty());
}

TEST_F(DefinitionsTest, A_UUID_is_defined_once) {
  const auto second = register_card("other");
  ASSERT_TRUE(definitions.define(ann, uuid(1), "card", card_type()));
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "card", card_type())), EEXIST);
  EXPECT_EQ(error_of(definitions.define(root, uuid(1), "other", {.type = "other-1"})), EEXIST);
  EXPECT_EQ(report(1).mark.uid, 1000U);
}

TEST_F(DefinitionsTest, An_active_device_is_defined_as_it_is) {
  ASSERT_EQ(world.create("card", "card-1", uuid(1)), 0);
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "", {})), EPERM);
  EXPECT_EQ(error_of(definitions.define(ann, uuid(1), "card", card_type())), EPERM);
  ASSERT_TRUE(definitions.define(root, uuid(1), "", {.start = Start::automatic}));
  EXPECT_EQ(report(1).definition.type, "card-1");
  EXPECT_EQ(report(1).state, DefinitionState::active);
  ASSERT_EQ(world.remove(uuid(1)), 0);
}

TEST_F(DefinitionsTest, Starting_writes_the_attributes_in_their_order) {
  ASSERT_TRUE(definitions.define(
      ann, uuid(1), "card",
      card_type(Start::manual, {{"vendor/speed", "1"}, {"uevent", "change"}, {"vendor/speed", "2"}})));
  EXPECT_EQ(start(1, ann), 0);
  EXPECT_EQ(written(), (std::vector<std::string>{"speed=1", "speed=2"}));
  EXPECT_EQ(report(1).state, DefinitionState::active);
  EXPECT_EQ(world.bus->find(uuid(1)).value()->owner().uid, 1000U);
  EXPECT_EQ(world.bus->find(uuid(1)).value()->owner().door, "definition");
  EXPECT_EQ(start(1, ann), EEXIST);
  EXPECT_EQ(report(1).state, DefinitionState::active);
  ASSERT_EQ(world.remove(uuid(1)), 0);
}

TEST_F(DefinitionsTest, An_attribute_that_fails_leaves_no_device) {
  struct Case {
    const char* name;
    const char* value;
    int error;
  };
  unsigned n = 0;
  for (const Case& one : {Case{"vendor/speed", "bad", ERANGE}, Case{"vendor/none", "1", ENOENT},
                          Case{"vendor/serial", "1", EACCES}, Case{"vendor", "1", EISDIR},
                          Case{"mdev_type/create", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", ENOENT},
                          Case{"subsystem/devices", "1", ENOENT}, Case{"driver/unbind", "1", ENOENT}}) {
    SCOPED_TRACE(one.name);
    ASSERT_TRUE(
        definitions.define(ann, uuid(++n), "card", card_type(Start::manual, {{one.name, one.value}})));
    EXPECT_EQ(start(n, ann), one.error);
    EXPECT_TRUE(world.bus->instances().empty());
    EXPECT_EQ(report(n).state, DefinitionState::failed);
    EXPECT_THAT(report(n).error, HasSubstr(errno_name(one.error)));
  }
}

TEST_F(DefinitionsTest, An_attribute_that_removes_its_device_is_no_success) {
  ASSERT_TRUE(definitions.define(ann, uuid(1), "card",
                                 card_type(Start::manual, {{"remove", "1"}, {"vendor/speed", "1"}})));
  EXPECT_NE(start(1, ann), 0);
  world.host.run();
  EXPECT_TRUE(world.bus->instances().empty());
}

TEST_F(DefinitionsTest, What_is_not_defined_cannot_be_changed_or_started) {
  EXPECT_EQ(start(1), ENOENT);
  EXPECT_EQ(error_of(definitions.undefine(root, uuid(1))), ENOENT);
  EXPECT_EQ(error_of(definitions.undefine(root, uuid(1), "card")), ENOENT);
  EXPECT_EQ(error_of(definitions.modify(root, uuid(1), {}, {})), ENOENT);
  EXPECT_EQ(error_of(definitions.modify(root, uuid(1), "none", {})), ENOENT);
}

TEST_F(DefinitionsTest, Another_user_is_refused_and_root_and_the_daemons_user_are_not) {
  ASSERT_TRUE(definitions.define(ann, uuid(1), "card", card_type()));
  EXPECT_EQ(start(1, bob), EPERM);
  EXPECT_EQ(error_of(definitions.modify(bob, uuid(1), {}, {.start = Start::automatic})), EPERM);
  EXPECT_EQ(error_of(definitions.undefine(bob, uuid(1))), EPERM);
  EXPECT_TRUE(definitions.modify({.uid = 500}, uuid(1), {}, {.start = Start::automatic}));
  EXPECT_TRUE(definitions.undefine(root, uuid(1)));
}

TEST_F(DefinitionsTest, What_mdevctl_defined_is_the_daemons_users) {
  write_file(1, R"({"mdev_type":"card-1","start":"manual","attrs":[]})");
  EXPECT_EQ(report(1).mark.uid, 500U);
  EXPECT_EQ(error_of(definitions.undefine(ann, uuid(1))), EPERM);
  EXPECT_EQ(start(1, {.uid = 500}), 0);
  ASSERT_EQ(world.remove(uuid(1)), 0);
}

TEST_F(DefinitionsTest, Modifying_changes_what_was_said_and_keeps_the_rest) {
  write_file(1, R"({"mdev_type":"card-1","start":"manual","attrs":[{"vendor/speed":"1"}],"note":"kept"})");
  ASSERT_TRUE(definitions.modify(root, uuid(1), {}, {.start = Start::automatic}));
  EXPECT_EQ(report(1).definition, (Definition{.type = "card-1",
                                              .start = Start::automatic,
                                              .attributes = {{"vendor/speed", "1"}},
                                              .others = R"({"note":"kept"})"}));
  ASSERT_TRUE(definitions.modify(root, uuid(1), {}, {.attributes = mdev::Attributes()}));
  EXPECT_TRUE(report(1).definition.attributes.empty());
  EXPECT_EQ(error_of(definitions.modify(root, uuid(1), {}, {.type = "card-9"})), EINVAL);
  EXPECT_EQ(report(1).definition.type, "card-1");
}

TEST_F(DefinitionsTest, One_UUID_of_several_parents_needs_the_parents_name) {
  write_file(1, R"({"mdev_type":"card-1","start":"manual"})");
  write_file(1, R"({"mdev_type":"other-1","start":"manual"})", "other");
  EXPECT_EQ(start(1), EINVAL);
  EXPECT_EQ(error_of(definitions.undefine(root, uuid(1))), EINVAL);
  EXPECT_TRUE(definitions.undefine(root, uuid(1), "other"));
  EXPECT_EQ(start(1), 0);
  ASSERT_EQ(world.remove(uuid(1)), 0);
}

TEST_F(DefinitionsTest, A_bad_file_is_told_and_stops_nothing_else) {
  write_file(1, "{\n\"mdev_type\": ");
  write_file(2, R"({"mdev_type":"card-1","start":"auto"})");
  std::ofstream(state->definitions() + "/card/notes") << "hello";
  start_automatic();
  EXPECT_EQ(report(1).state, DefinitionState::unreadable);
  EXPECT_THAT(report(1).error, HasSubstr("line 2: it is no JSON"));
  EXPECT_EQ(report(2).state, DefinitionState::active);
  EXPECT_EQ(definitions.list()->back().stranger, "card/notes");
  EXPECT_EQ(start(1), EBADMSG);
  EXPECT_EQ(error_of(definitions.modify(root, uuid(1), {}, {})), EBADMSG);
  EXPECT_TRUE(definitions.undefine(root, uuid(1)));
  ASSERT_EQ(world.remove(uuid(2)), 0);
}

TEST_F(DefinitionsTest, Orphans_are_told) {
  write_file(1, R"({"mdev_type":"gone-1","start":"auto"})", "gone");
  write_file(2, R"({"mdev_type":"card-7","start":"auto"})");
  start_automatic();
  EXPECT_EQ(report(1).state, DefinitionState::orphaned);
  EXPECT_EQ(report(1).error, "there is no parent gone");
  EXPECT_EQ(report(2).state, DefinitionState::orphaned);
  EXPECT_EQ(report(2).error, "the parent card has no type card-7");
}

TEST_F(DefinitionsTest, Only_what_is_defined_for_it_starts_by_itself_and_failures_are_told) {
  for (unsigned n = 1; n <= 4; ++n) write_file(n, R"({"mdev_type":"card-1","start":"auto"})");
  write_file(5, R"({"mdev_type":"card-1","start":"manual"})");
  start_automatic();
  EXPECT_EQ(world.bus->instances().size(), 3U) << "there are three slots";
  EXPECT_EQ(report(4).state, DefinitionState::failed);
  EXPECT_THAT(report(4).error, HasSubstr("ENOSPC"));
  EXPECT_EQ(report(5).state, DefinitionState::inactive);
  for (unsigned n = 1; n <= 3; ++n) ASSERT_EQ(world.remove(uuid(n)), 0);
  EXPECT_EQ(start(4), 0);
  EXPECT_EQ(report(4).state, DefinitionState::active) << "a success ends the failure";
  ASSERT_EQ(world.remove(uuid(4)), 0);
  EXPECT_EQ(report(4).state, DefinitionState::inactive);
}

TEST_F(DefinitionsTest, A_device_of_another_kind_with_the_UUID_is_told) {
  const auto other = register_card("other");
  write_file(1, R"({"mdev_type":"card-1","start":"auto"})");
  ASSERT_EQ(world.create("other", "other-1", uuid(1)), 0);
  EXPECT_EQ(report(1).state, DefinitionState::inactive);
  EXPECT_EQ(report(1).error, "a device of another kind has its UUID");
  EXPECT_EQ(start(1), EEXIST);
  ASSERT_EQ(world.remove(uuid(1)), 0);
}

// For each change: whichever of its system calls fails, the definition is the old one or the new one.
TEST_F(DefinitionsTest, Whatever_fails_nothing_is_half_there) {
  for (int step = 0; step < 10; ++step) {
    SCOPED_TRACE(step);
    calls.fail_at(step, EIO);
    const bool defined = definitions.define(ann, uuid(1), "card", card_type()).has_value();
    calls.fail_never();
    const bool there = !definitions.find(uuid(1))->empty();
    EXPECT_TRUE(there || !defined);
    if (there) {
      EXPECT_EQ(report(1).state, DefinitionState::inactive);
      EXPECT_EQ(report(1).mark.uid, 1000U);
      calls.fail_at(step % 4, EIO);
      const bool modified = definitions.modify(ann, uuid(1), {}, {.start = Start::automatic}).has_value();
      calls.fail_never();
      EXPECT_EQ(report(1).definition.type, "card-1");
      EXPECT_TRUE(!modified || report(1).definition.start == Start::automatic);
      EXPECT_TRUE(definitions.undefine(ann, uuid(1)));
    }
    definitions.tidy();
    EXPECT_TRUE(definitions.list()->empty());
  }
}

TEST_F(DefinitionsTest, Owners_of_nothing_are_forgotten) {
  ASSERT_TRUE(definitions.define(ann, uuid(1), "card", card_type(), "ci"));
  ASSERT_TRUE(definitions.define(ann, uuid(2), "card", card_type(), "ci"));
  fs::remove(state->definitions() + "/card/" + uuid(1).to_string());
  EXPECT_EQ(definitions.marks_of("ci")->size(), 2U);
  definitions.tidy();
  const auto marks = definitions.marks_of("ci").value();
  ASSERT_EQ(marks.size(), 1U);
  EXPECT_EQ(marks[0].first.uuid, uuid(2));
}

}  // namespace
}  // namespace umdev::manage
