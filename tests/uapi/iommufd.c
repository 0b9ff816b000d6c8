/* /dev/iommu without a device. */
#include <errno.h>
#include <string.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

enum { fixed = 1, writeable = 2, readable = 4, rw = writeable | readable };

static uint32_t add(int fd) {
  struct ioas_alloc alloc = {.size = sizeof alloc};
  return call(fd, ioas_alloc, &alloc) == 0 ? alloc.out_ioas_id : 0;
}

static long map(const struct scene* scene, int fd, uint32_t ioas, uint64_t address, uint64_t length,
                uint64_t* iova, uint32_t flags) {
  struct ioas_map map = {.size = sizeof map,
                         .flags = flags,
                         .ioas_id = ioas,
                         .user_va = address_of(scene, address),
                         .length = length,
                         .iova = *iova};
  const long result = call(fd, ioas_map, &map);
  *iova = map.iova;
  return result;
}

static long unmap(int fd, uint32_t ioas, uint64_t iova, uint64_t length, uint64_t* bytes) {
  struct ioas_unmap unmap = {.size = sizeof unmap, .ioas_id = ioas, .iova = iova, .length = length};
  const long result = call(fd, ioas_unmap, &unmap);
  *bytes = unmap.length;
  return result;
}

static void size_cases(const struct scene* scene, int fd) {
  static const struct {
    const char* what;
    unsigned command;
    uint32_t size;
  } rows[] = {{"DESTROY", iommu_destroy, 8},
              {"IOAS_ALLOC", ioas_alloc, 12},
              {"IOAS_ALLOW_IOVAS", ioas_allow_iovas, 24},
              {"IOAS_COPY", ioas_copy, 40},
              {"IOAS_IOVA_RANGES", ioas_iova_ranges, 32},
              {"IOAS_MAP", ioas_map, 40},
              {"IOAS_UNMAP", ioas_unmap, 24},
              {"OPTION", iommu_option, 24},
              {"VFIO_IOAS", vfio_ioas, 12},
              {"GET_HW_INFO", get_hw_info, 32}};
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check(reference, -EFAULT, call(fd, rows[i].command, scene->nowhere), "%s of no memory", rows[i].what);
    uint32_t words[32] = {rows[i].size - 1};
    check(reference, -EINVAL, call(fd, rows[i].command, words), "%s with size %u", rows[i].what,
          rows[i].size - 1);
    words[0] = sizeof words;
    words[31] = 1;
    check(reference, -E2BIG, call(fd, rows[i].command, words), "%s that says more than it can", rows[i].what);
  }
  check(reference, -ENOTTY, call(fd, 0x3bff, scene->nowhere), "command 0x3bff of an iommufd");
}

static void id_cases(int fd) {
  check(reference, 1, add(fd), "IOAS_ALLOC: the first id");
  check(reference, 2, add(fd), "IOAS_ALLOC: the second id");
  struct destroy destroy = {.size = sizeof destroy, .id = 1};
  check(reference, 0, call(fd, iommu_destroy, &destroy), "DESTROY");
  check(reference, -ENOENT, call(fd, iommu_destroy, &destroy), "DESTROY once more");
  check(reference, 1, add(fd), "IOAS_ALLOC: the lowest free id");
  struct ioas_alloc flags = {.size = sizeof flags, .flags = 1};
  check(reference, -EOPNOTSUPP, call(fd, ioas_alloc, &flags), "IOAS_ALLOC with flags");
}

static void map_cases(const struct scene* scene, int fd) {
  static const struct {
    const char* what;
    uint32_t ioas;
    uint64_t address, iova, length;
    uint32_t flags;
    long expected;
  } rows[] = {
      {"at 0x100000", 1, IN_BUFFER, 0x100000, 2 * page, fixed | rw, 0},
      {"with unknown flags", 1, IN_BUFFER, 0, page, fixed | rw | 8, -EOPNOTSUPP},
      {"at 2^64 - 1", 1, IN_BUFFER, UINT64_MAX, page, fixed | rw, -EOVERFLOW},
      {"of 2^64 - 1", 1, IN_BUFFER, 0, UINT64_MAX, fixed | rw, -EOVERFLOW},
      {"in no direction", 1, IN_BUFFER, 0, page, fixed, -EINVAL},
      {"in no IOAS", 99, IN_BUFFER, 0, page, fixed | rw, -ENOENT},
      {"of nothing", 1, IN_BUFFER, 0, 0, fixed | rw, -EINVAL},
      {"of memory that wraps", 1, ~0xfffULL, 0, 2 * page, fixed | rw, -EOVERFLOW},
      {"that wraps", 1, IN_BUFFER, ~0xfffULL, 2 * page, fixed | rw, -EOVERFLOW},
      {"the same once more", 1, IN_BUFFER, 0x100000, 2 * page, fixed | rw, -EEXIST},
      {"over its begin", 1, IN_BUFFER, 0xff000, 2 * page, fixed | rw, -EEXIST},
      {"over its end", 1, IN_BUFFER, 0x101000, 2 * page, fixed | rw, -EEXIST},
      {"only for reading", 1, IN_BUFFER, 0x200000, page, fixed | readable, 0},
      {"only for writing", 1, IN_BUFFER, 0x201000, page, fixed | writeable, 0},
      {"in another IOAS", 2, IN_BUFFER, 0x100000, 2 * page, fixed | rw, 0},
      {"wherever there is room", 1, IN_BUFFER, 0, page, rw, 0},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
    uint64_t iova = rows[i].iova;
    check(reference, rows[i].expected,
          map(scene, fd, rows[i].ioas, rows[i].address, rows[i].length, &iova, rows[i].flags), "IOAS_MAP %s",
          rows[i].what);
  }
}

static void unmap_cases(int fd) {
  static const struct {
    const char* what;
    uint32_t ioas;
    uint64_t iova, length;
    long expected;
    uint64_t bytes;
  } rows[] = {
      {"of nothing", 1, 0x100000, 0, -EINVAL, 0},
      {"that wraps", 1, UINT64_MAX, 2, -EOVERFLOW, 0},
      {"of no IOAS", 99, 0x100000, page, -ENOENT, 0},
      {"of where nothing is", 1, 0x500000, page, -ENOENT, 0},
      {"of the begin of a mapping", 1, 0x100000, page, -ENOENT, 0},
      {"of the end of a mapping", 1, 0x101000, page, -ENOENT, 0},
      {"of a mapping", 1, 0x100000, 2 * page, 0, 2 * page},
      {"of it once more", 1, 0x100000, 2 * page, -ENOENT, 0},
      {"of two", 1, 0x1f0000, 0x20000, 0, 2 * page},
      {"of everything", 2, 0, UINT64_MAX, 0, 2 * page},
      {"of everything, of which there is nothing", 2, 0, UINT64_MAX, 0, 0},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
    uint64_t bytes = 0;
    check(reference, rows[i].expected, unmap(fd, rows[i].ioas, rows[i].iova, rows[i].length, &bytes),
          "IOAS_UNMAP %s", rows[i].what);
    if (rows[i].expected == 0)
      check(reference, (long)rows[i].bytes, (long)bytes, "IOAS_UNMAP %s: bytes", rows[i].what);
  }
}

static void range_cases(int fd) {
  struct iova_range range = {0, 0};
  struct iova_ranges ranges = {
      .size = sizeof ranges, .ioas_id = 1, .num_iovas = 1, .allowed_iovas = (uintptr_t)&range};
  check(reference, 0, call(fd, ioas_iova_ranges, &ranges), "IOAS_IOVA_RANGES");
  check(reference, 1, ranges.num_iovas, "IOAS_IOVA_RANGES: one of all");
  check(reference, 1, range.start == 0 && range.last == UINT64_MAX, "IOAS_IOVA_RANGES: all");
  check(reference, 1, (long)ranges.out_iova_alignment, "IOAS_IOVA_RANGES: alignment");
  ranges.num_iovas = 0;
  check(reference, -EMSGSIZE, call(fd, ioas_iova_ranges, &ranges), "IOAS_IOVA_RANGES without room");
  check(reference, 1, ranges.num_iovas, "IOAS_IOVA_RANGES without room: how many");
  struct iova_range bad = {.start = page, .last = page};
  struct allow_iovas allow = {
      .size = sizeof allow, .ioas_id = 1, .num_iovas = 1, .allowed_iovas = (uintptr_t)&bad};
  check(reference, -EINVAL, call(fd, ioas_allow_iovas, &allow), "IOAS_ALLOW_IOVAS of nothing");
  struct iova_range two[2] = {{0, 2 * page}, {page, 3 * page}};
  allow.num_iovas = 2;
  allow.allowed_iovas = (uintptr_t)two;
  check(reference, -EINVAL, call(fd, ioas_allow_iovas, &allow), "IOAS_ALLOW_IOVAS of two that overlap");
  allow.num_iovas = 0;
  check(reference, 0, call(fd, ioas_allow_iovas, &allow), "IOAS_ALLOW_IOVAS of none");
}

static void other_cases(int fd) {
  struct vfio_ioas ioas = {.size = sizeof ioas};
  check(reference, -ENODEV, call(fd, vfio_ioas, &ioas), "VFIO_IOAS GET of none");
  ioas.op = 1;
  ioas.ioas_id = 99;
  check(reference, -ENOENT, call(fd, vfio_ioas, &ioas), "VFIO_IOAS SET of none");
  ioas.ioas_id = 1;
  check(reference, 0, call(fd, vfio_ioas, &ioas), "VFIO_IOAS SET");
  ioas.op = 0;
  ioas.ioas_id = 0;
  check(reference, 0, call(fd, vfio_ioas, &ioas), "VFIO_IOAS GET");
  check(reference, 1, ioas.ioas_id, "VFIO_IOAS GET: the id");
  ioas.op = 2;
  check(reference, 0, call(fd, vfio_ioas, &ioas), "VFIO_IOAS CLEAR");
  ioas.op = 3;
  check(reference, -EOPNOTSUPP, call(fd, vfio_ioas, &ioas), "VFIO_IOAS of another operation");
  struct option option = {.size = sizeof option, .op = 1};
  check(reference, 0, call(fd, iommu_option, &option), "OPTION RLIMIT_MODE GET");
  option.object_id = 1;
  check(reference, -EOPNOTSUPP, call(fd, iommu_option, &option), "OPTION RLIMIT_MODE of an object");
  option.option_id = 1;
  check(reference, 0, call(fd, iommu_option, &option), "OPTION HUGE_PAGES GET");
  check(reference, 1, (long)option.val64, "OPTION HUGE_PAGES: on");
  struct hw_info info = {.size = sizeof info, .dev_id = 1};
  check(reference, -ENOENT, call(fd, get_hw_info, &info), "GET_HW_INFO of an IOAS");
  info.flags = 2;
  check(reference, -EOPNOTSUPP, call(fd, get_hw_info, &info), "GET_HW_INFO with unknown flags");
  option.option_id = 9;
  check(reference, -EOPNOTSUPP, call(fd, iommu_option, &option), "OPTION 9");
  check(reference, 0, call_number(fd, VFIO_GET_API_VERSION, 0), "GET_API_VERSION of an iommufd");
  check(reference, 1, call_number(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU),
        "CHECK_EXTENSION 1 of an iommufd");
  check(reference, 1, call_number(fd, VFIO_CHECK_EXTENSION, 9), "CHECK_EXTENSION 9 of an iommufd");
  check(reference, 0, call_number(fd, VFIO_CHECK_EXTENSION, 10), "CHECK_EXTENSION 10 of an iommufd");
  check(reference, -ENODEV, call_number(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU 1 of an iommufd");
  check(reference, -EINVAL, call_number(fd, VFIO_SET_IOMMU, 8), "SET_IOMMU 8 of an iommufd");
}

static void copy_cases(const struct scene* scene, int fd) {
  const uint32_t from = add(fd), to = add(fd);
  uint64_t iova = 0x10000;
  map(scene, fd, from, IN_BUFFER, 2 * page, &iova, fixed | rw);
  struct ioas_copy copy = {.size = sizeof copy,
                           .flags = fixed | rw,
                           .dst_ioas_id = to,
                           .src_ioas_id = from,
                           .length = 2 * page,
                           .dst_iova = 0x40000,
                           .src_iova = 0x10000};
  check(reference, 0, call(fd, ioas_copy, &copy), "IOAS_COPY");
  check(reference, -EEXIST, call(fd, ioas_copy, &copy), "IOAS_COPY once more");
  uint64_t next = 0x12000, bytes = 0;
  check(reference, 0, map(scene, fd, from, IN_BUFFER, page, &next, fixed | rw), "IOAS_MAP behind a mapping");
  copy.src_iova = 0x11000;
  copy.dst_iova = 0x50000;
  check(reference, 0, call(fd, ioas_copy, &copy), "IOAS_COPY over two mappings");
  check(reference, 0, unmap(fd, to, 0x50000, page, &bytes), "IOAS_COPY over two mappings: the first of two");
  check(reference, 0, unmap(fd, to, 0x51000, page, &bytes), "IOAS_COPY over two mappings: the second");
  copy.dst_iova = 0x41000;
  check(reference, -EEXIST, call(fd, ioas_copy, &copy), "IOAS_COPY over two mappings onto another");
  copy.length = 3 * page;
  copy.dst_iova = 0x60000;
  check(reference, -ENOENT, call(fd, ioas_copy, &copy), "IOAS_COPY over two mappings and beyond");
  copy.length = 2 * page;
  copy.src_iova = 0x80000;
  check(reference, -ENOENT, call(fd, ioas_copy, &copy), "IOAS_COPY of where nothing is");
  copy.flags = 8;
  check(reference, -EOPNOTSUPP, call(fd, ioas_copy, &copy), "IOAS_COPY with unknown flags");
}

void iommufd_cases(const struct scene* scene) {
  if (!scene->has_iommufd) return skip("there is no /dev/iommu");
  const long fd = open_path("/dev/iommu");
  check(reference, 1, fd >= 0, "open /dev/iommu");
  if (fd < 0) return;
  size_cases(scene, (int)fd);
  id_cases((int)fd);
  range_cases((int)fd);
  map_cases(scene, (int)fd);
  unmap_cases((int)fd);
  other_cases((int)fd);
  copy_cases(scene, (int)fd);
  close_fd(fd);
}
