// Modules of C sources of ours, loaded into a world of their own.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "tests/support/leaks_on_purpose.h"
#include "tests/support/mdev_world.h"
#include "umdev/abi/vfio.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_file.h"
#include "umdev/os/thread_pool.h"

namespace umdev::kernel {

class ModuleTest : public testing::Test {
 public:
  ModuleTest() = default;
  explicit ModuleTest(const test::CoreWorld::Options& options) : world(options) {}
  void TearDown() override {
    end_others();
    if (module_ && module_->state() == Module::State::running) {
      EXPECT_EQ(unload(/*forced=*/true), 0);
    }
  }

  // Loads NAME.so of modules/; the errno of its description.
  int load(const std::string& name) {
    object_ = open_object(name);
    auto created = Module::create(kernel, description_of(object_));
    if (!created) return created.error().code;
    module_ = std::move(*created);
    return 0;
  }
  // The same as the daemon does it: what crashes in the module ends the call only.
  int load_guarded(const std::string& name) {
    auto opened = ModuleFile::open(std::string(UMDEV_TEST_MODULES "/") + name + ".so");
    if (!opened) return opened.error().error.code;
    file_ = std::move(*opened);
    file_->keep();
    auto created = Module::create(kernel, file_->object());
    if (!created) return created.error().code;
    module_ = std::move(*created);
    return module_->guard(file_->code()) ? 0 : ENOTSUP;
  }
  Module& module() { return *module_; }
  // As if nothing had been loaded; nothing runs.
  void reset() {
    module_.reset();
    object_.reset();
  }
  // module_init() and module_exit() on a thread of their own, as a loader would: they wait for what this
  // thread runs.
  int init() {
    return on_a_thread([this] {
      std::optional<test::LeaksOnPurpose> what_it_leaves;
      if (leaves_memory) what_it_leaves.emplace();
      return module_->init();
    });
  }
  // The module, as it is written, never frees what it begins with.
  bool leaves_memory = false;
  int unload(bool forced = false) {
    return on_a_thread([this, forced] { return module_->exit(forced); });
  }
  int insmod(const std::string& name) {
    if (const int error = load(name); error != 0) return error;
    return init();
  }

  // A second module beside it, which goes before it.
  int insmod_also(const std::string& name) {
    auto object = open_object(name);
    auto created = Module::create(kernel, description_of(object));
    if (!created) return created.error().code;
    others_.push_back({.object = std::move(object), .module = std::move(*created)});
    return on_a_thread([this] { return others_.back().module->init(); });
  }

  void end_others() {
    for (; !others_.empty(); others_.pop_back())
      if (Module& other = *others_.back().module; other.state() == Module::State::running) {
        EXPECT_EQ(on_a_thread([&] { return other.exit(/*forced=*/true); }), 0);
      }
  }

  // Creations and removals end on other threads.
  int create(unsigned n, const std::string& parent, const std::string& type) {
    return wait_for_end([&](Done<> done) {
      world.bus->create(
          {.parent = parent, .type = type, .uuid = test::MdevWorld::uuid(n), .owner = {}, .attributes = {}},
          std::move(done));
    });
  }
  int remove(unsigned n, RemovePolicy policy = RemovePolicy::wait) {
    return wait_for_end(
        [&](Done<> done) { world.bus->remove(test::MdevWorld::uuid(n), policy, std::move(done)); });
  }
  std::string show(const std::string& path) {
    auto text = world.tree.read(path);
    return text ? *text : "errno " + std::string(errno_name(text.error().code));
  }
  int store(const std::string& path, const std::string& text) {
    return wait_for_end<std::size_t>(
        [&](Done<std::size_t> done) { world.tree.write(path, text, std::move(done)); });
  }

  // Runs the world until `condition` holds; false after ten seconds.
  template <typename Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      world.host.run();
      std::this_thread::yield();
    }
    return true;
  }
  // What completes sometime.
  template <typename T = void, typename Begin>
  Result<T> wait_for_result(Begin begin) {
    struct Ending {
      std::atomic<bool> over = false;
      Result<T> result = fail(ETIMEDOUT, "the test waits no longer");
    };
    auto ending = std::make_shared<Ending>();
    begin(Done<T>([ending](Result<T> result) {
      ending->result = std::move(result);
      ending->over = true;
    }));
    if (!run_until([&] { return ending->over.load(); })) return fail(ETIMEDOUT, "the test waits no longer");
    return std::move(ending->result);
  }
  // Its errno.
  template <typename T = void, typename Begin>
  int wait_for_end(Begin begin) {
    return test::error_of(wait_for_result<T>(std::move(begin)));
  }

  test::MdevWorld world;

 private:
  template <typename Call>
  int on_a_thread(Call call) {
    std::atomic<bool> over = false;
    Result<> result;
    std::thread thread([&] {
      result = call();
      over = true;
    });
    const bool ended = run_until([&] { return over.load(); });
    EXPECT_TRUE(ended) << "a module does not come back";
    thread.join();
    return result ? 0 : result.error().code;
  }

  struct Close {
    void operator()(void* object) const { ::dlclose(object); }
  };
  using Object = std::unique_ptr<void, Close>;
  struct Other {
    Object object;
    std::unique_ptr<Module> module;
  };
  static Object open_object(const std::string& name) {
    Object object(
        ::dlopen((std::string(UMDEV_TEST_MODULES "/") + name + ".so").c_str(), RTLD_NOW | RTLD_LOCAL));
    if (!object) ADD_FAILURE() << ::dlerror();
    return object;
  }
  static const ::umdev_module& description_of(const Object& object) {
    return *static_cast<const ::umdev_module*>(::dlsym(object.get(), UMDEV_MODULE_SYMBOL));
  }
  std::unique_ptr<os::ThreadPool> threads_ = os::ThreadPool::create("module").value();

 public:
  World kernel{
      {.core = world.core.get(), .bus = world.bus.get(), .host = &world.host, .threads = threads_.get()}};

 private:
  Object object_;
  std::unique_ptr<ModuleFile> file_;
  std::unique_ptr<Module> module_;
  std::vector<Other> others_;
};

// Of a device that is open.
class OpenDeviceTest : public ModuleTest {
 public:
  static constexpr std::uint32_t get = abi::vfio_device_feature_get;
  static constexpr std::uint32_t set = abi::vfio_device_feature_set;
  static constexpr std::uint32_t probe = abi::vfio_device_feature_probe;

  void TearDown() override {
    session = {};
    ModuleTest::TearDown();
  }
  // VFIO_DEVICE_FEATURE: its errno; what a GET answers is in `answer`.
  int feature(std::uint32_t flags, const std::vector<std::byte>& data = {}, std::uint64_t room = 4096) {
    auto result = wait_for_result<vfio::FeatureAnswer>([&](Done<vfio::FeatureAnswer> done) {
      session.device->feature({.flags = flags, .data = data, .room = room}, std::move(done));
    });
    if (result) answer = std::move(result->data);
    return test::error_of(result);
  }

  test::CoreWorld::Session session;
  std::vector<std::byte> answer;
};

}  // namespace umdev::kernel
