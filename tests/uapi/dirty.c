/* VFIO_IOMMU_DIRTY_PAGES, and an unmap with a bitmap. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

struct get_bitmap {
  struct vfio_iommu_type1_dirty_bitmap head;
  struct vfio_iommu_type1_dirty_bitmap_get get;
};

static long control(int fd, uint32_t flags) {
  struct vfio_iommu_type1_dirty_bitmap head = {.argsz = sizeof head, .flags = flags};
  return call(fd, VFIO_IOMMU_DIRTY_PAGES, &head);
}

static void get_cases(const struct scene* scene, int fd) {
  static uint64_t bits[512];
  const struct {
    const char* what;
    uint64_t iova, size, pgsize, bytes;
    void* data;
    long expected;
  } rows[] = {
      {"of nothing", 0x100000, 0, page, 8, bits, -EINVAL},
      {"that wraps", ~0xfffULL, 2 * page, page, 8, bits, wraps(scene)},
      {"with pages of 8192", 0x100000, 4 * page, 2 * page, 8, bits, -EINVAL},
      {"with pages of 0", 0x100000, 4 * page, 0, 8, bits, -EINVAL},
      {"at iova 1", 0x100001, 4 * page, page, 8, bits, -EINVAL},
      {"of a page and a half", 0x100000, page + page / 2, page, 8, bits, -EINVAL},
      {"with a bitmap of 0 bytes", 0x100000, 4 * page, page, 0, bits, -EINVAL},
      {"with a bitmap of 4 bytes", 0x100000, 4 * page, page, 4, bits, -EINVAL},
      {"with a bitmap that is too short", 0x100000, 65 * page, page, 8, bits, -EINVAL},
      {"with a bitmap above 256 MiB", 0x100000, 4 * page, page, (256 << 20) + 8, bits, -EINVAL},
      {"that cuts a mapping at its end", 0x100000, 2 * page, page, 8, bits, -EINVAL},
      {"that cuts a mapping at its begin", 0x102000, 2 * page, page, 8, bits, -EINVAL},
      {"into no memory", 0x100000, 4 * page, page, 8, scene->nowhere, -EFAULT},
      {"of a mapping", 0x100000, 4 * page, page, 8, bits, 0},
      {"of a mapping, once more", 0x100000, 4 * page, page, 8, bits, 0},
      {"of where nothing is", 0x500000, 4 * page, page, 8, bits, 0},
      {"of more than a mapping", 0xf0000, 64 * page, page, 8, bits, 0},
      {"with a longer bitmap", 0x100000, 4 * page, page, 64, bits, 0},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
    struct get_bitmap get = {
        .head = {.argsz = sizeof get, .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP},
        .get = {.iova = rows[i].iova,
                .size = rows[i].size,
                .bitmap = {.pgsize = rows[i].pgsize, .size = rows[i].bytes, .data = rows[i].data}}};
    check(kernel, rows[i].expected, call(fd, VFIO_IOMMU_DIRTY_PAGES, &get), "GET_BITMAP %s", rows[i].what);
  }
}

static void unmap_cases(int fd) {
  static uint64_t bits[1];
  struct {
    struct vfio_iommu_type1_dma_unmap unmap;
    struct vfio_bitmap bitmap;
  } unmap = {.unmap = {.argsz = sizeof(struct vfio_iommu_type1_dma_unmap),
                       .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
                       .iova = 0x100000,
                       .size = 4 * page},
             .bitmap = {.pgsize = page, .size = 8, .data = (void*)bits}};
  check(kernel, -EINVAL, call(fd, VFIO_IOMMU_UNMAP_DMA, &unmap), "UNMAP_DMA with a bitmap beyond argsz");
  unmap.unmap.argsz = sizeof unmap;
  unmap.bitmap.pgsize = 2 * page;
  check(kernel, -EINVAL, call(fd, VFIO_IOMMU_UNMAP_DMA, &unmap), "UNMAP_DMA with a bitmap of other pages");
  unmap.bitmap.pgsize = page;
  unmap.bitmap.size = 0;
  check(kernel, -EINVAL, call(fd, VFIO_IOMMU_UNMAP_DMA, &unmap), "UNMAP_DMA with a bitmap of 0 bytes");
  unmap.bitmap.size = 8;
  check(kernel, 0, call(fd, VFIO_IOMMU_UNMAP_DMA, &unmap), "UNMAP_DMA with a bitmap");
  check(kernel, 4 * page, (long)unmap.unmap.size, "UNMAP_DMA with a bitmap: bytes");
}

void dirty_cases(const struct scene* scene) {
  struct opened opened = open_all(scene, VFIO_TYPE1v2_IOMMU);
  const int fd = opened.container;
  struct vfio_iommu_type1_dma_map map = {
      .argsz = sizeof map, .flags = 3, .vaddr = (uintptr_t)scene->buffer, .iova = 0x100000, .size = 4 * page};
  call(fd, VFIO_IOMMU_MAP_DMA, &map);
  struct get_bitmap off = {.head = {.argsz = sizeof off, .flags = 4},
                           .get = {.iova = 0x100000, .size = page}};
  check(kernel, -EINVAL, call(fd, VFIO_IOMMU_DIRTY_PAGES, &off), "GET_BITMAP while nothing is tracked");
  check(kernel, -EFAULT, call(fd, VFIO_IOMMU_DIRTY_PAGES, scene->nowhere), "DIRTY_PAGES of no memory");
  check(kernel, -EINVAL, call(fd, VFIO_IOMMU_DIRTY_PAGES, scene->readonly), "DIRTY_PAGES with argsz 0");
  static const uint32_t bad[] = {0, 3, 5, 6, 7, 8, 1u << 31};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; ++i)
    check(kernel, -EINVAL, control(fd, bad[i]), "DIRTY_PAGES with flags %#x", bad[i]);
  check(kernel, 0, control(fd, 2), "STOP before START");
  check(kernel, 0, control(fd, 1), "START");
  check(kernel, 0, control(fd, 1), "START once more");
  check(kernel, -EINVAL, control(fd, 4), "GET_BITMAP with argsz of the head alone");
  get_cases(scene, fd);
  unmap_cases(fd);
  check(kernel, 0, control(fd, 2), "STOP");
  check(kernel, 0, control(fd, 2), "STOP once more");
  close_all(&opened);
}
