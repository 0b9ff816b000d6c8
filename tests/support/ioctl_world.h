// The user API over a core, in one process: nodes to open, a caller with memory, calls that answer as a
// kernel does.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "tests/support/core_world.h"
#include "tests/support/fake_caller.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/nodes.h"

namespace umdev::test {

class IoctlWorld {
 public:
  // Memory that the caller has: pages for arguments, a buffer for DMA, a page that it may only read.
  static constexpr ioctl::UserAddress arguments = 0x10000;
  static constexpr ioctl::UserAddress buffer = 0x100000;
  static constexpr std::uint64_t buffer_size = 16 * FakeCaller::page;
  static constexpr ioctl::UserAddress read_only = 0x200000;
  static constexpr ioctl::UserAddress nowhere = 0x666000;

  explicit IoctlWorld(ioctl::Profile profile = ioctl::Profile::linux_7_2, CoreWorld::Options options = {})
      : core(options), nodes(*core.core, profile) {
    caller->add_memory(arguments, 4 * FakeCaller::page);
    caller->add_memory(buffer, buffer_size);
    caller->add_memory(read_only, FakeCaller::page, /*writable=*/false);
  }

  using FilePtr = std::shared_ptr<ioctl::File>;

  // A call that has not completed yet is EINPROGRESS; `last` then has its answer when it is there.
  long call(const FilePtr& file, std::uint32_t command, std::uint64_t argument = 0) {
    return call_as(caller, file, command, argument);
  }
  long call_as(const std::shared_ptr<FakeCaller>& who, const FilePtr& file, std::uint32_t command,
               std::uint64_t argument = 0) {
    last = std::make_shared<std::optional<Result<ioctl::Answer>>>();
    file->ioctl(command, argument, who,
                [slot = last](Result<ioctl::Answer> answer) { *slot = std::move(answer); });
    return outcome();
  }
  // What the last call answered: its value, or minus the errno.
  long outcome() const {
    if (!*last) return -EINPROGRESS;
    return **last ? (**last)->value : -(**last).error().code;
  }
  // The file that the last call made.
  FilePtr made() const { return *last && **last ? (**last)->file : nullptr; }

  // Puts a structure where arguments are, and calls with its address.
  template <typename T>
  long call_with(const FilePtr& file, std::uint32_t command, const T& argument) {
    return call(file, command, caller->put(arguments, argument));
  }
  template <typename T>
  T argument() {
    return caller->get<T>(arguments);
  }

  // What every VFIO program does. The container has the type1v2 driver.
  struct Opened {
    FilePtr container;
    FilePtr group;
    FilePtr device;
  };
  Opened open(const CoreWorld::Registered& device, std::uint32_t type = abi::vfio_type1v2_iommu) {
    Opened opened{.container = nodes.open_container({}), .group = nodes.open_group(device.group, {}).value()};
    const int fd = caller->add_file(opened.container);
    EXPECT_EQ(call_with(opened.group, abi::vfio_group_set_container, fd), 0);
    caller->close_fd(fd);
    EXPECT_EQ(call(opened.container, abi::vfio_set_iommu, type), 0);
    EXPECT_EQ(get_device(opened.group, device.parent->name()), 0);
    opened.device = made();
    return opened;
  }
  // VFIO_GROUP_GET_DEVICE_FD: the file is made().
  long get_device(const FilePtr& group, const std::string& name) {
    std::memcpy(caller->at(arguments, name.size() + 1), name.c_str(), name.size() + 1);
    return call(group, abi::vfio_group_get_device_fd, arguments);
  }

  CoreWorld core;
  ioctl::Nodes nodes;
  std::shared_ptr<FakeCaller> caller = std::make_shared<FakeCaller>();
  std::shared_ptr<std::optional<Result<ioctl::Answer>>> last =
      std::make_shared<std::optional<Result<ioctl::Answer>>>();
};

}  // namespace umdev::test
