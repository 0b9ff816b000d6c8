// The cases of the user API against the pure code, in one process: the C program's system calls are taken
// here (by the linker's --wrap) where they concern our files. The smallest carrier that there can be.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tests/support/core_world.h"
#include "tests/support/fake_watcher.h"
#include "umdev/ioctl/locked_memory.h"
#include "umdev/ioctl/nodes.h"
#include "umdev/os/memfd.h"
#include "umdev/pci/pci_device.h"

extern "C" {
#include "tests/uapi/uapi.h"

int __real_open(const char* path, int flags, ...);
int __real_ioctl(int fd, unsigned long command, ...);
int __real_close(int fd);
ssize_t __real_pread64(int fd, void* into, size_t count, off64_t offset);
ssize_t __real_pwrite64(int fd, const void* from, size_t count, off64_t offset);
void* __real_mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset);
}

namespace umdev {
namespace {

using FilePtr = std::shared_ptr<ioctl::File>;

// Memory of this very process.
class OwnMemory final : public iommu::Backing {
 public:
  OwnMemory(std::uint64_t address, std::uint64_t size) : bytes_(pointer(address), size) {}
  Bytes mapped() override { return bytes_; }

 private:
  static std::byte* pointer(std::uint64_t address) {
    return reinterpret_cast<std::byte*>(address);  // NOLINT: an address is what a caller gives
  }
  const Bytes bytes_;
};

// Which descriptors are ours. A number is kept by a memfd that nobody reads.
std::map<int, FilePtr>& files() {
  static std::map<int, FilePtr> table;
  return table;
}

FilePtr file_of(int fd) {
  const auto found = files().find(fd);
  return found == files().end() ? nullptr : found->second;
}

int add_file(FilePtr file) {
  const int fd = os::create_memfd("file", 1).value().release();
  files()[fd] = std::move(file);
  return fd;
}

class OwnCaller final : public ioctl::Caller {
 public:
  Result<> read(ioctl::UserAddress address, Bytes into) override {
    const iovec here{.iov_base = into.data(), .iov_len = into.size()};
    return copy(address, into.size(), here, process_vm_readv);
  }
  Result<> write(ioctl::UserAddress address, ConstBytes from) override {
    std::vector<std::byte> bytes(from.begin(), from.end());
    const iovec here{.iov_base = bytes.data(), .iov_len = bytes.size()};
    return copy(address, bytes.size(), here, process_vm_writev);
  }
  Result<os::UniqueFd> take_fd(int fd) override { return os::duplicate(fd); }
  Result<FilePtr> file(int fd) override {
    if (fcntl(fd, F_GETFD) < 0) return fail(EBADF, "no such descriptor");
    return file_of(fd);
  }
  Result<ioctl::Memory> memory(const ioctl::MemoryRequest& request) override {
    if (request.must_be_there) UMDEV_TRY(probe(request));
    return ioctl::Memory{.backing = std::make_shared<OwnMemory>(request.address, request.size)};
  }
  Result<ioctl::Memory> memory_of_file(int, std::uint64_t, std::uint64_t, iommu::Access) override {
    return fail(EINVAL, "not offered here");
  }
  ioctl::Credentials credentials() override { return {}; }
  std::shared_ptr<ioctl::LockedMemory> locked_memory() override {
    return std::make_shared<ioctl::LockedMemory>();
  }

 private:
  template <typename Copy>
  static Result<> copy(ioctl::UserAddress address, std::size_t size, const iovec& here, Copy how) {
    const iovec there{.iov_base = reinterpret_cast<void*>(address), .iov_len = size};  // NOLINT: as above
    if (size != 0 && how(getpid(), &here, 1, &there, 1, 0) != static_cast<ssize_t>(size))
      return fail(EFAULT, "no such memory");
    return {};
  }
  Result<> probe(const ioctl::MemoryRequest& request) {
    std::byte byte{};
    for (std::uint64_t at = 0; at < request.size; at += iommu::page_size) {
      UMDEV_TRY(read(request.address + at, Bytes(&byte, 1)));
      if (allows(request.access, iommu::Access::write))
        UMDEV_TRY(write(request.address + at, ConstBytes(&byte, 1)));
    }
    return {};
  }
};

// The nodes that open() finds at present.
ioctl::Nodes* nodes_now = nullptr;

Result<FilePtr> open_node(std::string_view path) {
  constexpr std::string_view device = "/dev/vfio/devices/vfio";
  constexpr std::string_view group = "/dev/vfio/";
  if (path == "/dev/vfio/vfio") return nodes_now->open_container({});
  if (path == "/dev/iommu") return nodes_now->open_iommufd({});
  const bool is_device = path.starts_with(device);
  const auto number =
      static_cast<std::uint32_t>(std::stoul(std::string(path.substr((is_device ? device : group).size()))));
  return is_device ? nodes_now->open_device(number, {}) : nodes_now->open_group(number, {});
}

int failed(int error) {
  errno = error;
  return -1;
}

long answer(const Result<std::size_t>& result) {
  return result ? static_cast<long>(*result) : failed(result.error().code);
}

}  // namespace
}  // namespace umdev

// --- The system calls that the cases make.

extern "C" int __wrap_open(const char* path, int flags, ...) {
  if (!std::string_view(path).starts_with("/dev/vfio") && std::string_view(path) != "/dev/iommu")
    return __real_open(path, flags);
  auto file = umdev::open_node(path);
  return file ? umdev::add_file(std::move(*file)) : umdev::failed(file.error().code);
}

extern "C" int __wrap_ioctl(int fd, unsigned long command, ...) {
  std::va_list arguments;
  va_start(arguments, command);
  const auto argument = va_arg(arguments, unsigned long);
  va_end(arguments);
  const auto file = umdev::file_of(fd);
  if (!file) return __real_ioctl(fd, command, argument);
  umdev::Result<umdev::ioctl::Answer> result = umdev::fail(EINPROGRESS, "not answered inline");
  file->ioctl(static_cast<std::uint32_t>(command), argument, std::make_shared<umdev::OwnCaller>(),
              [&](umdev::Result<umdev::ioctl::Answer> answer) { result = std::move(answer); });
  if (!result) return umdev::failed(result.error().code);
  return result->file ? umdev::add_file(std::move(result->file)) : result->value;
}

extern "C" int __wrap_close(int fd) {
  umdev::files().erase(fd);
  return __real_close(fd);
}

extern "C" ssize_t __wrap_pread64(int fd, void* into, size_t count, off64_t offset) {
  const auto file = umdev::file_of(fd);
  if (!file) return __real_pread64(fd, into, count, offset);
  long result = 0;
  const umdev::Bytes bytes(static_cast<std::byte*>(into), count);
  file->read(static_cast<std::uint64_t>(offset), bytes, nullptr,
             [&](umdev::Result<std::size_t> done) { result = umdev::answer(done); });
  return result;
}

extern "C" ssize_t __wrap_pwrite64(int fd, const void* from, size_t count, off64_t offset) {
  const auto file = umdev::file_of(fd);
  if (!file) return __real_pwrite64(fd, from, count, offset);
  long result = 0;
  const umdev::ConstBytes bytes(static_cast<const std::byte*>(from), count);
  file->write(static_cast<std::uint64_t>(offset), bytes, nullptr,
              [&](umdev::Result<std::size_t> done) { result = umdev::answer(done); });
  return result;
}

// A mapping that is allowed is memory of nobody's: no case looks into it.
extern "C" void* __wrap_mmap64(void* address, size_t length, int protection, int flags, int fd,
                               off64_t offset) {
  const auto file = umdev::file_of(fd);
  if (!file) return __real_mmap64(address, length, protection, flags, fd, offset);
  const auto pieces = file->mmap(
      {.offset = static_cast<std::uint64_t>(offset), .length = length, .shared = (flags & MAP_SHARED) != 0});
  if (pieces) return __real_mmap64(nullptr, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  umdev::failed(pieces.error().code);
  return MAP_FAILED;
}

namespace umdev {
namespace {

char* pages(std::size_t size, int protection) {
  return static_cast<char*>(__real_mmap64(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

// A function with every kind of interrupt, and two BARs that hold nothing.
class Function final : public pci::PciDevice {
 public:
  Function() : PciDevice(make_model()) {}
  std::string_view name() const override { return "function"; }

 private:
  static pci::ModelRef make_model() {
    pci::ConfigLayout layout;
    layout.identify({.vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000});
    layout.add_bar(0, {.kind = pci::Bar::Kind::memory32, .size = 4096});
    layout.add_bar(2, {.kind = pci::Bar::Kind::memory32, .size = 4096});
    layout.add_interrupt_pin(1);
    layout.add_msi({.vectors = 4});
    layout.add_msix({.vectors = 3, .table_bar = 2, .table_offset = 0, .pba_bar = 2, .pba_offset = 2048});
    return pci::share(pci::Model(std::move(layout)));
  }
  Result<> bar_read(vfio::User&, std::uint32_t, std::uint64_t, Bytes into) override {
    std::ranges::fill(into, std::byte{0});
    return {};
  }
  Result<> bar_write(vfio::User&, std::uint32_t, std::uint64_t, ConstBytes) override { return {}; }
};

// A core with such a device, with DMA of its own or without.
struct World {
  explicit World(bool with_dma) {
    core = vfio::Core::create({.host = &host, .model = model.get(), .watcher = &watcher}).value();
    type1 = core->register_iommu_driver(std::make_shared<iommu::Type1Driver>(host.clock())).value();
    parent = std::make_shared<device::Device>(
        *model,
        device::Device::Spec{.name = with_dma ? "0000:00:05.0" : "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
                             .device_class = device::Class::create(*model, "test").value()});
    EXPECT_TRUE(parent->add());
    auto device = std::make_unique<Function>();
    if (!with_dma) {
      registered = core->register_emulated_device(std::move(device), {.parent = parent}).value();
      return;
    }
    auto group = core->create_iommu_group("test", vfio::IommuGroup::Kind::physical).value();
    EXPECT_TRUE(core->add_to_iommu_group(group, parent));
    registered = core->register_device(std::move(device), {.parent = parent}).value();
  }
  ~World() {
    test::Ending ending(registered.registration);
    EXPECT_TRUE(ending.ended()) << "every case closes what it opened";
    core->remove_from_iommu_group(parent);
    parent->remove(RemovePolicy::force, [](Result<>) {});
    host.run();
  }

  test::TestHost host;
  test::FakeWatcher watcher;
  tree::Tree tree;
  std::unique_ptr<device::Model> model = device::Model::create(tree).value();
  std::unique_ptr<vfio::Core> core;
  Registration type1;
  std::shared_ptr<device::Device> parent;
  vfio::DeviceRegistration registered;
};

int failed_cases(bool with_dma, ioctl::Profile profile) {
  World world(with_dma);
  ioctl::Nodes nodes(*world.core, profile);
  nodes_now = &nodes;
  scene all{};
  const std::string name = world.parent->name();
  all.device_name = name.c_str();
  all.has_iommufd = profile != ioctl::Profile::linux_6_1;
  all.before_7 = all.is_6_1 = profile == ioctl::Profile::linux_6_1;
  all.emulated = !with_dma;
  all.buffer = pages(buffer_size, PROT_READ | PROT_WRITE);
  all.nowhere = pages(page, PROT_READ);
  all.readonly = pages(page, PROT_READ);
  munmap(all.nowhere, page);
  const vfio::RegisteredDevice& device = *world.registered.device;
  std::snprintf(all.group_path, sizeof all.group_path, "/dev/vfio/%u",
                device.group()->iommu_group().number());
  if (all.has_iommufd)
    std::snprintf(all.cdev_path, sizeof all.cdev_path, "/dev/vfio/devices/vfio%u", device.index());
  const int failures = run_cases(&all);
  munmap(all.buffer, buffer_size);
  munmap(all.readonly, page);
  return failures;
}

TEST(UserApi, every_case_holds_for_a_device_with_dma_of_its_own) {
  EXPECT_EQ(failed_cases(/*with_dma=*/true, ioctl::Profile::linux_7_2), 0);
}

TEST(UserApi, every_case_holds_for_an_mdev) {
  EXPECT_EQ(failed_cases(/*with_dma=*/false, ioctl::Profile::linux_7_2), 0);
}

TEST(UserApi, every_case_holds_for_the_profile_of_linux_6_1) {
  EXPECT_EQ(failed_cases(/*with_dma=*/true, ioctl::Profile::linux_6_1), 0);
}

}  // namespace
}  // namespace umdev
