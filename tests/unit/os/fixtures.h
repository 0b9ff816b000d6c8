// What the tests of this folder share.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "tests/support/scratch_directory.h"
#include "umdev/os/unique_fd.h"

namespace umdev::os {

// How many descriptors this process has open.
inline std::size_t count_open_fds() {
  const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries))) - 1;  // its own
}

inline bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

inline bool is_close_on_exec(int fd) {
  const int flags = ::fcntl(fd, F_GETFD);
  return flags != -1 && (flags & FD_CLOEXEC) != 0;
}

inline std::vector<std::byte> bytes_from(const std::string& text) {
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

inline std::string text_from(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A file of two huge pages; empty when this machine has none to give.
inline UniqueFd create_huge_file(std::size_t huge_page) {
  UniqueFd fd(::memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(2 * huge_page)) != 0) return {};
  void* probe = ::mmap(nullptr, 2 * huge_page, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (probe == MAP_FAILED) return {};
  ::munmap(probe, 2 * huge_page);
  return fd;
}

using test::ScratchDirectory;

}  // namespace umdev::os
