// Modules in the world of a test: their loader, and the threads on which they wait.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/mdev_world.h"
#include "tests/support/run_until.h"
#include "umdev/kernel/loader.h"
#include "umdev/os/thread_pool.h"

namespace umdev::test {

// The world outlives it; no device of a module is open when it is destroyed.
class ModuleHost {
 public:
  explicit ModuleHost(MdevWorld& world) : world_(world) {}
  ~ModuleHost() {
    on_a_thread([this] { loader_.end_all(); });
  }
  ModuleHost(const ModuleHost&) = delete;
  ModuleHost& operator=(const ModuleHost&) = delete;

  // Why the module could not be loaded; empty when it is.
  std::string add(const std::string& path, const kernel::Loader::Parameters& parameters = {}) {
    std::string refusal;
    on_a_thread([&] {
      if (const auto name = loader_.add(path, parameters); !name) refusal = name.error().text;
    });
    return refusal;
  }
  kernel::Loader& loader() { return loader_; }

 private:
  // A loader waits for what the test's own thread runs.
  template <typename Call>
  void on_a_thread(Call call) {
    std::atomic<bool> over = false;
    std::thread thread([&] {
      call();
      over = true;
    });
    EXPECT_TRUE(run_until(world_, [&] { return over.load(); })) << "a module does not come back";
    thread.join();
  }

  MdevWorld& world_;
  const std::unique_ptr<os::ThreadPool> threads_ = os::ThreadPool::create("module").value();
  kernel::World kernel_{
      {.core = world_.core.get(), .bus = world_.bus.get(), .host = &world_.host, .threads = threads_.get()}};
  kernel::Loader loader_{kernel_};
};

}  // namespace umdev::test
