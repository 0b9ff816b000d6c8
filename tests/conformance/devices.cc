#include "tests/conformance/devices.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "drivers/ioat/parent.h"
#include "drivers/mtty/parent.h"
#include "drivers/null/parent.h"
#include "tests/module/gauge/gauge.h"
#include "tests/support/module_host.h"
#include "umdev/os/event_fd.h"

namespace umdev::conformance {
namespace {

template <typename Driver>
std::unique_ptr<mdev::ParentDriver> make() {
  return std::make_unique<Driver>();
}

}  // namespace

const std::vector<Subject> subjects = {
    {"ioat", "ioat-1", [] { return ioat::IoatParent::spec(); }, make<ioat::IoatParent>},
    {"ioat", "ioat-4", [] { return ioat::IoatParent::spec(); }, make<ioat::IoatParent>},
    {"ioat", "ioat-sriov", [] { return ioat::IoatParent::spec(); }, make<ioat::IoatParent>},
    {"mtty", "mtty-1", [] { return mtty::MttyParent::spec(); }, make<mtty::MttyParent>},
    {"mtty", "mtty-2", [] { return mtty::MttyParent::spec(); }, make<mtty::MttyParent>},
    {"null", "null-1", [] { return null::NullParent::spec(); }, make<null::NullParent>},
    // One driver of the tests, native and as a module.
    {"gauge", "gauge-1", gauge::GaugeParent::spec, make<gauge::GaugeParent>},
    {.parent = "gauge", .type = "gauge-1", .module = "gauge"},
    // What `umdev module new` writes, in C and in C++.
    {.parent = "card", .type = "card-1", .module = "card"},
    {.parent = "card_cxx", .type = "card_cxx-1", .module = "card_cxx"},
    // The kernel's samples, one vintage of its interface a release; "backports" is the newest that Debian
    // has.
    {.parent = "mtty", .type = "mtty-1", .module = "mtty-linux-5.10"},
    {.parent = "mtty", .type = "mtty-2", .module = "mtty-linux-5.10"},
    {.parent = "mtty", .type = "mtty-2", .module = "mtty-linux-6.1"},
    {.parent = "mtty", .type = "mtty-2", .module = "mtty-linux-6.12"},
    {.parent = "mtty", .type = "mtty-2", .module = "mtty-linux-backports"},
    {.parent = "mdpy", .type = "mdpy-vga", .module = "mdpy-linux-5.10"},
    {.parent = "mdpy", .type = "mdpy-vga", .module = "mdpy-linux-6.1"},
    {.parent = "mdpy", .type = "mdpy-vga", .module = "mdpy-linux-6.12"},
    {.parent = "mdpy", .type = "mdpy-vga", .module = "mdpy-linux-backports"},
    {.parent = "mbochs", .type = "mbochs-small", .module = "mbochs-linux-5.10"},
    {.parent = "mbochs", .type = "mbochs-small", .module = "mbochs-linux-6.1"},
    {.parent = "mbochs", .type = "mbochs-small", .module = "mbochs-linux-6.12"},
    {.parent = "mbochs", .type = "mbochs-small", .module = "mbochs-linux-backports"},
};

std::string name_of(const testing::TestParamInfo<Subject>& info) {
  std::string name = info.param.type;
  if (info.param.module != nullptr) name += std::string("_of_") + info.param.module;
  std::ranges::replace_if(name, [](char letter) { return letter == '-' || letter == '.'; }, '_');
  return name;
}

void Conformance::SetUp() {
  const Subject& subject = GetParam();
  if (subject.module == nullptr)
    parent = world.register_parent(subject.parent, subject.spec(), subject.driver());
  else if (!load_module(subject.module))
    return;
  ASSERT_EQ(create(uuid), 0);
  session = world.open_instance(uuid);
  expect_broken_rule();
}

void Conformance::TearDown() {
  close();
  judge_broken_rule();
}

bool Conformance::load_module(const std::string& name) {
  const std::filesystem::path folder = UMDEV_CONFORMANCE_MODULES;
  if (!exists(folder / (name + ".so"))) {
    std::ifstream file(folder / (name + ".reason"));
    const std::string reason(std::istreambuf_iterator<char>(file), {});
    const auto skip = [&] {
      GTEST_SKIP() << (reason.empty() ? "make it with tests/conformance/make_samples.py" : reason);
    };
    skip();
    return false;
  }
  modules = std::make_shared<test::ModuleHost>(world);
  const std::string refusal = modules->add(folder / (name + ".so"));
  EXPECT_EQ(refusal, "");
  return refusal.empty();
}

// A rule that the device breaks is tested all the same: it must not begin to keep it unnoticed.
void Conformance::expect_broken_rule() {
  const std::string device = GetParam().module != nullptr ? GetParam().module : GetParam().parent;
  const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
  broken_ = find_broken_rule(device, test.substr(0, test.find('/')));
  if (broken_ == nullptr) return;
  reporter_ = std::make_unique<testing::ScopedFakeTestPartResultReporter>(
      testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &failures_);
}

void Conformance::judge_broken_rule() {
  if (!reporter_) return;
  reporter_.reset();
  bool is_broken = false;
  for (int i = 0; i < failures_.size(); ++i) is_broken |= failures_.GetTestPartResult(i).failed();
  if (is_broken) GTEST_SKIP() << "the rule is broken, as expected: it " << broken_->reason;
  if (broken_->always)
    ADD_FAILURE() << "the rule is kept: take it out of broken_rules.cc: " << broken_->reason;
}

int Conformance::create(const Uuid& of) {
  test::Later<> created;
  world.bus->create(
      {.parent = GetParam().parent, .type = GetParam().type, .uuid = of, .owner = {}, .attributes = {}},
      created.done());
  run_until([&] { return created.is_done(); });
  return created.error();
}

void Conformance::begin_removal(RemovePolicy policy) {
  world.bus->remove(uuid, policy, removed.done());
  world.host.run();
}

void Conformance::close() {
  session = {};
  world.host.run();
}

void Conformance::reopen() {
  close();
  session = world.open_instance(uuid);
}

int Conformance::read(std::uint32_t region, std::uint64_t offset, std::size_t size) {
  return test::error_of(test::read_file(file(), region, offset, size));
}

int Conformance::write(std::uint32_t region, std::uint64_t offset, std::size_t size) {
  return test::error_of(test::write_file(file(), region, offset, std::vector<std::byte>(size)));
}

std::vector<std::byte> Conformance::config() {
  const std::uint32_t index = abi::vfio_pci_config_region_index;
  return test::read_file(file(), index, 0, region_size(index)).value();
}

int Conformance::reset() {
  test::Outcome<> outcome;
  file().reset(outcome.done());
  world.host.run();
  return outcome.error();
}

int Conformance::set_irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t start,
                          std::uint32_t count) {
  // More than any device here has: a request for more fails before its data is looked at.
  constexpr std::uint32_t data_max = 4096;
  const std::vector<std::byte> bools(std::min(count, data_max), std::byte{1});
  std::vector<os::UniqueFd> eventfds;
  if ((flags & abi::vfio_irq_set_data_eventfd) != 0) {
    const os::EventFd event = os::EventFd::create().value();
    for (std::uint32_t vector = 0; vector < std::min(count, data_max); ++vector)
      eventfds.push_back(event.dup().value());
  }
  vfio::IrqRequest request{
      .flags = flags, .index = index, .start = start, .count = count, .bools = bools, .eventfds = eventfds};
  return test::error_of(file().set_irqs(request));
}

int Conformance::set_empty_eventfds(std::uint32_t index, std::uint32_t start, std::uint32_t count) {
  std::vector<os::UniqueFd> eventfds(count);
  vfio::IrqRequest request{.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                           .index = index,
                           .start = start,
                           .count = count,
                           .eventfds = eventfds};
  return test::error_of(file().set_irqs(request));
}

std::vector<std::uint32_t> Conformance::indexes_with_vectors() {
  std::vector<std::uint32_t> indexes;
  for (std::uint32_t index = 0; index < file().info()->num_irqs; ++index)
    if (const auto info = file().irq_info(index); info && info->count > 0) indexes.push_back(index);
  return indexes;
}

}  // namespace umdev::conformance
