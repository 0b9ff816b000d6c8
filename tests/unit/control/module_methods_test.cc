#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/mdev_world.h"
#include "umdev/control/dispatcher.h"
#include "umdev/control/management.h"
#include "umdev/control/modules.h"

namespace umdev::control {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t own_uid = 500;

class FakeModules final : public Modules {
 public:
  std::vector<kernel::ModuleInfo> modules() const override {
    return {{.name = "mdpy",
             .path = "/x/mdpy.so",
             .api = 0x060100,
             .state = kernel::ModuleState::live,
             .crash = crash,
             .description = "a display",
             .license = "GPL",
             .version = {},
             .parents = {"mdpy"},
             .instances = 2,
             .open_devices = 1,
             .parameters = {{.name = "count", .value = "4", .meaning = "displays"}},
             .unfinished = {}}};
  }
  void add(std::string path, Parameters parameters, Done<std::string> done) override {
    added.emplace_back(std::move(path), std::move(parameters));
    done(std::string("mdpy"));
  }
  void remove(const std::string& name, bool force, Done<> done) override {
    if (name != "mdpy") return done(fail(ENOENT, "no such module"));
    if (!force) return done(fail(EBUSY, "in use"));
    done();
  }

  std::string crash;
  std::vector<std::pair<std::string, Parameters>> added;
};

class ModuleMethods : public testing::Test {
 public:
  Json answer_to(std::string_view method, Json params) {
    Json answer;
    Dispatcher dispatcher(management);
    const Json message{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", std::move(params)}};
    dispatcher.handle(message.dump(), {.uid = uid, .pid = 1},
                      [&](Result<std::string> text) { answer = Json::parse(*text); });
    world.host.run();
    return answer;
  }
  Json call(std::string_view method, Json params = Json::object()) {
    return answer_to(method, std::move(params)).at("result");
  }
  int refused(std::string_view method, Json params = Json::object()) {
    return answer_to(method, std::move(params)).at("error")["data"]["errno"];
  }

  test::MdevWorld world;
  FakeModules modules;
  std::uint32_t uid = own_uid;
  Management management{{.bus = world.bus.get(),
                         .executor = &world.host.executor(),
                         .uid = own_uid,
                         .version = "1",
                         .modules = &modules}};
};

TEST_F(ModuleMethods, a_listing_has_what_is_known_of_each) {
  const Json list = call("modules");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0], Json({{"name", "mdpy"},
                           {"path", "/x/mdpy.so"},
                           {"api", "6.1"},
                           {"state", "live"},
                           {"description", "a display"},
                           {"license", "GPL"},
                           {"version", ""},
                           {"parents", {"mdpy"}},
                           {"instances", 2},
                           {"open_files", 1},
                           {"parameters", {{{"name", "count"}, {"value", "4"}, {"meaning", "displays"}}}}}));
  modules.crash = "read of 83b8: SIGSEGV";
  EXPECT_EQ(call("modules")[0]["crash"], "read of 83b8: SIGSEGV");
}

TEST_F(ModuleMethods, parameters_are_texts_numbers_and_truths) {
  EXPECT_EQ(call("module_add", {{"path", "/x/mdpy.so"}, {"params", {{"a", "b c"}, {"n", -3}, {"y", true}}}}),
            Json({{"name", "mdpy"}}));
  ASSERT_EQ(modules.added.size(), 1U);
  EXPECT_EQ(modules.added[0].first, "/x/mdpy.so");
  EXPECT_EQ(modules.added[0].second, (Modules::Parameters{{"a", "b c"}, {"n", "-3"}, {"y", "true"}}));
}

TEST_F(ModuleMethods, what_is_no_parameter_is_refused) {
  for (const Json& params : {Json(3), Json::array(), Json({{"a", nullptr}}), Json({{"a", {1}}})})
    EXPECT_EQ(refused("module_add", {{"path", "/x"}, {"params", params}}), EINVAL) << params;
  EXPECT_TRUE(modules.added.empty());
}

TEST_F(ModuleMethods, a_path_is_absolute_since_the_daemon_stands_elsewhere) {
  EXPECT_EQ(refused("module_add", {{"path", "mdpy.so"}}), EINVAL);
}

TEST_F(ModuleMethods, removing_is_refused_or_forced) {
  EXPECT_EQ(refused("module_remove", {{"name", "mdpy"}}), EBUSY);
  EXPECT_EQ(refused("module_remove", {{"name", "mdpy"}, {"policy", "busy"}}), EBUSY);
  EXPECT_EQ(refused("module_remove", {{"name", "mtty"}, {"policy", "force"}}), ENOENT);
  EXPECT_EQ(call("module_remove", {{"name", "mdpy"}, {"policy", "force"}}), Json({{"name", "mdpy"}}));
}

TEST_F(ModuleMethods, only_root_and_the_daemons_own_user_decide_what_is_loaded) {
  uid = 501;
  EXPECT_EQ(refused("module_add", {{"path", "/x"}}), EPERM);
  EXPECT_EQ(refused("module_remove", {{"name", "mdpy"}, {"policy", "force"}}), EPERM);
  EXPECT_EQ(call("modules").size(), 1U);
  uid = 0;
  EXPECT_EQ(call("module_add", {{"path", "/x"}}), Json({{"name", "mdpy"}}));
}

}  // namespace
}  // namespace umdev::control
