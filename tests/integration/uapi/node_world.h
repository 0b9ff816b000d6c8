// A mount of device nodes behind which lie files of the test's, and children that use it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/scratch_directory.h"
#include "umdev/fuse/mount.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/memfd.h"
#include "umdev/os/process.h"
#include "umdev/tree/tree.h"
#include "umdev/uapi/file_system.h"

namespace umdev::test {

// What a PlainFile knows. Numbers that no rule of the carrier's looks at, but for VFIO_GROUP_GET_DEVICE_FD.
enum PlainCommand : unsigned {
  plain_seven = 0x3b64,    // 7
  plain_add_one = 0x3b65,  // to the 32 bits at the argument
  plain_kind_of = 0x3b66,  // of the file behind the descriptor in the argument, from 1 on; 0: none of ours
  plain_signal = 0x3b67,   // writes to the eventfd in the argument
  plain_give = 0x3b6a,     // a new device file
  plain_count = 0x3b76,    // the open files; it is VFIO_DEVICE_BIND_IOMMUFD
  plain_hang = 0x3b6b,     // is answered by the world
  plain_slow_closes = 0x3b6d,  // from now on
  plain_block = 0x3b6c,        // keeps the thread that serves it until the world lets it go
  plain_lend = 0x3b71,         // memory: {address, size} at the argument; what is read from it later
};

struct PlainWorld {
  std::atomic<int> open_files = 0;
  std::atomic<bool> slow_closes = false;
  std::atomic<int> blocked = 0;
  std::atomic<bool> released = false;
  std::mutex mutex;
  std::vector<Done<ioctl::Answer>> hanging;
  ioctl::Memory lent;
  os::UniqueFd region = os::create_memfd("region", 8192).value();

  std::size_t count_hanging() {
    const std::lock_guard lock(mutex);
    return hanging.size();
  }
};

class PlainFile final : public ioctl::File {
 public:
  PlainFile(PlainWorld& world, ioctl::FileKind kind) : world_(world), kind_(kind) { ++world_.open_files; }
  ~PlainFile() override {
    if (world_.slow_closes) ::usleep(200'000);  // so that another thread goes on
    --world_.open_files;
  }

  ioctl::FileKind kind() const override { return kind_; }

  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<ioctl::Caller> caller,
             Done<ioctl::Answer> done) override {
    if (command != plain_hang) return done(answer(command, argument, *caller));
    const std::lock_guard lock(world_.mutex);
    world_.hanging.push_back(std::move(done));
  }
  void read(std::uint64_t offset, Bytes into, std::shared_ptr<void>, Done<std::size_t> done) override {
    std::fill(into.begin(), into.end(), static_cast<std::byte>(offset >> 40U));
    done(into.size());
  }
  void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void>, Done<std::size_t> done) override {
    if (offset == 13) return done(fail(EIO, "an unlucky place"));
    done(from.size());
  }
  Result<std::vector<ioctl::MappedPiece>> mmap(const ioctl::MapRequest& request) override {
    if (kind_ != ioctl::FileKind::device) return fail(ENODEV, "no mapping");
    if (!request.shared || request.offset % (1ULL << 40) + request.length > 8192)
      return fail(EINVAL, "not so");
    // The sixth region is registers.
    if (request.offset >> 40U == 6)
      return std::vector<ioctl::MappedPiece>{{.fd_offset = request.offset, .length = request.length}};
    return std::vector<ioctl::MappedPiece>{
        {.position = 0, .fd = world_.region.get(), .fd_offset = 0, .length = request.length}};
  }

 private:
  Result<ioctl::Answer> answer(std::uint32_t command, std::uint64_t argument, ioctl::Caller& caller) {
    const int fd = static_cast<int>(argument);
    switch (command) {
      case plain_seven:
        return ioctl::Answer{.value = 7};
      case plain_add_one: {
        std::uint32_t number = 0;
        const Bytes bytes = std::as_writable_bytes(std::span(&number, 1));
        UMDEV_TRY(caller.read(argument, bytes));
        ++number;
        UMDEV_TRY(caller.write(argument, bytes));
        return ioctl::Answer{};
      }
      case plain_kind_of: {
        const auto file = UMDEV_TRY(caller.file(fd));
        return ioctl::Answer{.value = file ? static_cast<std::int32_t>(file->kind()) + 1 : 0};
      }
      case plain_signal: {
        const os::UniqueFd event = UMDEV_TRY(caller.take_fd(fd));
        const std::uint64_t one = 1;
        return ioctl::Answer{.value = static_cast<std::int32_t>(::write(event.get(), &one, sizeof one))};
      }
      case plain_block: {
        ++world_.blocked;
        while (!world_.released) ::usleep(1000);
        return ioctl::Answer{.value = 1};
      }
      case plain_count:
        return ioctl::Answer{.value = world_.open_files};
      case plain_slow_closes:
        world_.slow_closes = true;
        return ioctl::Answer{};
      case plain_give:
        return ioctl::Answer{.file = std::make_shared<PlainFile>(world_, ioctl::FileKind::device)};
      case plain_lend: {
        std::array<std::uint64_t, 2> words{};
        UMDEV_TRY(caller.read(argument, std::as_writable_bytes(std::span(words))));
        world_.lent = UMDEV_TRY(
            caller.memory({.address = words[0], .size = words[1], .access = iommu::Access::read_write}));
        return ioctl::Answer{};
      }
      default:
        return fail(ENOTTY, "no such command");
    }
  }

  PlainWorld& world_;
  const ioctl::FileKind kind_;
};

class PlainOpener final : public uapi::Opener {
 public:
  explicit PlainOpener(PlainWorld& world) : world_(world) {}
  Result<std::shared_ptr<ioctl::File>> open_container(const ioctl::Credentials&) override {
    return make(ioctl::FileKind::container);
  }
  Result<std::shared_ptr<ioctl::File>> open_group(std::uint32_t number, const ioctl::Credentials&) override {
    if (number == 9) return fail(EBUSY, "open already");
    return make(ioctl::FileKind::group);
  }
  Result<std::shared_ptr<ioctl::File>> open_device(std::uint32_t, const ioctl::Credentials&) override {
    return make(ioctl::FileKind::device);
  }
  Result<std::shared_ptr<ioctl::File>> open_iommufd(const ioctl::Credentials&) override {
    return make(ioctl::FileKind::iommufd);
  }

 private:
  std::shared_ptr<ioctl::File> make(ioctl::FileKind kind) {
    return std::make_shared<PlainFile>(world_, kind);
  }
  PlainWorld& world_;
};

class SilentLog final : public Log {
 public:
  void write(LogLevel, std::string_view) override {}
};

// Groups 4 and 9, and device vfio2.
class NodeWorld : public testing::Test {
 protected:
  explicit NodeWorld(uapi::ProgramTracers* tracers = nullptr) : tracers_(tracers) {}

  void SetUp() override {
    mount_directory_ = scratch_ / "dev";
    std::filesystem::create_directory(mount_directory_);
    auto mounted = fuse::Mount::create(
        file_system_, {.path = mount_directory_, .name = "umdev-test-dev", .readers = 8}, log_);
    if (!mounted) GTEST_SKIP() << "no FUSE here: " << mounted.error().text;
    mount_ = std::move(*mounted);
    file_system_.set_device(os::device_of(mount_directory_).value());
  }
  void TearDown() override {
    plain_.hanging.clear();
    mount_.reset();
    plain_.lent = {};
    EXPECT_EQ(plain_.open_files, 0);
  }

  std::string node(const std::string& name) const { return mount_directory_ + "/" + name; }

  // waitpid(), but for what only happens at the end: a child that another thread of this process traces
  // would tell this one of its stops.
  static int wait_for_end(pid_t child) {
    const os::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
    while (::poll(&ended, 1, -1) < 0) {
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }

  // Runs in a child, which fails where a call is not what it should be: by the number of the line.
  // (Never in this process: who serves a file system must not wait for it.)
  template <typename Body>
  static int in_child(Body body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    const int status = wait_for_end(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  bool all_files_close() const {
    for (int attempt = 0; attempt < 500 && plain_.open_files != 0; ++attempt) ::usleep(10'000);
    return plain_.open_files == 0;
  }

  ScratchDirectory scratch_;
  std::string mount_directory_;
  tree::Tree tree_;
  std::vector<tree::NodeHandle> nodes_ = make_nodes(tree_);
  PlainWorld plain_;
  PlainOpener opener_{plain_};
  SilentLog log_;
  uapi::ProgramTracers* const tracers_;
  uapi::FileSystem file_system_{tree_, opener_, log_, 1'700'000'000, {.uid = ::geteuid(), .gid = ::getegid()},
                                {},    tracers_};
  std::unique_ptr<fuse::Mount> mount_;

 private:
  static std::vector<tree::NodeHandle> make_nodes(tree::Tree& tree) {
    std::vector<tree::NodeHandle> handles;
    handles.push_back(tree.root().add_directory("class").value());
    const tree::Directory classes = handles.front().directory();
    handles.push_back(classes.add_directory("vfio").value());
    const tree::Directory groups = handles.back().directory();
    handles.push_back(classes.add_directory("vfio-dev").value());
    const tree::Directory devices = handles.back().directory();
    for (const char* name : {"4", "9"}) handles.push_back(groups.add_directory(name).value());
    handles.push_back(devices.add_directory("vfio2").value());
    return handles;
  }
};

// In a child: this line's number is its exit status.
#define CHECK_OR_FAIL(condition)                 \
  do {                                           \
    if (!(condition)) return __LINE__ % 250 + 1; \
  } while (false)

}  // namespace umdev::test
