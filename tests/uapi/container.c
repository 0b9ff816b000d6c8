/* A container without a group, and what is not a container's. */
#include <errno.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

void container_cases(const struct scene* scene) {
  const long fd = open_path("/dev/vfio/vfio");
  check(kernel, 1, fd >= 0, "open the container");
  if (fd < 0) return;
  check(kernel, 0, call_number((int)fd, VFIO_GET_API_VERSION, 0), "GET_API_VERSION");
  check(kernel, 0, call_number((int)fd, VFIO_GET_API_VERSION, 77), "GET_API_VERSION with an argument");

  static const struct {
    unsigned long extension;
    long expected;
  } extensions[] = {{0, 0},
                    {VFIO_TYPE1_IOMMU, 1},
                    {VFIO_SPAPR_TCE_IOMMU, 0},
                    {VFIO_TYPE1v2_IOMMU, 1},
                    {4, 0},
                    {VFIO_EEH, 0},
                    {VFIO_SPAPR_TCE_v2_IOMMU, 0},
                    {VFIO_NOIOMMU_IOMMU, 0},
                    {9, 1},
                    {11, 0},
                    {77, 0},
                    {0xffffffff, 0}};
  for (unsigned i = 0; i < sizeof extensions / sizeof *extensions; ++i)
    check(kernel, extensions[i].expected, call_number((int)fd, VFIO_CHECK_EXTENSION, extensions[i].extension),
          "CHECK_EXTENSION %#lx without a driver", extensions[i].extension);

  static const unsigned long types[] = {
      0, VFIO_TYPE1_IOMMU, VFIO_SPAPR_TCE_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_NOIOMMU_IOMMU, 77};
  for (unsigned i = 0; i < sizeof types / sizeof *types; ++i)
    check(kernel, -EINVAL, call_number((int)fd, VFIO_SET_IOMMU, types[i]), "SET_IOMMU %lu without a group",
          types[i]);

  static const unsigned others[] = {CMD(3),  CMD(4),  CMD(7),  CMD(8),  CMD(11), CMD(12), CMD(13), CMD(14),
                                    CMD(15), CMD(16), CMD(17), CMD(18), CMD(27), 0x1234,  0};
  for (unsigned i = 0; i < sizeof others / sizeof *others; ++i)
    check(kernel, -EINVAL, call((int)fd, others[i], scene->nowhere), "command %#x without a driver",
          others[i]);

  char bytes[8] = {0};
  check(kernel, -EINVAL, read_at(fd, bytes, 4, 0), "read a container");
  check(kernel, -EINVAL, write_at(fd, bytes, 4, 0), "write a container");
  check(kernel, -ENODEV, map_at(fd, page, 0, true), "map a container");
  close_fd(fd);
}
