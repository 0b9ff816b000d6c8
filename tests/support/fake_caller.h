// A process that calls, for tests: memory of a few pages, of which some are read-only or not there,
// descriptors, and a limit of locked memory.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/fake_backing.h"
#include "umdev/ioctl/caller.h"
#include "umdev/ioctl/file.h"
#include "umdev/ioctl/locked_memory.h"

namespace umdev::test {

// One thread. The test gives it memory and descriptors before it calls.
class FakeCaller final : public ioctl::Caller {
 public:
  static constexpr std::uint64_t page = 4096;

  // Memory of its own at an address, both in bytes and multiples of a page.
  void add_memory(ioctl::UserAddress address, std::uint64_t size, bool writable = true) {
    areas_[address] = {.backing = std::make_shared<MemoryBacking>(size), .writable = writable};
  }
  void remove_memory(ioctl::UserAddress address) { areas_.erase(address); }
  // Where something lies in it; the test's own way in, past every protection.
  std::byte* at(ioctl::UserAddress address, std::uint64_t size = 1) {
    Area* area = find(address, size);
    return area == nullptr ? nullptr : area->backing->bytes().data() + (address - area->begin);
  }
  template <typename T>
  ioctl::UserAddress put(ioctl::UserAddress address, const T& value) {
    std::memcpy(at(address, sizeof value), &value, sizeof value);
    return address;
  }
  template <typename T>
  T get(ioctl::UserAddress address) {
    T value;
    std::memcpy(&value, at(address, sizeof value), sizeof value);
    return value;
  }

  // Descriptors: a file of ours under a number, or a real descriptor (which stays the test's).
  int add_file(std::shared_ptr<ioctl::File> file) {
    files_[++last_fd_] = std::move(file);
    return last_fd_;
  }
  int add_fd(int real) {
    fds_[++last_fd_] = real;
    return last_fd_;
  }
  void close_fd(int fd) {
    files_.erase(fd);
    fds_.erase(fd);
  }

  // From now on it is dead: no memory, no descriptors.
  void die() {
    areas_.clear();
    files_.clear();
    fds_.clear();
  }

  ioctl::Credentials& rights() { return credentials_; }

  // ^Caller
  Result<> read(ioctl::UserAddress address, Bytes into) override {
    if (into.empty()) return {};
    const std::byte* from = at(address, into.size());
    if (from == nullptr) return fail(EFAULT, "no such memory");
    std::memcpy(into.data(), from, into.size());
    return {};
  }
  Result<> write(ioctl::UserAddress address, ConstBytes from) override {
    if (from.empty()) return {};
    const Area* area = find(address, from.size());
    if (area == nullptr || !area->writable) return fail(EFAULT, "no such memory, or read-only");
    std::memcpy(at(address, from.size()), from.data(), from.size());
    return {};
  }
  Result<os::UniqueFd> take_fd(int fd) override {
    const auto found = fds_.find(fd);
    if (found == fds_.end()) return fail(EBADF, "no such descriptor");
    return os::duplicate(found->second);
  }
  Result<std::shared_ptr<ioctl::File>> file(int fd) override {
    if (fds_.contains(fd)) return std::shared_ptr<ioctl::File>();
    const auto found = files_.find(fd);
    if (found == files_.end()) return fail(EBADF, "no such descriptor");
    return found->second;
  }
  Result<ioctl::Memory> memory(const ioctl::MemoryRequest& request) override {
    Area* area = find(request.address, request.size);
    const bool readable =
        area != nullptr && (area->writable || !allows(request.access, iommu::Access::write));
    if (!readable && request.must_be_there) return fail(EFAULT, "no such memory, or read-only");
    if (!readable) return ioctl::Memory{};
    return ioctl::Memory{.backing = area->backing, .offset = request.address - area->begin};
  }
  Result<ioctl::Memory> memory_of_file(int fd, std::uint64_t offset, std::uint64_t size,
                                       iommu::Access) override {
    if (!fds_.contains(fd)) return fail(EBADF, "no such descriptor");
    if (!range_fits(offset, size, file_memory_size)) return fail(EINVAL, "beyond the end of the file");
    auto& backing = file_memory_[fd];
    if (!backing) backing = std::make_shared<MemoryBacking>(file_memory_size);
    return ioctl::Memory{.backing = backing, .offset = offset};
  }
  ioctl::Credentials credentials() override { return credentials_; }
  std::shared_ptr<ioctl::LockedMemory> locked_memory() override { return locked_; }

  // How many bytes memory_of_file() takes every descriptor of ours to have.
  static constexpr std::uint64_t file_memory_size = 16 * page;

 private:
  struct Area {
    ioctl::UserAddress begin = 0;
    std::shared_ptr<MemoryBacking> backing;
    bool writable = true;
  };

  Area* find(ioctl::UserAddress address, std::uint64_t size) {
    auto after = areas_.upper_bound(address);
    if (after == areas_.begin()) return nullptr;
    auto& [begin, area] = *std::prev(after);
    area.begin = begin;
    return range_fits(address - begin, size, area.backing->bytes().size()) ? &area : nullptr;
  }

  std::map<ioctl::UserAddress, Area> areas_;
  std::map<int, std::shared_ptr<ioctl::File>> files_;
  std::map<int, int> fds_;
  std::map<int, std::shared_ptr<MemoryBacking>> file_memory_;
  int last_fd_ = 2;
  ioctl::Credentials credentials_;
  const std::shared_ptr<ioctl::LockedMemory> locked_ = std::make_shared<ioctl::LockedMemory>();
};

}  // namespace umdev::test
