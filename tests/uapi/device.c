/* What an open device says of itself, and what can be read, written and mapped. */
#include <errno.h>
#include <string.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

#define REGION(index) ((uint64_t)(index) << 40) /* where vfio-pci has it */

static struct vfio_region_info region_of(int device, uint32_t index) {
  struct vfio_region_info info = {.argsz = sizeof info, .index = index};
  call(device, VFIO_DEVICE_GET_REGION_INFO, &info);
  return info;
}

static void argsz_cases(const struct scene* scene, int device) {
  static const struct {
    const char* what;
    unsigned command;
    uint32_t minsz;
  } rows[] = {{"GET_INFO", VFIO_DEVICE_GET_INFO, 16},
              {"GET_REGION_INFO", VFIO_DEVICE_GET_REGION_INFO, 32},
              {"GET_IRQ_INFO", VFIO_DEVICE_GET_IRQ_INFO, 16},
              {"SET_IRQS", VFIO_DEVICE_SET_IRQS, 20},
              {"FEATURE", VFIO_DEVICE_FEATURE, 8}};
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check(kernel, -EFAULT, call(device, rows[i].command, scene->nowhere), "%s of no memory", rows[i].what);
    check(kernel, -EINVAL, call(device, rows[i].command, scene->readonly), "%s with argsz 0", rows[i].what);
    uint32_t words[16] = {rows[i].minsz - 1};
    check(kernel, -EINVAL, call(device, rows[i].command, words), "%s with argsz %u", rows[i].what,
          rows[i].minsz - 1);
  }
  uint32_t words[16];
  for (uint32_t argsz = 16; argsz <= 24; argsz += 4) {
    memset(words, 0xaa, sizeof words);
    words[0] = argsz;
    check(kernel, 0, call(device, VFIO_DEVICE_GET_INFO, words), "GET_INFO with argsz %u", argsz);
    check(kernel, 1, words[argsz / 4 + 1] == 0xaaaaaaaa, "GET_INFO with argsz %u: nothing behind it", argsz);
  }
  check(kernel, 2, words[1] & 2, "GET_INFO says that it is a PCI device");
  check(kernel, 1, words[2] >= 9, "GET_INFO: regions");
  check(kernel, 5, words[3], "GET_INFO: interrupts");
}

static void region_cases(int device) {
  for (uint32_t index = 0; index < 8; ++index) {
    struct vfio_region_info info = {.argsz = sizeof info, .index = index, .flags = 0xffffffff};
    check(kernel, 0, call(device, VFIO_DEVICE_GET_REGION_INFO, &info), "GET_REGION_INFO %u", index);
    check(kernel, 1, info.offset == REGION(index), "GET_REGION_INFO %u: offset", index);
    check(kernel, 1, info.size == 0 ? info.flags == 0 : (info.flags & 1) != 0, "GET_REGION_INFO %u: flags",
          index);
    check(kernel, index, info.index, "GET_REGION_INFO %u: index", index);
  }
  const struct vfio_region_info config = region_of(device, VFIO_PCI_CONFIG_REGION_INDEX);
  check(kernel, 1, config.size == 256 || config.size == 4096, "configuration space: size");
  check(kernel, 3, config.flags & 7, "configuration space: flags");
  static const uint32_t bad[] = {1000, 0x7fffffff, 0xffffffff};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; ++i) {
    struct vfio_region_info info = {.argsz = sizeof info, .index = bad[i]};
    check(kernel, -EINVAL, call(device, VFIO_DEVICE_GET_REGION_INFO, &info), "GET_REGION_INFO %#x", bad[i]);
  }
}

static void command_cases(const struct scene* scene, int device) {
  static const unsigned others[] = {CMD(0), CMD(1), CMD(2),  CMD(3), CMD(4),
                                    CMD(5), CMD(6), CMD(27), 0x1234, 0};
  for (unsigned i = 0; i < sizeof others / sizeof *others; ++i)
    check(kernel, -ENOTTY, call(device, others[i], scene->nowhere), "command %#x of a device", others[i]);
  check(kernel, -ENOTTY, call(device, VFIO_DEVICE_QUERY_GFX_PLANE, scene->nowhere), "QUERY_GFX_PLANE");
  check(kernel, -ENOTTY, call(device, VFIO_DEVICE_GET_GFX_DMABUF, scene->nowhere), "GET_GFX_DMABUF");
}

static void access_cases(int device) {
  char bytes[4096 + 8];
  memset(bytes, 0, sizeof bytes);
  const uint64_t config = REGION(VFIO_PCI_CONFIG_REGION_INDEX);
  const uint64_t size = region_of(device, VFIO_PCI_CONFIG_REGION_INDEX).size;
  const unsigned long counts[] = {0, 1, 2, 4, 8, 3, 64};
  for (unsigned i = 0; i < sizeof counts / sizeof *counts; ++i)
    check(kernel, (long)counts[i], read_at(device, bytes, counts[i], config),
          "read %lu bytes of configuration space", counts[i]);
  check(kernel, 4, read_at(device, bytes, 4, config + 6), "read configuration space at 6");
  check(kernel, 4, read_at(device, bytes, 4, config + size - 4), "read the end of configuration space");
  check(kernel, -EFAULT, read_at(device, bytes, 4, config + size - 2),
        "read over the end of configuration space");
  check(kernel, -EFAULT, read_at(device, bytes, 4, config + size), "read behind configuration space");
  check(kernel, -EFAULT, write_at(device, bytes, 4, config + size), "write behind configuration space");
  check(kernel, -EINVAL, read_at(device, bytes, 4, REGION(1000)), "read where no region is");
  check(kernel, -EINVAL, write_at(device, bytes, 4, REGION(1000)), "write where no region is");
  for (uint32_t index = 0; index < 6; ++index) {
    const struct vfio_region_info bar = region_of(device, index);
    if (bar.size == 0) {
      check(kernel, -EINVAL, read_at(device, bytes, 4, bar.offset), "read BAR %u, which is none", index);
      check(kernel, -EINVAL, map_at(device, page, bar.offset, true), "map BAR %u, which is none", index);
      continue;
    }
    check(kernel, -EINVAL, read_at(device, bytes, 4, bar.offset + bar.size), "read behind BAR %u", index);
    check(kernel, -EINVAL, write_at(device, bytes, 4, bar.offset + bar.size), "write behind BAR %u", index);
    check(kernel, -EINVAL, map_at(device, page, bar.offset, false), "map BAR %u privately", index);
    check(kernel, -EINVAL,
          map_at(device, page, bar.offset + ((bar.size + page - 1) & ~(uint64_t)(page - 1)), true),
          "map behind BAR %u", index);
  }
  /* The values that a device never changes. */
  uint16_t ids[2], again[2];
  read_at(device, ids, 4, config);
  static const uint16_t other[2] = {0x4711, 0x4711};
  check(kernel, 4, write_at(device, other, 4, config), "write vendor and device id");
  read_at(device, again, 4, config);
  check(kernel, 0, memcmp(ids, again, 4), "vendor and device id stay");
  check(kernel, -EINVAL, map_at(device, page, config, true), "map configuration space");
  check(kernel, -EINVAL, map_at(device, page, REGION(VFIO_PCI_ROM_REGION_INDEX), true), "map the ROM");
  check(kernel, -EINVAL, map_at(device, page, REGION(1000), true), "map where no region is");
}

/* A device that is opened twice is one device. */
static void second_file_cases(const struct scene* scene, struct opened* opened) {
  const long second = get_device(opened->group, scene->device_name);
  const uint64_t line = REGION(VFIO_PCI_CONFIG_REGION_INDEX) + 0x3c;
  const uint8_t value = 0x5a;
  uint8_t seen = 0;
  check(kernel, 1, write_at(opened->device, &value, 1, line), "write INTERRUPT_LINE");
  check(kernel, 1, read_at(second, &seen, 1, line), "read it by another file");
  check(kernel, value, seen, "INTERRUPT_LINE by another file");
  close_fd(second);
  check(kernel, 1, read_at(opened->device, &seen, 1, line), "read it when the other file is closed");
}

void device_cases(const struct scene* scene) {
  struct opened opened = open_all(scene, VFIO_TYPE1v2_IOMMU);
  argsz_cases(scene, opened.device);
  region_cases(opened.device);
  command_cases(scene, opened.device);
  access_cases(opened.device);
  second_file_cases(scene, &opened);
  close_all(&opened);
}
