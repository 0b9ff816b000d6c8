#include "umdev/kernel/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/mdev_world.h"
#include "umdev/os/thread_pool.h"

namespace umdev::kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string page = UMDEV_TEST_MODULES "/page.so";

// A world with a loader; two of them live side by side.
class LoadingWorld {
 public:
  ~LoadingWorld() {
    in_the_background([this] { loader.end_all(); });
  }

  // "" when it is loaded.
  std::string add(const std::string& path, Loader::Parameters parameters = {}) {
    std::string text;
    in_the_background([&] {
      const auto name = loader.add(path, parameters);
      text = name ? "" : std::string(errno_name(name.error().error.code)) + ": " + name.error().text;
    });
    return text;
  }
  int remove(const std::string& name, bool forced = false) {
    Result<> result;
    in_the_background([&] { result = loader.remove(name, forced); });
    return result ? 0 : result.error().code;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const ModuleInfo& info : loader.list()) names.push_back(info.name);
    return names;
  }

  test::MdevWorld world;
  std::unique_ptr<os::ThreadPool> threads = os::ThreadPool::create("module").value();
  World kernel{
      {.core = world.core.get(), .bus = world.bus.get(), .host = &world.host, .threads = threads.get()}};
  Loader loader{kernel};

 private:
  // A loader waits for what this thread runs.
  template <typename Call>
  void in_the_background(Call call) {
    std::atomic<bool> over = false;
    std::thread thread([&] {
      call();
      over = true;
    });
    while (!over) {
      world.host.run();
      std::this_thread::yield();
    }
    thread.join();
  }
};

TEST(Loader, what_is_loaded_is_listed_with_what_it_says_of_itself) {
  LoadingWorld one;
  EXPECT_EQ(one.add(page, {{"instances", "3"}}), "");
  const auto list = one.loader.list();
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].name, "page");
  EXPECT_EQ(list[0].path, page);
  EXPECT_EQ(list[0].state, ModuleState::live);
  EXPECT_EQ(list[0].api, 0x060100U);
  EXPECT_THAT(list[0].parents, ElementsAre("page"));
  EXPECT_EQ(list[0].parameters[0].name, "instances");
  EXPECT_EQ(list[0].parameters[0].value, "3");
  EXPECT_EQ(list[0].parameters[0].meaning, "how many devices there may be");
}

TEST(Loader, one_of_a_name_at_a_time) {
  LoadingWorld one;
  EXPECT_EQ(one.add(page), "");
  EXPECT_THAT(one.add(page), HasSubstr("EEXIST"));
  EXPECT_THAT(one.names(), ElementsAre("page"));
  EXPECT_EQ(one.remove("page"), 0);
  EXPECT_EQ(one.remove("page"), ENOENT);
  EXPECT_EQ(one.add(page), "");
}

TEST(Loader, a_parameter_that_does_not_fit_leaves_nothing_loaded) {
  LoadingWorld one;
  EXPECT_THAT(one.add(page, {{"instances", "many"}}), HasSubstr("instances=many"));
  EXPECT_THAT(one.add(page, {{"colour", "red"}}), HasSubstr("ENOENT"));
  EXPECT_THAT(one.names(), ElementsAre());
  EXPECT_EQ(one.add(page), "");
}

TEST(Loader, a_beginning_that_fails_leaves_nothing_loaded) {
  LoadingWorld one;
  EXPECT_NE(one.add(page, {{"fail_at", "1"}}), "");
  EXPECT_THAT(one.names(), ElementsAre());
  EXPECT_EQ(one.add(page), "");
}

TEST(Loader, what_is_no_module_is_told) {
  LoadingWorld one;
  EXPECT_THAT(one.add("/nonexistent.so"), HasSubstr("ENOENT"));
  EXPECT_THAT(one.add("/proc/self/exe"), HasSubstr("ENOEXEC"));
}

TEST(Loader, two_worlds_have_modules_of_one_file_each_with_variables_of_its_own) {
  LoadingWorld one;
  LoadingWorld other;
  EXPECT_EQ(one.add(page, {{"instances", "1"}}), "");
  EXPECT_EQ(other.add(page, {{"instances", "2"}}), "");
  EXPECT_EQ(one.loader.list()[0].parameters[0].value, "1");
  EXPECT_EQ(other.loader.list()[0].parameters[0].value, "2");
  EXPECT_EQ(one.remove("page"), 0);
  EXPECT_THAT(other.names(), ElementsAre("page"));
}

}  // namespace
}  // namespace umdev::kernel
