#include "umdev/os/memory_map.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "umdev/os/area_query.h"
#include "umdev/os/system_error.h"

namespace umdev::os {

Result<MemoryMap> MemoryMap::open(pid_t thread) {
  UniqueFd fd(::open(("/proc/" + std::to_string(thread) + "/maps").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("the process's memory cannot be looked at");
  return MemoryMap(std::move(fd));
}

Result<MemoryArea> MemoryMap::area_at(std::uint64_t address) {
  if (!can_ask_) return search(address);
  auto area = query_area(fd_.get(), address);
  if (area || area.error().code != ENOTTY) return area;
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
