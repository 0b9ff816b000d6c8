#include "umdev/os/area_query.h"

#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "umdev/os/system_error.h"

namespace umdev::os {
namespace {

// struct procmap_query of linux/fs.h, which older headers lack.
struct Query {
  std::uint64_t size = sizeof(Query);
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t protection = 0;
  std::uint64_t page_size = 0;
  std::uint64_t offset = 0;
  std::uint64_t inode = 0;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t name_size = 0;
  std::uint32_t build_id_size = 0;
  std::uint64_t name_address = 0;
  std::uint64_t build_id_address = 0;
};
static_assert(sizeof(Query) == 104);

constexpr unsigned long procmap_query = _IOWR('f', 17, Query);
constexpr std::uint64_t covering_or_next = 0x10;
constexpr std::uint64_t is_readable = 1;
constexpr std::uint64_t is_writable = 2;
constexpr std::uint64_t is_shared = 8;

Result<MemoryArea> ask(int maps, std::uint64_t address, std::uint64_t flags) {
  Query query{.flags = flags, .address = address};
  if (::ioctl(maps, procmap_query, &query) != 0)
    return fail_errno("the process's memory cannot be asked for");
  return MemoryArea{.begin = query.begin,
                    .end = query.end,
                    .readable = (query.protection & is_readable) != 0,
                    .writable = (query.protection & is_writable) != 0,
                    .shared = (query.protection & is_shared) != 0,
                    .offset = query.offset,
                    .file = {.device = makedev(query.major, query.minor), .inode = query.inode}};
}

}  // namespace

Result<MemoryArea> query_area(int maps, std::uint64_t address) {
  return ask(maps, address, 0);
}

Result<std::vector<MemoryArea>> query_areas(int maps, std::uint64_t begin, std::uint64_t end) {
  std::vector<MemoryArea> areas;
  while (begin < end) {
    const auto area = ask(maps, begin, covering_or_next);
    if (!area && area.error().code == ENOENT) break;
    if (!area) return std::unexpected(area.error());
    if (area->begin >= end) break;
    areas.push_back(*area);
    begin = area->end;
  }
  return areas;
}

}  // namespace umdev::os
