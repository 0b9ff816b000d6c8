/* What a PCI function answers beside what every device does: eventfds for writes, the reset of its slot. */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

static long io_event(int device, uint64_t offset, uint32_t flags, int fd) {
  struct vfio_device_ioeventfd event = {
      .argsz = sizeof event, .flags = flags, .offset = offset, .data = 0, .fd = fd};
  return call(device, VFIO_DEVICE_IOEVENTFD, &event);
}

/* A memory BAR of a page or more, without the MSI-X table; 6: there is none. */
static uint32_t plain_bar(int device) {
  for (uint32_t index = 0; index < 6; ++index) {
    struct vfio_region_info region = {.argsz = sizeof region, .index = index};
    if (call(device, VFIO_DEVICE_GET_REGION_INFO, &region) == 0 && region.size >= page &&
        (region.flags & VFIO_REGION_INFO_FLAG_CAPS) == 0)
      return index;
  }
  return 6;
}

static void io_event_cases(int device) {
  const uint32_t bar = plain_bar(device);
  if (bar == 6) return skip("IOEVENTFD: no BAR is a plain one");
  const uint64_t at = (uint64_t)bar << 40;
  const int fd = eventfd(0, EFD_CLOEXEC);
  struct vfio_region_info region = {.argsz = sizeof region, .index = bar};
  call(device, VFIO_DEVICE_GET_REGION_INFO, &region);
  struct vfio_device_ioeventfd event = {.argsz = 27, .flags = 4, .offset = at, .fd = fd};
  check(reference, -EINVAL, call(device, VFIO_DEVICE_IOEVENTFD, &event), "IOEVENTFD with argsz 27");
  static const uint32_t bad_flags[] = {0, 3, 5, 16, 20};
  for (unsigned i = 0; i < sizeof bad_flags / sizeof *bad_flags; ++i)
    check(reference, -EINVAL, io_event(device, at, bad_flags[i], fd), "IOEVENTFD with flags %u",
          bad_flags[i]);
  check(reference, -EINVAL, io_event(device, at, 4, -2), "IOEVENTFD with descriptor -2");
  check(reference, -EINVAL, io_event(device, at + region.size, 4, fd), "IOEVENTFD behind the BAR");
  check(reference, -EINVAL, io_event(device, at + region.size - 2, 4, fd),
        "IOEVENTFD over the end of the BAR");
  check(reference, -EINVAL, io_event(device, 7ULL << 40, 4, fd), "IOEVENTFD in configuration space");
  check(reference, -EINVAL, io_event(device, 6ULL << 40, 4, fd), "IOEVENTFD in the ROM");
  check(reference, -ENODEV, io_event(device, at, 4, -1), "IOEVENTFD taken away that is not there");
  check(reference, -EBADF, io_event(device, at, 4, 999), "IOEVENTFD with no such descriptor");
  const long other = open_path("/dev/null");
  check(reference, -EINVAL, io_event(device, at, 4, (int)other), "IOEVENTFD with another descriptor");
  close_fd(other);
  check(reference, 0, io_event(device, at, 4, fd), "IOEVENTFD");
  check(reference, -EEXIST, io_event(device, at, 4, fd), "IOEVENTFD once more");
  check(reference, 0, io_event(device, at, 2, fd), "IOEVENTFD of another size");
  check(reference, 0, io_event(device, at, 4, -1), "IOEVENTFD taken away");
  check(reference, -ENODEV, io_event(device, at, 4, -1), "IOEVENTFD taken away once more");
  close_fd(fd);
}

static void hot_reset_cases(const struct scene* scene, const struct opened* opened) {
  struct {
    struct vfio_pci_hot_reset_info head;
    struct vfio_pci_dependent_device devices[8];
  } info = {.head = {.argsz = 11}};
  check(reference, -EINVAL, call(opened->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info),
        "GET_PCI_HOT_RESET_INFO with argsz 11");
  check(reference, -EFAULT, call(opened->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, scene->nowhere),
        "GET_PCI_HOT_RESET_INFO of no memory");
  struct {
    struct vfio_pci_hot_reset head;
    int fds[2];
  } reset = {.head = {.argsz = 11}, .fds = {opened->group, opened->group}};
  check(reference, -EINVAL, call(opened->device, VFIO_DEVICE_PCI_HOT_RESET, &reset),
        "PCI_HOT_RESET with argsz 11");
  reset.head.argsz = sizeof reset;
  reset.head.flags = 1;
  reset.head.count = 1;
  check(reference, -EINVAL, call(opened->device, VFIO_DEVICE_PCI_HOT_RESET, &reset),
        "PCI_HOT_RESET with flags");
  info.head.argsz = sizeof info;
  const long known = call(opened->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info);
  if (known == -ENODEV) return skip("PCI_HOT_RESET: the function is on a root bus");
  if (info.head.count != 1) return skip("PCI_HOT_RESET: the function is not alone in its slot");
  check(reference, 0, known, "GET_PCI_HOT_RESET_INFO");
  info.head.argsz = sizeof info.head;
  check(reference, -ENOSPC, call(opened->device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info),
        "GET_PCI_HOT_RESET_INFO without room");
  check(reference, 1, info.head.count, "GET_PCI_HOT_RESET_INFO without room: how many");
  reset.head.flags = 0;
  reset.head.count = 0;
  check(reference, -EINVAL, call(opened->device, VFIO_DEVICE_PCI_HOT_RESET, &reset),
        "PCI_HOT_RESET without a group");
  reset.head.count = 2;
  check(reference, -EINVAL, call(opened->device, VFIO_DEVICE_PCI_HOT_RESET, &reset),
        "PCI_HOT_RESET with too many groups");
  reset.head.count = 1;
  reset.fds[0] = opened->container;
  check(reference, -EINVAL, call(opened->device, VFIO_DEVICE_PCI_HOT_RESET, &reset),
        "PCI_HOT_RESET with a container");
  reset.fds[0] = 999;
  check(reference, -EBADF, call(opened->device, VFIO_DEVICE_PCI_HOT_RESET, &reset),
        "PCI_HOT_RESET with no such descriptor");
  reset.fds[0] = opened->group;
  check(reference, 0, call(opened->device, VFIO_DEVICE_PCI_HOT_RESET, &reset), "PCI_HOT_RESET");
}

void pci_cases(const struct scene* scene) {
  struct opened opened = open_all(scene, VFIO_TYPE1v2_IOMMU);
  if (scene->emulated) {
    static const unsigned commands[] = {VFIO_DEVICE_IOEVENTFD, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
                                        VFIO_DEVICE_PCI_HOT_RESET};
    static const char* const names[] = {"IOEVENTFD", "GET_PCI_HOT_RESET_INFO", "PCI_HOT_RESET"};
    uint32_t words[16] = {sizeof words};
    for (unsigned i = 0; i < 3; ++i)
      check(reference, -ENOTTY, call(opened.device, commands[i], words), "%s of an mdev", names[i]);
  } else {
    io_event_cases(opened.device);
    hot_reset_cases(scene, &opened);
  }
  close_all(&opened);
}
