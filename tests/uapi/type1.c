/* The type1 IOMMU driver: GET_INFO, MAP_DMA, UNMAP_DMA. */
#include <errno.h>
#include <string.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

enum { rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE };
#define TOP (~0xfffULL)
#define WRAPS (-1000) /* in a table: wraps() */

struct map_row {
  const char* what;
  uint64_t vaddr, iova, size;
  uint32_t flags;
  long expected;
};
struct unmap_row {
  const char* what;
  uint64_t iova, size;
  uint32_t flags;
  long expected;
  uint64_t unmapped;
};

static long map(const struct scene* scene, int fd, uint64_t vaddr, uint64_t iova, uint64_t size,
                uint32_t flags) {
  struct vfio_iommu_type1_dma_map map = {
      .argsz = sizeof map, .flags = flags, .vaddr = address_of(scene, vaddr), .iova = iova, .size = size};
  return call(fd, VFIO_IOMMU_MAP_DMA, &map);
}

static long unmap(int fd, uint64_t iova, uint64_t size, uint32_t flags, uint64_t* unmapped) {
  struct vfio_iommu_type1_dma_unmap unmap = {
      .argsz = sizeof unmap, .flags = flags, .iova = iova, .size = size};
  const long result = call(fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
  if (unmapped) *unmapped = unmap.size;
  return result;
}

static void unmap_rows(const struct scene* scene, int fd, const struct unmap_row* rows, unsigned count,
                       const char* type) {
  for (unsigned i = 0; i < count; ++i) {
    uint64_t size = 0;
    const long expected = rows[i].expected == WRAPS ? wraps(scene) : rows[i].expected;
    check(kernel, expected, unmap(fd, rows[i].iova, rows[i].size, rows[i].flags, &size), "%s UNMAP_DMA %s",
          type, rows[i].what);
    if (rows[i].expected == 0)
      check(kernel, (long)rows[i].unmapped, (long)size, "%s UNMAP_DMA %s: bytes", type, rows[i].what);
  }
}

static void info_cases(const struct scene* scene, int fd) {
  uint32_t words[64] = {24};
  call(fd, VFIO_IOMMU_GET_INFO, words);
  const uint32_t needed = words[0];
  check(kernel, 1, needed > 24 && needed < sizeof words, "IOMMU_GET_INFO says what it needs");
  for (uint32_t argsz = 12; argsz <= 256; argsz += argsz < 32 ? 4 : 112) {
    memset(words, 0xaa, sizeof words);
    words[0] = argsz;
    check(kernel, argsz < 16 ? -EINVAL : 0, call(fd, VFIO_IOMMU_GET_INFO, words), "IOMMU_GET_INFO argsz %u",
          argsz);
    if (argsz < 16) continue;
    check(kernel, 3, words[1], "IOMMU_GET_INFO argsz %u: flags", argsz);
    check(kernel, argsz < needed ? needed : argsz, words[0], "IOMMU_GET_INFO argsz %u: argsz", argsz);
    if (argsz >= 20)
      check(kernel, argsz < needed ? 0 : 24, words[4], "IOMMU_GET_INFO argsz %u: cap_offset", argsz);
    if (argsz < 64)
      check(kernel, 1, words[argsz / 4] == 0xaaaaaaaa, "IOMMU_GET_INFO argsz %u: nothing behind it", argsz);
  }
  /* The whole answer: ids in the chain's order. */
  static const uint32_t ids[] = {2, 3, 1};
  unsigned found = 0;
  for (uint32_t at = words[4]; at != 0 && at < sizeof words && found < 4; at = words[at / 4 + 1], ++found)
    check(kernel, found < 3 ? ids[found] : 0, words[at / 4] & 0xffff, "IOMMU_GET_INFO capability %u", found);
  check(kernel, scene->emulated ? 2 : 3, found, "IOMMU_GET_INFO capabilities");
  check(kernel, 0, words[2] & 0xfff, "IOMMU_GET_INFO: no page smaller than 4096");
  check(kernel, 0x1000, words[2] & 0x1000, "IOMMU_GET_INFO: pages of 4096");
  check(kernel, -EFAULT, call(fd, VFIO_IOMMU_GET_INFO, scene->nowhere), "IOMMU_GET_INFO of no memory");
  check(kernel, -EINVAL, call(fd, VFIO_IOMMU_GET_INFO, scene->readonly), "IOMMU_GET_INFO with argsz 0");
}

static const struct map_row bad_maps[] = {
    {"an unknown flag", IN_BUFFER, 0, page, rw | 8, -EINVAL},
    {"another unknown flag", IN_BUFFER, 0, page, rw | 1u << 31, -EINVAL},
    {"size 0", IN_BUFFER, 0, 0, rw, -EINVAL},
    {"iova wraps", IN_BUFFER, TOP, 2 * page, rw, WRAPS},
    {"vaddr wraps", TOP, 0, 2 * page, rw, WRAPS},
    {"no direction", IN_BUFFER, 0, page, 0, -EINVAL},
    {"VADDR with READ", IN_BUFFER, 0, page, 5, -EINVAL},
    {"VADDR with WRITE", IN_BUFFER, 0, page, 6, -EINVAL},
    {"VADDR with both", IN_BUFFER, 0, page, 7, -EINVAL},
    {"half a page", IN_BUFFER, 0, page / 2, rw, -EINVAL},
    {"a page and a half", IN_BUFFER, 0, page + page / 2, rw, -EINVAL},
    {"iova 1", IN_BUFFER, 1, page, rw, -EINVAL},
    {"iova in the middle of a page", IN_BUFFER, page / 2, page, rw, -EINVAL},
    {"vaddr 1 too far", IN_BUFFER + 1, 0, page, rw, -EINVAL},
    {"VADDR of nothing", IN_BUFFER, 0x40000000, page, 4, -ENOENT},
    {"VADDR of a valid mapping", IN_BUFFER, 0x100000, 2 * page, 4, -EINVAL},
    {"the same once more", IN_BUFFER, 0x100000, 2 * page, rw, -EEXIST},
    {"over the begin of a mapping", IN_BUFFER, 0xff000, 2 * page, rw, -EEXIST},
    {"over the end of a mapping", IN_BUFFER, 0x101000, 2 * page, rw, -EEXIST},
    {"inside of a mapping", IN_BUFFER, 0x101000, page, rw, -EEXIST},
    {"around a mapping", IN_BUFFER, 0xff000, 4 * page, rw, -EEXIST},
};

static void map_cases(const struct scene* scene, int fd) {
  struct vfio_iommu_type1_dma_map bare = {.flags = rw, .vaddr = (uintptr_t)scene->buffer, .size = page};
  for (uint32_t argsz = 0; argsz < 32; argsz += 8) {
    bare.argsz = argsz;
    check(kernel, -EINVAL, call(fd, VFIO_IOMMU_MAP_DMA, &bare), "MAP_DMA with argsz %u", argsz);
  }
  check(kernel, -EFAULT, call(fd, VFIO_IOMMU_MAP_DMA, scene->nowhere), "MAP_DMA of no memory");
  check(kernel, 0, map(scene, fd, IN_BUFFER, 0x100000, 2 * page, rw), "MAP_DMA");
  for (unsigned i = 0; i < sizeof bad_maps / sizeof *bad_maps; ++i)
    check(kernel, bad_maps[i].expected == WRAPS ? wraps(scene) : bad_maps[i].expected,
          map(scene, fd, bad_maps[i].vaddr, bad_maps[i].iova, bad_maps[i].size, bad_maps[i].flags),
          "MAP_DMA %s", bad_maps[i].what);
  const struct map_row placed[] = {
      {"only for reading", IN_BUFFER, 0x200000, page, 1, 0},
      {"only for writing", IN_BUFFER, 0x201000, page, 2, 0},
      {"the same memory at another place", IN_BUFFER, 0x202000, page, rw, 0},
      {"above 4 GiB", IN_BUFFER, 1ULL << 33, page, rw, 0},
      {"at 0", IN_BUFFER, 0, page, rw, 0},
      {"memory that is not there", (uintptr_t)scene->nowhere, 0x300000, page, rw,
       scene->emulated ? 0 : -EFAULT},
      {"read-only memory for writing", (uintptr_t)scene->readonly, 0x301000, page, rw,
       scene->emulated ? 0 : -EFAULT},
      {"read-only memory for reading", (uintptr_t)scene->readonly, 0x302000, page, 1, 0},
      {"the interrupts' window", IN_BUFFER, 0xfee00000, page, rw, scene->emulated ? 0 : -EINVAL},
      {"into the interrupts' window", IN_BUFFER, 0xfedff000, 2 * page, rw,
       scene->emulated ? -EEXIST : -EINVAL},
      {"at 2^62", IN_BUFFER, 1ULL << 62, page, rw, scene->emulated ? 0 : -EINVAL},
      {"the last page", IN_BUFFER, TOP, page, rw, scene->emulated ? 0 : -EINVAL},
  };
  for (unsigned i = 0; i < sizeof placed / sizeof *placed; ++i)
    check(kernel, placed[i].expected,
          map(scene, fd, placed[i].vaddr, placed[i].iova, placed[i].size, placed[i].flags), "MAP_DMA %s",
          placed[i].what);
  check(kernel, 0, unmap(fd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, NULL), "UNMAP_DMA ALL");
}

static void unmap_cases(const struct scene* scene, int fd) {
  struct vfio_iommu_type1_dma_unmap bare = {.size = page};
  for (uint32_t argsz = 0; argsz < 24; argsz += 8) {
    bare.argsz = argsz;
    check(kernel, -EINVAL, call(fd, VFIO_IOMMU_UNMAP_DMA, &bare), "UNMAP_DMA with argsz %u", argsz);
  }
  check(kernel, -EFAULT, call(fd, VFIO_IOMMU_UNMAP_DMA, scene->nowhere), "UNMAP_DMA of no memory");
  map(scene, fd, IN_BUFFER, 0x100000, 4 * page, rw);
  map(scene, fd, IN_BUFFER, 0x110000, page, rw);
  map(scene, fd, IN_BUFFER, 0x111000, page, rw);
  static const struct unmap_row rows[] = {
      {"an unknown flag", 0, page, 8, -EINVAL, 0},
      {"a bitmap of everything", 0, 0, 3, -EINVAL, 0},
      {"a bitmap while nothing is tracked", 0x100000, 4 * page, 1, -EINVAL, 0},
      {"iova 1", 1, page, 0, -EINVAL, 0},
      {"ALL with an iova", page, 0, 2, -EINVAL, 0},
      {"ALL with a size", 0, page, 2, -EINVAL, 0},
      {"size 0", 0, 0, 0, -EINVAL, 0},
      {"size 1", 0, 1, 0, -EINVAL, 0},
      {"a page and a half", 0, page + page / 2, 0, -EINVAL, 0},
      {"that wraps", TOP, 2 * page, 0, WRAPS, 0},
      {"nothing", 0x500000, page, 0, 0, 0},
      {"much of nothing", 0x40000000, 0x40000000, 0, 0, 0},
      {"the begin of a mapping", 0x100000, page, 0, -EINVAL, 0},
      {"the end of a mapping", 0x103000, page, 0, -EINVAL, 0},
      {"the middle of a mapping", 0x101000, page, 0, -EINVAL, 0},
      {"over the begin of a mapping", 0xff000, 2 * page, 0, -EINVAL, 0},
      {"over the end of a mapping", 0x103000, 2 * page, 0, -EINVAL, 0},
      {"a mapping", 0x100000, 4 * page, 0, 0, 4 * page},
      {"it once more", 0x100000, 4 * page, 0, 0, 0},
      {"two with a hole before them", 0x108000, 16 * page, 0, 0, 2 * page},
      {"everything, of which there is nothing", 0, 0, 2, 0, 0},
  };
  unmap_rows(scene, fd, rows, sizeof rows / sizeof *rows, "v2");
}

/* Version 1 takes whole mappings, by where they begin. */
static void version_1_cases(const struct scene* scene) {
  struct opened opened = open_all(scene, VFIO_TYPE1_IOMMU);
  const int fd = opened.container;
  check(kernel, 1, call_number(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), "v1 CHECK_EXTENSION type1");
  map(scene, fd, IN_BUFFER, 0x100000, 4 * page, rw);
  static const struct unmap_row rows[] = {
      {"the middle of a mapping", 0x101000, page, 0, 0, 0},
      {"the end of a mapping", 0x103000, page, 0, 0, 0},
      {"size 0", 0x100000, 0, 0, -EINVAL, 0},
      {"the first page of a mapping", 0x100000, page, 0, 0, 4 * page},
      {"it once more", 0x100000, page, 0, 0, 0},
  };
  unmap_rows(scene, fd, rows, sizeof rows / sizeof *rows, "v1");
  struct vfio_iommu_type1_dirty_bitmap dirty = {.argsz = sizeof dirty, .flags = 1};
  check(kernel, -EACCES, call(fd, VFIO_IOMMU_DIRTY_PAGES, &dirty), "v1 DIRTY_PAGES");
  close_all(&opened);
}

void type1_cases(const struct scene* scene) {
  struct opened opened = open_all(scene, VFIO_TYPE1v2_IOMMU);
  const int fd = opened.container;
  static const struct {
    unsigned long extension;
    long expected;
  } extensions[] = {{1, 1}, {2, 0}, {3, 1}, {5, 0}, {7, 0}, {8, 0}, {9, 1}, {77, 0}};
  for (unsigned i = 0; i < sizeof extensions / sizeof *extensions; ++i)
    check(kernel, extensions[i].expected, call_number(fd, VFIO_CHECK_EXTENSION, extensions[i].extension),
          "CHECK_EXTENSION %lu with a driver", extensions[i].extension);
  /* Of a device with DMA of its own it is for the IOMMU to say. */
  if (scene->emulated)
    check(reference, 1, call_number(fd, VFIO_CHECK_EXTENSION, 4), "CHECK_EXTENSION 4 of emulated groups");
  static const unsigned others[] = {CMD(3), CMD(7), CMD(11), CMD(15), CMD(16), CMD(27), 0x1234};
  for (unsigned i = 0; i < sizeof others / sizeof *others; ++i)
    check(kernel, -ENOTTY, call(fd, others[i], scene->nowhere), "command %#x with a driver", others[i]);
  info_cases(scene, fd);
  map_cases(scene, fd);
  unmap_cases(scene, fd);
  close_all(&opened);
  version_1_cases(scene);
}
