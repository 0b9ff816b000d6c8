/* A device by its own node, bound to an iommufd. */
#include <errno.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

static long bind(int device, int iommufd, uint32_t flags) {
  struct bind_iommufd bind = {.argsz = sizeof bind, .flags = flags, .iommufd = iommufd};
  return call(device, bind_iommufd, &bind);
}

static long attach(int device, uint32_t id, uint32_t flags) {
  struct attach_pt attach = {.argsz = 12, .flags = flags, .pt_id = id};
  return call(device, attach_iommufd_pt, &attach);
}

static long detach(int device) {
  struct detach_pt detach = {.argsz = 8};
  return call(device, detach_iommufd_pt, &detach);
}

static void unbound_cases(const struct scene* scene, int device, int iommufd) {
  static const unsigned commands[] = {CMD(7),  CMD(8),  CMD(9),  CMD(10), CMD(11),
                                      CMD(17), CMD(19), CMD(20), 0x1234};
  for (unsigned i = 0; i < sizeof commands / sizeof *commands; ++i)
    check(reference, -EINVAL, call(device, commands[i], scene->buffer), "command %#x before it is bound",
          commands[i]);
  char bytes[4] = {0};
  check(reference, -EINVAL, read_at(device, bytes, 4, 0), "read before it is bound");
  check(reference, -EINVAL, write_at(device, bytes, 4, 0), "write before it is bound");
  check(reference, -EFAULT, call(device, bind_iommufd, scene->nowhere), "BIND_IOMMUFD of no memory");
  check(reference, -EINVAL, call(device, bind_iommufd, scene->readonly), "BIND_IOMMUFD with argsz 0");
  check(reference, -EINVAL, bind(device, -1, 0), "BIND_IOMMUFD to -1");
  check(reference, -EINVAL, bind(device, iommufd, 2), "BIND_IOMMUFD with unknown flags");
  check(reference, -EBADF, bind(device, 9999, 0), "BIND_IOMMUFD to a closed descriptor");
  check(reference, -EBADFD, bind(device, device, 0), "BIND_IOMMUFD to itself");
  const long group = open_path(scene->group_path);
  check(reference, -EBUSY, bind(device, iommufd, 0), "BIND_IOMMUFD with the group open");
  close_fd(group);
}

void cdev_cases(const struct scene* scene) {
  if (scene->cdev_path[0] == '\0') return skip("the device has no node of its own");
  const int device = (int)open_path(scene->cdev_path);
  const int iommufd = (int)open_path("/dev/iommu");
  check(reference, 1, device >= 0 && iommufd >= 0, "open the device's node");
  unbound_cases(scene, device, iommufd);
  check(reference, 0, bind(device, iommufd, 0), "BIND_IOMMUFD");
  check(reference, -EINVAL, bind(device, iommufd, 0), "BIND_IOMMUFD once more");
  check(reference, -EBUSY, open_path(scene->group_path), "open the group of a bound device");
  const int second = (int)open_path(scene->cdev_path);
  check(reference, -EINVAL, bind(second, iommufd, 0), "BIND_IOMMUFD of a second file");
  close_fd(second);
  struct destroy bound = {.size = sizeof bound, .id = 1};
  check(reference, -EBUSY, call(iommufd, iommu_destroy, &bound), "DESTROY of a bound device");
  struct ioas_alloc alloc = {.size = sizeof alloc};
  check(reference, 0, call(iommufd, ioas_alloc, &alloc), "IOAS_ALLOC");
  check(reference, -ENOENT, attach(device, 99, 0), "ATTACH_IOMMUFD_PT to nothing");
  check(reference, -EINVAL, attach(device, alloc.out_ioas_id, 2), "ATTACH_IOMMUFD_PT with unknown flags");
  check(reference, 0, attach(device, alloc.out_ioas_id, 0), "ATTACH_IOMMUFD_PT");
  struct destroy destroy = {.size = sizeof destroy, .id = alloc.out_ioas_id};
  check(reference, -EBUSY, call(iommufd, iommu_destroy, &destroy), "DESTROY of an attached IOAS");
  struct vfio_device_info info = {.argsz = sizeof info};
  check(reference, 0, call(device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO of a bound device");
  check(reference, 0, detach(device), "DETACH_IOMMUFD_PT");
  check(reference, 0, detach(device), "DETACH_IOMMUFD_PT once more");
  check(reference, 0, call(iommufd, iommu_destroy, &destroy), "DESTROY of the IOAS");
  close_fd(device);
  const long group = open_path(scene->group_path);
  check(reference, 1, group >= 0, "open the group when the node is closed");
  close_fd(group);
  close_fd(iommufd);
}
