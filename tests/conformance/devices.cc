#include "tests/conformance/devices.h"

#include <algorithm>

#include "drivers/ioat/parent.h"
#include "drivers/mtty/parent.h"
#include "drivers/null/parent.h"
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
    {"mtty", "mtty-1", [] { return mtty::MttyParent::spec(); }, make<mtty::MttyParent>},
    {"mtty", "mtty-2", [] { return mtty::MttyParent::spec(); }, make<mtty::MttyParent>},
    {"null", "null-1", [] { return null::NullParent::spec(); }, make<null::NullParent>},
};

std::string name_of(const testing::TestParamInfo<Subject>& info) {
  std::string name = info.param.type;
  std::ranges::replace(name, '-', '_');
  return name;
}

Conformance::Conformance() {
  const Subject& subject = GetParam();
  parent = world.register_parent(subject.parent, subject.spec(), subject.driver());
  EXPECT_EQ(world.create(subject.parent, subject.type, uuid), 0);
  session = world.open_instance(uuid);
}

Conformance::~Conformance() {
  close();
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
