#include "umdev/os/memory_map.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>

#include "umdev/os/system_error.h"

namespace umdev::os {
namespace {

// PROCMAP_QUERY; newer than the headers of Debian 12.
struct Question {
  std::uint64_t size = sizeof(Question);
  std::uint64_t flags = 0;  // 0: the area that the address is in
  std::uint64_t address = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t properties = 0;
  std::uint64_t page_size = 0;
  std::uint64_t offset = 0;
  std::uint64_t inode = 0;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t name_size = 0;
  std::uint32_t build_id_size = 0;
  std::uint64_t name = 0;
  std::uint64_t build_id = 0;
};
static_assert(sizeof(Question) == 104);
constexpr unsigned long ask = _IOWR('f', 17, Question);

enum Property : std::uint64_t { readable = 1, writable = 2, shared = 8 };

}  // namespace

Result<MemoryMap> MemoryMap::open(pid_t thread) {
  UniqueFd fd(::open(("/proc/" + std::to_string(thread) + "/maps").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("the process's memory cannot be looked at");
  return MemoryMap(std::move(fd));
}

Result<MemoryArea> MemoryMap::area_at(std::uint64_t address) {
  if (!can_ask_) return search(address);
  Question question{.address = address};
  if (::ioctl(fd_.get(), ask, &question) == 0)
    return MemoryArea{.begin = question.begin,
                      .end = question.end,
                      .readable = (question.properties & readable) != 0,
                      .writable = (question.properties & writable) != 0,
                      .shared = (question.properties & shared) != 0,
                      .offset = question.offset,
                      .file = {.device = makedev(question.major, question.minor), .inode = question.inode}};
  if (errno != ENOTTY) return fail(ENOENT, "no memory is there");
  can_ask_ = false;
  return search(address);
}

Result<MemoryArea> MemoryMap::search(std::uint64_t address) const {
  constexpr std::size_t piece = 65536;
  std::string text;
  for (std::size_t used = 0;;) {
    text.resize(used + piece);
    const ssize_t count = ::pread(fd_.get(), text.data() + used, piece, static_cast<off_t>(used));
    if (count < 0) return fail_errno("the process's memory cannot be looked at");
    used += static_cast<std::size_t>(count);
    text.resize(used);
    if (count == 0) break;
  }
  const auto areas = parse_areas(text, address, address + 1);
  if (areas.empty()) return fail(ENOENT, "no memory is there");
  return areas.front();
}

}  // namespace umdev::os
