// The devices that the suite runs against, and an instance of one of them that is open.
#pragma once

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tests/conformance/broken_rules.h"
#include "tests/support/later.h"
#include "tests/support/mdev_world.h"
#include "tests/support/run_until.h"

namespace umdev::test {
class ModuleHost;
}

namespace umdev::conformance {

// A new device is one row in devices.cc: of a driver of ours, or of a module.
struct Subject {
  const char* parent;  // and the class of its device
  const char* type;    // "mtty-2"
  mdev::ParentSpec (*spec)() = nullptr;
  std::unique_ptr<mdev::ParentDriver> (*driver)() = nullptr;
  // "mtty-linux-6.1" for the module of that name in the folder of the test's modules. It may be missing:
  // then mtty-linux-6.1.reason says why.
  const char* module = nullptr;

  friend std::ostream& operator<<(std::ostream& out, const Subject& subject) { return out << subject.type; }
};

extern const std::vector<Subject> subjects;

// The part of a test's name that says which device.
std::string name_of(const testing::TestParamInfo<Subject>& info);

// Each test gets a device of its own, created through the mdev bus and opened as a VFIO user does it.
class Conformance : public testing::TestWithParam<Subject> {
 public:
  void SetUp() override;
  void TearDown() override;

  // Closes the device and opens it again.
  void reopen();
  void close();

  vfio::DeviceFile& file() { return *session.device; }
  std::uint64_t region_size(std::uint32_t index) { return file().region_info(index).value().size; }
  std::uint32_t region_flags(std::uint32_t index) { return file().region_info(index).value().flags; }
  bool is_pci() { return (file().info()->flags & abi::vfio_device_flags_pci) != 0; }

  // Errno, 0 for success.
  int read(std::uint32_t region, std::uint64_t offset, std::size_t size);
  int write(std::uint32_t region, std::uint64_t offset, std::size_t size);
  // Each byte of a region that reads change nothing in.
  std::vector<std::byte> config();
  int reset();
  // SET_IRQS; eventfds are made up, and all the same one.
  int set_irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count);
  // The same with -1 for each eventfd.
  int set_empty_eventfds(std::uint32_t index, std::uint32_t start, std::uint32_t count);
  std::vector<std::uint32_t> indexes_with_vectors();

  // Creations and removals of a module end on other threads.
  int create(const Uuid& of);
  void begin_removal(RemovePolicy policy);
  template <typename Condition>
  bool run_until(Condition condition) {
    return test::run_until(world, condition);
  }

  test::MdevWorld world;
  Registration parent;
  std::shared_ptr<test::ModuleHost> modules;
  test::Later<> removed;
  const Uuid uuid = test::MdevWorld::uuid(1);
  test::MdevWorld::Session session;

 private:
  bool load_module(const std::string& name);
  void expect_broken_rule();
  void judge_broken_rule();

  // While a rule is tested that the device is known to break: its failures.
  const BrokenRule* broken_ = nullptr;
  testing::TestPartResultArray failures_;
  std::unique_ptr<testing::ScopedFakeTestPartResultReporter> reporter_;
};

}  // namespace umdev::conformance
