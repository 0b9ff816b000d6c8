/* A group, and the order in which files are closed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

static long status_of(int group) {
  struct vfio_group_status status = {.argsz = sizeof status};
  const long result = call(group, VFIO_GROUP_GET_STATUS, &status);
  return result < 0 ? result : (long)status.flags;
}

static void status_cases(const struct scene* scene, int group) {
  check(kernel, VFIO_GROUP_FLAGS_VIABLE, status_of(group), "GET_STATUS of a fresh group");
  for (uint32_t argsz = 0; argsz < 10; ++argsz) {
    struct vfio_group_status status = {.argsz = argsz, .flags = 0xffffffff};
    check(kernel, argsz < 8 ? -EINVAL : 0, call(group, VFIO_GROUP_GET_STATUS, &status),
          "GET_STATUS with argsz %u", argsz);
  }
  check(kernel, -EFAULT, call(group, VFIO_GROUP_GET_STATUS, scene->nowhere), "GET_STATUS of no memory");
  check(kernel, -EINVAL, call(group, VFIO_GROUP_GET_STATUS, scene->readonly), "GET_STATUS with argsz 0");
}

static void set_container_cases(const struct scene* scene, int group, int container) {
  const int pipe_fd = dup(1);
  const struct {
    const char* what;
    int fd;
    long expected;
  } rows[] = {{"-1", -1, -EBADF},
              {"-100", -100, -EBADF},
              {"a closed descriptor", 9999, -EBADF},
              {"a group", group, scene->is_6_1 ? -EINVAL : -EBADFD},
              {"a pipe", pipe_fd, scene->is_6_1 ? -EINVAL : -EBADFD}};
  check(kernel, -EINVAL, call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER of none");
  check(kernel, -EFAULT, call(group, VFIO_GROUP_SET_CONTAINER, scene->nowhere), "SET_CONTAINER of no memory");
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i)
    check(kernel, rows[i].expected, call(group, VFIO_GROUP_SET_CONTAINER, &rows[i].fd), "SET_CONTAINER to %s",
          rows[i].what);
  close(pipe_fd);
  check(kernel, 0, call(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
  check(kernel, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET, status_of(group),
        "GET_STATUS in a container");
  check(kernel, -EINVAL, call(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER once more");
  check(kernel, 0, call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER");
  check(kernel, -EINVAL, call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER once more");
  check(kernel, 0, call(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER after UNSET");
}

static void name_cases(const struct scene* scene, int group, long expected, const char* when) {
  static char long_name[2 * page];
  memset(long_name, 'x', sizeof long_name - 1);
  check(kernel, -EFAULT, call(group, VFIO_GROUP_GET_DEVICE_FD, scene->nowhere),
        "GET_DEVICE_FD of no memory, %s", when);
  check(kernel, -EINVAL, get_device(group, long_name), "GET_DEVICE_FD of a name of two pages, %s", when);
  check(kernel, -ENODEV, get_device(group, ""), "GET_DEVICE_FD of no name, %s", when);
  check(kernel, -ENODEV, get_device(group, "0000:ff:1f.7"), "GET_DEVICE_FD of another name, %s", when);
  char name[200];
  snprintf(name, sizeof name, "%sx", scene->device_name);
  check(kernel, -ENODEV, get_device(group, name), "GET_DEVICE_FD of a longer name, %s", when);
  check(kernel, expected, get_device(group, scene->device_name), "GET_DEVICE_FD, %s", when);
  static const struct {
    const char* option;
    const char* what;
  } options[] = {{" x", "an unknown option"},
                 {" vf_token=1", "a short token"},
                 {" vf_token=00112233-4455-6677-8899-aabbccddeegg", "a token that is no UUID"},
                 {" vf_token=00112233-4455-6677-8899-aabbccddeeff", "a token that nobody wants"}};
  for (unsigned i = 0; i < sizeof options / sizeof *options; ++i) {
    snprintf(name, sizeof name, "%s%s", scene->device_name, options[i].option);
    check(kernel, scene->emulated ? -ENODEV : -EINVAL, get_device(group, name), "GET_DEVICE_FD with %s, %s",
          options[i].what, when);
  }
}

static void open_cases(const struct scene* scene, int container, int group) {
  name_cases(scene, group, -EINVAL, "in a container without a driver");
  check(kernel, 0, call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type1v2");
  check(kernel, -EINVAL, call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU once more");
  check(kernel, -EINVAL, call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU),
        "SET_IOMMU of another type");
  const int device = (int)get_device(group, scene->device_name);
  check(kernel, 1, device >= 0, "GET_DEVICE_FD");
  const int second = (int)get_device(group, scene->device_name);
  check(kernel, 1, second >= 0, "GET_DEVICE_FD a second time");
  close_fd(second);
  check(kernel, -EBUSY, call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER with a device open");
  check(kernel, -EBUSY, open_path(scene->group_path), "open the group a second time");
  close_fd(group);
  check(kernel, -EBUSY, open_path(scene->group_path), "open the group again with its device open");
  struct vfio_device_info info = {.argsz = sizeof info};
  check(kernel, 0, call(device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO with the group closed");
  close_fd(container);
  check(kernel, 0, call(device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO with the container closed too");
  close_fd(device);
  const long again = open_path(scene->group_path);
  check(kernel, 1, again >= 0, "open the group when all is closed");
  check(kernel, VFIO_GROUP_FLAGS_VIABLE, status_of((int)again), "GET_STATUS when all was closed");
  close_fd(again);
}

void group_cases(const struct scene* scene) {
  const long container = open_path("/dev/vfio/vfio");
  const long group = open_path(scene->group_path);
  check(kernel, 1, group >= 0, "open the group");
  check(kernel, -EBUSY, open_path(scene->group_path), "open the group twice");
  status_cases(scene, (int)group);
  name_cases(scene, (int)group, -EINVAL, "in no container");
  static const unsigned others[] = {CMD(0),  CMD(1),  CMD(2),  CMD(7), CMD(8),
                                    CMD(11), CMD(13), CMD(27), 0x1234};
  for (unsigned i = 0; i < sizeof others / sizeof *others; ++i)
    check(kernel, -ENOTTY, call((int)group, others[i], scene->nowhere), "command %#x of a group", others[i]);
  char bytes[8] = {0};
  check(kernel, -EINVAL, read_at(group, bytes, 4, 0), "read a group");
  check(kernel, -ENODEV, map_at(group, page, 0, true), "map a group");
  set_container_cases(scene, (int)group, (int)container);
  open_cases(scene, (int)container, (int)group);
}
