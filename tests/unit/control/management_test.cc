#include "umdev/control/management.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "drivers/mtty/parent.h"
#include "drivers/null/parent.h"
#include "tests/support/mdev_world.h"
#include "tests/support/prometheus_text.h"
#include "tests/support/scratch_directory.h"
#include "umdev/control/dispatcher.h"
#include "umdev/manage/definitions.h"
#include "umdev/manage/mover.h"
#include "umdev/manage/state_directory.h"

namespace umdev::control {
namespace {

using Json = nlohmann::json;
using test::MdevWorld;

class SilentTopic final : public Topic {
 public:
  Result<std::unique_ptr<ItemReader>> listen(Wake) override { return fail(EUSERS, "nobody may listen"); }
};

// Doors with a socket for every instance, and one session.
class FakeDoors final : public Doors {
 public:
  SocketPaths socket_of(const Uuid& uuid) const override {
    return {.path = "/run/umdev/vfio-user/" + uuid.to_string() + ".sock", .short_path = "/proc/1/fd/5/s"};
  }
  Result<std::unique_ptr<Topic>> trace_of(const Uuid& uuid) const override {
    if (uuid != MdevWorld::uuid(1)) return fail(ENODEV, "no socket");
    return std::make_unique<SilentTopic>();
  }
  std::vector<SessionReport> sessions() const override {
    return {{.device = MdevWorld::uuid(1).to_string(), .pid = 77, .open = true, .mappings = 3}};
  }
  std::vector<NumberGroup> numbers() const override { return {{"memory", {{"pins", 5}}}}; }
};

class ManagementTest : public testing::Test {
 public:
  static Json request(std::string_view method, Json params) {
    return {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", std::move(params)}};
  }
  // Begins a call whose answer comes later.
  std::shared_ptr<Json> begin(std::string_view method, Json params = Json::object()) {
    auto answer = std::make_shared<Json>();
    dispatcher.handle(request(method, std::move(params)).dump(), caller,
                      [answer](Result<std::string> text) { *answer = Json::parse(*text); });
    world.host.run();
    return answer;
  }
  Json call(std::string_view method, Json params = Json::object()) {
    return begin(method, std::move(params))->at("result");
  }
  // The errno of a call that is refused.
  int refused(std::string_view method, Json params = Json::object()) {
    return begin(method, std::move(params))->at("error")["data"]["errno"];
  }
  static std::string uuid(unsigned n) { return MdevWorld::uuid(n).to_string(); }

  MdevWorld world;
  Registration mtty =
      world.register_parent("mtty", mtty::MttyParent::spec(4), std::make_unique<mtty::MttyParent>());
  Registration null =
      world.register_parent("null", null::NullParent::spec(9), std::make_unique<null::NullParent>());
  FakeDoors doors;
  test::ScratchDirectory scratch;
  std::unique_ptr<manage::StateDirectory> state = manage::StateDirectory::claim(scratch / "state").value();
  manage::Definitions definitions{
      manage::KeyedFiles(state->definitions(), state->scratch()),
      manage::KeyedFiles(state->owners(), state->scratch()),
      {.bus = world.bus.get(), .executor = &world.host.executor(), .log = &world.host.log(), .uid = 500}};
  manage::Mover mover{*world.bus, *world.core, world.host, {}};
  Management management{{.bus = world.bus.get(),
                         .executor = &world.host.executor(),
                         .doors = &doors,
                         .definitions = &definitions,
                         .uid = 500,
                         .version = "1.2",
                         .mover = &mover}};
  Dispatcher dispatcher{management};
  Caller caller{.uid = 1000, .gid = 100, .pid = 4711};
};

TEST_F(ManagementTest, Parents_are_listed_with_their_types) {
  const auto parents = call("parents");
  ASSERT_EQ(parents.size(), 2U);
  EXPECT_EQ(parents[0], (Json{{"name", "mtty"},
                              {"path", "/devices/virtual/mtty/mtty"},
                              {"types", {"mtty-1", "mtty-2"}},
                              {"instances", 0}}));
}

TEST_F(ManagementTest, Types_tell_what_is_available) {
  call("create", {{"parent", "mtty"}, {"type", "mtty-2"}});
  const auto types = call("types");
  ASSERT_EQ(types.size(), 3U);
  EXPECT_EQ(types[0]["available_instances"], 2);
  EXPECT_EQ(types[1]["type"], "mtty-2");
  EXPECT_EQ(types[1]["name"], "Dual port serial");
  EXPECT_EQ(types[1]["device_api"], "vfio-pci");
  EXPECT_EQ(types[1]["available_instances"], 1);
  EXPECT_EQ(types[1]["instances"], 1);
  EXPECT_EQ(types[2]["available_instances"], 9);
}

TEST_F(ManagementTest, An_instance_gets_the_UUID_that_was_asked_for) {
  EXPECT_EQ(call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}}),
            Json({{"uuid", uuid(1)}}));
  EXPECT_TRUE(world.bus->find(MdevWorld::uuid(1)));
}

TEST_F(ManagementTest, An_instance_gets_a_UUID_of_its_own_when_none_was_asked_for) {
  const std::string first = call("create", {{"parent", "null"}, {"type", "null-1"}})["uuid"];
  const std::string second = call("create", {{"parent", "null"}, {"type", "null-1"}})["uuid"];
  EXPECT_NE(first, second);
  EXPECT_TRUE(world.bus->find(Uuid::parse(first).value()));
}

TEST_F(ManagementTest, The_owner_is_who_called) {
  call("create", {{"parent", "null"}, {"type", "null-1"}, {"uuid", uuid(1)}});
  EXPECT_EQ(call("show", {{"uuid", uuid(1)}})["owner"],
            (Json{{"uid", 1000}, {"pid", 4711}, {"door", "control"}}));
}

TEST_F(ManagementTest, Errors_of_create_are_the_bus_s) {
  EXPECT_EQ(refused("create", {{"parent", "none"}, {"type", "mtty-1"}}), ENODEV);
  EXPECT_EQ(refused("create", {{"parent", "mtty"}, {"type", "null-1"}}), EINVAL);
  call("create", {{"parent", "null"}, {"type", "null-1"}, {"uuid", uuid(1)}});
  EXPECT_EQ(refused("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}}), EEXIST);
  call("create", {{"parent", "mtty"}, {"type", "mtty-2"}});
  call("create", {{"parent", "mtty"}, {"type", "mtty-2"}});
  EXPECT_EQ(refused("create", {{"parent", "mtty"}, {"type", "mtty-1"}}), ENOSPC);
}

TEST_F(ManagementTest, Instances_are_listed_in_the_order_of_their_UUIDs) {
  for (const unsigned n : {3U, 1U, 2U})
    call("create", {{"parent", "null"}, {"type", "null-1"}, {"uuid", uuid(n)}});
  const auto list = call("list");
  ASSERT_EQ(list.size(), 3U);
  for (unsigned n = 1; n <= 3; ++n) EXPECT_EQ(list[n - 1]["uuid"], uuid(n));
  EXPECT_EQ(list[0]["state"], "active");
  EXPECT_EQ(list[0]["open_files"], 0);
  EXPECT_EQ(list[0]["socket"], "/run/umdev/vfio-user/" + uuid(1) + ".sock");
}

TEST_F(ManagementTest, An_instance_is_shown_with_regions_interrupts_and_users) {
  call("create", {{"parent", "mtty"}, {"type", "mtty-2"}, {"uuid", uuid(1)}});
  const auto shown = call("show", {{"uuid", uuid(1)}});
  EXPECT_EQ(shown["type"], "mtty-2");
  EXPECT_EQ(shown["path"], "/devices/virtual/mtty/mtty/" + uuid(1));
  EXPECT_EQ(shown["vfio_device"], "vfio0");
  EXPECT_EQ(shown["iommu_group"], 0);
  ASSERT_GE(shown["regions"].size(), 3U);
  EXPECT_EQ(shown["regions"][1],
            (Json{{"index", 1}, {"name", "BAR1"}, {"size", 8}, {"flags", {"read", "write"}}}));
  EXPECT_EQ(shown["irqs"][0]["name"], "INTx");
  EXPECT_EQ(shown["irqs"][0]["flags"], Json({"eventfd", "maskable", "automasked"}));
  EXPECT_EQ(shown["sessions"],
            (Json::array({{{"uuid", uuid(1)}, {"pid", 77}, {"open", true}, {"mappings", 3}}})));
}

TEST_F(ManagementTest, An_open_device_is_counted) {
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  const auto session = world.open_instance(MdevWorld::uuid(1));
  EXPECT_EQ(call("list")[0]["open_files"], 1);
}

TEST_F(ManagementTest, What_another_user_made_is_not_taken_away) {
  call("create", {{"parent", "null"}, {"type", "null-1"}, {"uuid", uuid(1)}});
  caller.uid = 1001;
  for (const char* method : {"remove", "stop"})
    for (const char* policy : {"wait", "busy", "force"})
      EXPECT_EQ(refused(method, {{"uuid", uuid(1)}, {"policy", policy}}), EPERM);
  EXPECT_EQ(call("list")[0]["owner"]["uid"], 1000);
  caller.uid = 500;
  EXPECT_EQ(call("remove", {{"uuid", uuid(1)}}), Json({{"uuid", uuid(1)}})) << "the daemon's own user may";
}

TEST_F(ManagementTest, What_another_user_made_is_not_traced) {
  for (unsigned number : {1U, 2U})
    call("create", {{"parent", "null"}, {"type", "null-1"}, {"uuid", uuid(number)}});
  caller.uid = 1001;
  EXPECT_EQ(refused("trace", {{"uuid", uuid(1)}}), EPERM);
  caller.uid = 1000;
  EXPECT_EQ(refused("trace", {{"uuid", uuid(2)}}), ENODEV) << "it has no socket";
  EXPECT_EQ(refused("trace", {{"uuid", uuid(3)}}), ENODEV) << "it is not there";
  EXPECT_EQ(refused("trace", {{"uuid", uuid(1)}}), EOPNOTSUPP) << "this caller takes nothing but answers";
}

TEST_F(ManagementTest, A_definition_is_written_changed_started_and_forgotten) {
  const Json attributes = Json::array({{{"uevent", "change"}}});
  call("define", {{"parent", "mtty"}, {"type", "mtty-2"}, {"uuid", uuid(1)}, {"attrs", attributes}});
  auto definition = call("definitions")[0];
  EXPECT_EQ(definition["attrs"], attributes);
  EXPECT_EQ(definition["start"], "manual");
  EXPECT_EQ(definition["owner"]["uid"], 1000);
  EXPECT_EQ(call("show", {{"uuid", uuid(1)}})["state"], "inactive");
  call("modify", {{"uuid", uuid(1)}, {"start", "auto"}});
  call("start", {{"uuid", uuid(1)}});
  const auto shown = call("show", {{"uuid", uuid(1)}});
  EXPECT_EQ(shown["definition"]["start"], "auto");
  EXPECT_EQ(shown["definition"]["state"], "active");
  call("stop", {{"uuid", uuid(1)}});
  EXPECT_EQ(call("definitions")[0]["state"], "inactive");
  call("undefine", {{"uuid", uuid(1)}});
  EXPECT_EQ(call("definitions"), Json::array());
}

TEST_F(ManagementTest, A_definition_gets_a_UUID_of_its_own_when_none_was_asked_for) {
  const std::string made = call("define", {{"parent", "null"}, {"type", "null-1"}})["uuid"];
  EXPECT_EQ(call("definitions")[0]["uuid"], made);
}

TEST_F(ManagementTest, What_cannot_be_a_definition_is_EINVAL) {
  EXPECT_EQ(refused("define"), EINVAL);
  EXPECT_EQ(refused("define", {{"parent", "null"}, {"type", "null-1"}, {"start", "yes"}}), EINVAL);
  for (const Json& attributes : {Json("text"), Json({{"a", "1"}}), Json::array({{{"../a", "1"}}}), Json(5)})
    EXPECT_EQ(refused("define", {{"parent", "null"}, {"type", "null-1"}, {"attrs", attributes}}), EINVAL);
  EXPECT_EQ(call("definitions"), Json::array());
}

TEST_F(ManagementTest, What_is_unknown_is_ENODEV) {
  for (const char* method : {"show", "remove", "qemu_args"})
    EXPECT_EQ(refused(method, {{"uuid", uuid(9)}}), ENODEV);
}

TEST_F(ManagementTest, Remove_waits_for_the_users_and_others_are_served_meanwhile) {
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  auto session = world.open_instance(MdevWorld::uuid(1));
  const auto removal = begin("remove", {{"uuid", uuid(1)}});
  EXPECT_TRUE(removal->is_null());
  EXPECT_EQ(call("list")[0]["state"], "removing");
  session = {};
  world.host.run();
  EXPECT_EQ((*removal)["result"]["uuid"], uuid(1));
  EXPECT_EQ(call("list"), Json::array());
}

TEST_F(ManagementTest, Remove_with_policy_busy_is_refused_while_it_is_used) {
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  auto session = world.open_instance(MdevWorld::uuid(1));
  EXPECT_EQ(refused("remove", {{"uuid", uuid(1)}, {"policy", "busy"}}), EBUSY);
  session = {};
  world.host.run();
  EXPECT_EQ(call("remove", {{"uuid", uuid(1)}, {"policy", "busy"}})["uuid"], uuid(1));
}

TEST_F(ManagementTest, Remove_with_policy_force_takes_it_away) {
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  const auto session = world.open_instance(MdevWorld::uuid(1));
  const auto removal = begin("remove", {{"uuid", uuid(1)}, {"policy", "force"}});
  world.host.advance(std::chrono::seconds(10));
  EXPECT_EQ((*removal)["result"]["uuid"], uuid(1));
}

TEST_F(ManagementTest, Qemu_arguments_come_as_words_and_as_a_line) {
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  const auto answer = call("qemu_args", {{"uuid", uuid(1)}});
  EXPECT_EQ(answer["arguments"][0], "-device");
  EXPECT_EQ(answer["line"], "-device '" + answer["arguments"][1].get<std::string>() + "'");
}

TEST_F(ManagementTest, Metrics_tell_of_calls_their_time_and_what_was_refused) {
  manage::Metrics metrics;
  Management timed{{.bus = world.bus.get(),
                    .executor = &world.host.executor(),
                    .doors = &doors,
                    .definitions = &definitions,
                    .version = "1.2",
                    .metrics = &metrics,
                    .clock = &world.host.clock()}};
  metrics.add(timed);
  Dispatcher calls{timed};
  Json answer;
  const auto ask = [&](std::string_view method, Json params = Json::object()) {
    calls.handle(request(method, std::move(params)).dump(), caller,
                 [&answer](Result<std::string> text) { answer = Json::parse(*text); });
    world.host.run();
  };
  ask("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  auto session = world.open_instance(MdevWorld::uuid(1));
  ask("remove", {{"uuid", uuid(1)}});
  world.host.advance(std::chrono::seconds(3));
  session = {};
  world.host.run();
  ask("show", {{"uuid", uuid(9)}});
  ask("metrics");
  const test::PrometheusText text(answer["result"].get<std::string>());
  EXPECT_EQ(text.problem(), "");
  EXPECT_EQ(text.value("umdev_control_call_duration_seconds_count", {{"method", "create"}}), 1);
  EXPECT_EQ(text.value("umdev_control_call_duration_seconds_sum", {{"method", "remove"}}), 3);
  EXPECT_EQ(text.value("umdev_control_errors_total", {{"errno", "ENODEV"}}), 1);
  EXPECT_FALSE(text.value("umdev_control_call_duration_seconds_count", {{"method", "list"}}));
  ask("status");
  const Json& told = answer["result"]["metrics"];
  EXPECT_EQ(told[0]["name"], "umdev_control_call_duration_seconds");
  EXPECT_EQ(told[0]["kind"], "histogram");
  const auto& values = told[0]["values"];
  const auto removal = std::ranges::find_if(
      values, [](const Json& value) { return value["labels"] == Json{{"method", "remove"}}; });
  ASSERT_NE(removal, values.end());
  EXPECT_EQ((*removal)["buckets"], (Json::array({{{"le", 4.294967296}, {"count", 1}}})));
  EXPECT_EQ((*removal)["p99"], 4.294967296);
}

TEST_F(ManagementTest, Who_cannot_be_told_anything_cannot_watch) {
  EXPECT_EQ(refused("watch"), EOPNOTSUPP);
}

TEST_F(ManagementTest, Status_tells_counts_sessions_and_what_the_doors_count) {
  call("create", {{"parent", "null"}, {"type", "null-1"}});
  const auto status = call("status");
  EXPECT_EQ(status["version"], "1.2");
  EXPECT_EQ(status["parents"], 2);
  EXPECT_EQ(status["instances"], 1);
  EXPECT_EQ(status["sessions"][0]["pid"], 77);
  EXPECT_EQ(status["memory"]["pins"], 5);
}

TEST_F(ManagementTest, An_instance_moves_out_and_in_by_three_calls) {
  caller.uid = 1000;
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  const auto saved = call("migrate_out", {{"uuid", uuid(1)}});
  EXPECT_EQ(saved["uuid"], uuid(1));
  EXPECT_EQ(refused("migrate_out", {{"uuid", uuid(1)}}), EBUSY);
  EXPECT_EQ(refused("migrate_in", {{"stream", saved["stream"]}}), EEXIST);
  EXPECT_EQ(call("migrate_end", {{"uuid", uuid(1)}, {"outcome", "moved"}})["uuid"], uuid(1));
  EXPECT_EQ(call("list").size(), 0U);
  EXPECT_EQ(call("migrate_in", {{"stream", saved["stream"]}})["uuid"], uuid(1));
  EXPECT_EQ(call("list").size(), 1U);
  EXPECT_EQ(refused("migrate_end", {{"uuid", uuid(1)}, {"outcome", "stays"}}), ESRCH);
}

TEST_F(ManagementTest, Another_users_instance_is_not_moved) {
  caller.uid = 1000;
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  caller.uid = 1001;
  EXPECT_EQ(refused("migrate_out", {{"uuid", uuid(1)}}), EPERM);
  EXPECT_EQ(refused("migrate_end", {{"uuid", uuid(1)}, {"outcome", "moved"}}), EPERM);
}

TEST_F(ManagementTest, The_descriptors_of_a_client_are_for_root_and_the_daemons_own_user) {
  caller.uid = 1000;
  call("create", {{"parent", "mtty"}, {"type", "mtty-1"}, {"uuid", uuid(1)}});
  const Json moves{{"uuid", uuid(1)}, {"client", "moves"}};
  EXPECT_EQ(refused("migrate_out", moves), EOPNOTSUPP) << "there is no way to hand them over";
  caller.attachment = std::make_shared<Attachment>();
  for (const std::uint32_t uid : {1000U, 500U, 0U}) {
    caller.uid = uid;
    const Json saved = call("migrate_out", moves);
    EXPECT_EQ(saved["descriptors"], 0);
    EXPECT_EQ(saved.contains("client_leaves_because"), uid == 1000) << uid;
    call("migrate_end", {{"uuid", uuid(1)}, {"outcome", "stays"}});
  }
}

TEST_F(ManagementTest, A_stream_that_is_none_makes_nothing) {
  EXPECT_EQ(refused("migrate_in", {{"stream", ""}}), EINVAL);
  EXPECT_EQ(refused("migrate_in", {{"stream", "756d6"}}), EINVAL);
  EXPECT_EQ(refused("migrate_in", {{"stream", "not hexadecimal"}}), EINVAL);
  EXPECT_EQ(refused("migrate_out", {{"uuid", uuid(7)}}), ENODEV);
  EXPECT_EQ(call("list").size(), 0U);
}

}  // namespace
}  // namespace umdev::control
