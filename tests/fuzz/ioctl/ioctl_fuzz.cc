// A program that makes any calls of the VFIO and iommufd user API, with any arguments, on files that it opens
// and closes in any order, while its devices pin its memory. Nothing it does may reach an assertion; when it
// has closed everything, its devices can go.
//
// The input: whose DMA the devices do, then steps. The argument of a call is words at one of a few places,
// some of which run into a page that is read-only or not there.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/support/core_world.h"
#include "tests/support/fake_caller.h"
#include "tests/support/fuzz/step_reader.h"
#include "umdev/abi/iommufd.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/nodes.h"
#include "umdev/support/assert.h"

namespace umdev::ioctl {
namespace {

using test::FakeCaller;
using test::StepReader;

class Program {
 public:
  explicit Program(StepReader& reader)
      : reader_(reader), nodes_(*world_.core, reader.chance() ? Profile::linux_6_1 : Profile::linux_7_2) {
    caller_->add_memory(writable, 2 * FakeCaller::page);
    caller_->add_memory(read_only, FakeCaller::page, /*writable=*/false);
    caller_->rights() = {.sys_resource = reader.chance(), .memlock_limit = 64 * FakeCaller::page};
    for (const char* name : {"d0", "d1"}) devices_.push_back(world_.add_device(name));
  }

  ~Program() {
    pins_.clear();
    for (const int fd : fds_) caller_->close_fd(fd);
    world_.host.run();
    for (auto& device : devices_) {
      const test::Ending ending(device.registration);
      UMDEV_ASSERT(ending.ended(), "a device is held by nobody's file");
    }
  }

  void run() {
    constexpr int steps_max = 200;
    for (int step = 0; step < steps_max && !reader_.at_end(); ++step) take_step();
  }

 private:
  static constexpr UserAddress writable = 0x10000;
  static constexpr UserAddress read_only = 0x12000;

  void take_step() {
    switch (reader_.below(8)) {
      case 0:
        return open();
      case 1:
        return close();
      case 2:
        return access();
      case 3:
        return pin();
      default:
        return call();
    }
  }

  void add(std::shared_ptr<File> file) {
    constexpr std::size_t files_max = 24;
    if (file && fds_.size() < files_max) fds_.push_back(caller_->add_file(std::move(file)));
  }

  void open() {
    const auto& device = devices_[reader_.below(devices_.size())];
    switch (reader_.below(4)) {
      case 0:
        return add(nodes_.open_container({}));
      case 1:
        return add(nodes_.open_group(device.group, {}).value_or(nullptr));
      case 2:
        return add(nodes_.open_device(device.device->index(), {}).value_or(nullptr));
      default:
        return add(nodes_.open_iommufd({}).value_or(nullptr));
    }
  }

  void close() {
    if (fds_.empty()) return;
    const std::size_t which = reader_.below(fds_.size());
    caller_->close_fd(fds_[which]);
    fds_.erase(fds_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  std::shared_ptr<File> some_file() {
    return fds_.empty() ? nullptr : caller_->file(fds_[reader_.below(fds_.size())]).value_or(nullptr);
  }

  void access() {
    const auto file = some_file();
    if (!file) return;
    const std::uint64_t offset = (std::uint64_t{reader_.byte()} << 40) + reader_.number(1);
    auto buffer = std::make_shared<std::vector<std::byte>>(reader_.byte());
    if (reader_.chance())
      file->read(offset, *buffer, buffer, [](Result<std::size_t>) {});
    else
      file->write(offset, *buffer, buffer, [](Result<std::size_t>) {});
    (void)file->mmap(
        {.offset = offset, .length = reader_.number(FakeCaller::page), .shared = reader_.chance()});
  }

  // A device pins, or drops what it has pinned.
  void pin() {
    const auto& device = devices_[reader_.below(devices_.size())];
    if (reader_.chance()) return pins_.clear();
    if (device.device->open_count() == 0 || device.script->user == nullptr) return;
    const iommu::IovaRange range{.iova = reader_.number(FakeCaller::page),
                                 .size = reader_.number(FakeCaller::page)};
    auto pinned = device.script->user->pin(range, iommu::Access::read);
    if (pinned) pins_.push_back(std::move(*pinned));
  }

  // A word of an argument: a descriptor that is open, an address, a small number, or any.
  std::uint32_t word() {
    switch (reader_.below(6)) {
      case 0:
        return fds_.empty() ? 77 : static_cast<std::uint32_t>(fds_[reader_.below(fds_.size())]);
      case 1:
        return static_cast<std::uint32_t>(writable + 16 * std::uint64_t{reader_.byte()});
      case 2:
        return reader_.byte();
      case 3:
        return 0;
      default:
        return static_cast<std::uint32_t>(reader_.number(FakeCaller::page));
    }
  }

  UserAddress argument() {
    constexpr std::array<UserAddress, 6> places{writable,       writable + 0x100, read_only - 20,
                                                read_only - 32, read_only,        read_only + 4096 - 16};
    const UserAddress at = places.at(reader_.below(places.size()));
    const std::size_t words = reader_.below(16);
    for (std::size_t i = 0; i < words; ++i)
      if (caller_->at(at + 4 * i, 4) != nullptr) caller_->put(at + 4 * i, word());
    return at;
  }

  void name_device(UserAddress at) {
    const char name[3] = {'d', reader_.chance() ? '0' : '1', 0};
    if (caller_->at(at, sizeof name) != nullptr) std::memcpy(caller_->at(at, sizeof name), name, sizeof name);
  }

  void call() {
    const auto file = some_file();
    if (!file) return;
    const bool is_plain = reader_.below(16) != 0;
    const std::uint32_t command =
        is_plain ? 0x3b64 + static_cast<std::uint32_t>(reader_.below(0x30)) : reader_.byte() * 0x101U;
    UserAddress at = argument();
    if (command == abi::vfio_group_get_device_fd) name_device(at);
    const bool is_number = command == abi::vfio_set_iommu || command == abi::vfio_check_extension;
    if (is_number) at = reader_.below(12);
    file->ioctl(command, at, caller_, [this](Result<Answer> answer) {
      if (answer) add(std::move(answer->file));
    });
  }

  StepReader& reader_;
  test::CoreWorld world_;
  Nodes nodes_;
  const std::shared_ptr<FakeCaller> caller_ = std::make_shared<FakeCaller>();
  std::vector<test::CoreWorld::Registered> devices_;
  std::vector<int> fds_;
  std::vector<iommu::DmaPin> pins_;
};

}  // namespace
}  // namespace umdev::ioctl

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::test::StepReader reader(std::as_bytes(std::span(data, size)));
  umdev::ioctl::Program(reader).run();
  return 0;
}
