/* A VFIO program that knows nothing but the kernel's interface: container, group, device. Runs unchanged on a
 * kernel.
 *
 *   vfio_program GROUP DEVICE tour                what a driver does with a device at its start
 *   vfio_program GROUP DEVICE dma MEMORY SIZE     copies by a DMA engine: MEMORY is private, shared, memfd
 *   vfio_program GROUP DEVICE threads             several threads in one device at once
 *   vfio_program GROUP DEVICE registers           the mapped registers of a DMA engine
 *   vfio_program GROUP DEVICE family              the device in others: fork, exec, SCM_RIGHTS, close_range
 *   vfio_program GROUP DEVICE loop                opens, maps, closes for ever, after a line "ready"
 *   vfio_program GROUP DEVICE hold                after a line "ready" keeps the device until a line comes
 *
 * The exit status is 0 when all is as it should be; else a line says what is not.
 */
#define _GNU_SOURCE
#include "tests/e2e/vfio_program/vfio_program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void give_up(const char* what) {
  printf("%s: %s\n", what, strerror(errno));
  fflush(stdout);
  _exit(1);
}

struct files open_all(const char* group, const char* device) {
  struct files files;
  char path[64];
  snprintf(path, sizeof path, "/dev/vfio/%s", group);
  files.container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  files.group = open(path, O_RDWR | O_CLOEXEC);
  if (files.container < 0 || files.group < 0) give_up("open");
  if (ioctl(files.container, VFIO_GET_API_VERSION) != VFIO_API_VERSION) give_up("GET_API_VERSION");
  if (ioctl(files.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) give_up("CHECK_EXTENSION");
  struct vfio_group_status status = {.argsz = sizeof status};
  if (ioctl(files.group, VFIO_GROUP_GET_STATUS, &status) != 0 || !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
    give_up("GET_STATUS");
  if (ioctl(files.group, VFIO_GROUP_SET_CONTAINER, &files.container) != 0) give_up("SET_CONTAINER");
  if (ioctl(files.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) give_up("SET_IOMMU");
  files.device = ioctl(files.group, VFIO_GROUP_GET_DEVICE_FD, device);
  if (files.device < 0) give_up("GET_DEVICE_FD");
  return files;
}

void close_all(struct files files) {
  close(files.device);
  close(files.group);
  close(files.container);
}

struct vfio_region_info region_of(int device, unsigned index) {
  struct vfio_region_info region = {.argsz = sizeof region, .index = index};
  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) != 0) give_up("GET_REGION_INFO");
  return region;
}

static void check_config(int device) {
  struct vfio_region_info config = region_of(device, VFIO_PCI_CONFIG_REGION_INDEX);
  unsigned short ids[2] = {0, 0};
  if (pread(device, ids, sizeof ids, (off_t)config.offset) != sizeof ids || ids[0] == 0 || ids[0] == 0xffff)
    give_up("configuration space");
  if (pread(device, ids, sizeof ids, (off_t)(config.offset + config.size)) >= 0)
    give_up("read behind a region");
  if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, (off_t)config.offset) != MAP_FAILED)
    give_up("mapping configuration space");
}

/* By the loop-back of SET_IRQS: the device itself need not do anything. */
static void check_interrupt(int device) {
  struct vfio_irq_info info = {.argsz = sizeof info, .index = VFIO_PCI_INTX_IRQ_INDEX};
  if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) != 0) give_up("GET_IRQ_INFO");
  if (info.count == 0) return;
  char words[sizeof(struct vfio_irq_set) + sizeof(int)];
  struct vfio_irq_set* set = (struct vfio_irq_set*)words;
  int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  *set = (struct vfio_irq_set){.argsz = sizeof words,
                               .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                               .index = VFIO_PCI_INTX_IRQ_INDEX,
                               .count = 1};
  memcpy(set->data, &event, sizeof event);
  if (ioctl(device, VFIO_DEVICE_SET_IRQS, set) != 0) give_up("SET_IRQS with an eventfd");
  set->argsz = sizeof *set;
  set->flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  if (ioctl(device, VFIO_DEVICE_SET_IRQS, set) != 0) give_up("SET_IRQS as a loop-back");
  struct pollfd ready = {.fd = event, .events = POLLIN};
  if (poll(&ready, 1, 10000) != 1) give_up("the interrupt");
  close(event);
}

static int tour(const char* group, const char* name) {
  struct files files = open_all(group, name);
  struct vfio_device_info info = {.argsz = sizeof info};
  if (ioctl(files.device, VFIO_DEVICE_GET_INFO, &info) != 0 || info.num_regions == 0) give_up("GET_INFO");
  char link[64] = "", path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", files.container);
  if (readlink(path, link, sizeof link - 1) < 0 || strcmp(link, "/dev/vfio/vfio") != 0) give_up(link);
  if ((fcntl(files.device, F_GETFD) & FD_CLOEXEC) == 0)
    give_up("the device's descriptor is not close-on-exec");
  snprintf(path, sizeof path, "/dev/vfio/%s", group);
  if (open(path, O_RDWR) >= 0 || errno != EBUSY) give_up("a second open of the group");
  check_config(files.device);
  check_interrupt(files.device);
  if (info.flags & VFIO_DEVICE_FLAGS_RESET && ioctl(files.device, VFIO_DEVICE_RESET) != 0) give_up("RESET");
  close_all(files);
  /* Closed is closed: all of it can be had again at once. */
  close_all(open_all(group, name));
  return 0;
}

static void* call_often(void* argument) {
  int device = *(int*)argument;
  struct vfio_region_info config = region_of(device, VFIO_PCI_CONFIG_REGION_INDEX);
  for (int round = 0; round < 200; round++) {
    unsigned id = 0;
    struct vfio_device_info info = {.argsz = sizeof info};
    if (pread(device, &id, sizeof id, (off_t)config.offset) != sizeof id || id == 0)
      give_up("pread of a thread");
    if (ioctl(device, VFIO_DEVICE_GET_INFO, &info) != 0 || info.num_regions == 0)
      give_up("ioctl of a thread");
  }
  return NULL;
}

static int threads(const char* group, const char* name) {
  struct files files = open_all(group, name);
  pthread_t others[6];
  for (int i = 0; i < 6; i++)
    if (pthread_create(&others[i], NULL, call_often, &files.device) != 0) give_up("pthread_create");
  for (int i = 0; i < 6; i++) pthread_join(others[i], NULL);
  close_all(files);
  return 0;
}

/* Those of a device that can be mapped. */
static void touch_registers(int device) {
  struct vfio_region_info region = region_of(device, VFIO_PCI_BAR0_REGION_INDEX);
  if (!(region.flags & VFIO_REGION_INFO_FLAG_MMAP)) return;
  volatile unsigned* at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, (off_t)region.offset);
  if (at == MAP_FAILED || *at == 0) give_up("a mapped register");
  munmap((void*)at, 4096);
}

/* For ever, until somebody kills it. */
__attribute__((noreturn)) static void loop(const char* group, const char* name) {
  static char memory[65536] __attribute__((aligned(4096)));
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct files files = open_all(group, name);
    for (int round = 0; round < 3; round++) {
      struct vfio_iommu_type1_dma_map map = {.argsz = sizeof map,
                                             .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                             .vaddr = (unsigned long)memory,
                                             .iova = 0x100000,
                                             .size = sizeof memory};
      struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .iova = map.iova, .size = map.size};
      if (ioctl(files.container, VFIO_IOMMU_MAP_DMA, &map) != 0) give_up("MAP_DMA");
      check_config(files.device);
      touch_registers(files.device);
      if (ioctl(files.container, VFIO_IOMMU_UNMAP_DMA, &unmap) != 0 || unmap.size != map.size)
        give_up("UNMAP_DMA");
    }
    close_all(files);
  }
}

/* The daemon dies meanwhile: errors, and no waiting. */
static int hold(const char* group, const char* name) {
  struct files files = open_all(group, name);
  puts("ready");
  fflush(stdout);
  getchar();
  struct vfio_device_info info = {.argsz = sizeof info};
  char byte;
  if (ioctl(files.device, VFIO_DEVICE_GET_INFO, &info) >= 0) give_up("an ioctl of nobody's device");
  if (pread(files.device, &byte, 1, 0) >= 0) give_up("a read of nobody's device");
  if (ioctl(files.group, VFIO_GROUP_GET_DEVICE_FD, name) >= 0) give_up("a new descriptor of nobody's device");
  if (open("/dev/vfio/vfio", O_RDWR) >= 0) give_up("nobody's container");
  close_all(files);
  return 0;
}

int main(int count, char** words) {
  if (count < 4) return 2;
  const char *group = words[1], *name = words[2], *what = words[3];
  if (strcmp(what, "tour") == 0) return tour(group, name);
  if (strcmp(what, "dma") == 0 && count == 6) return dma(group, name, words[4], strtoul(words[5], NULL, 0));
  if (strcmp(what, "threads") == 0) return threads(group, name);
  if (strcmp(what, "registers") == 0) return mapped_registers(group, name);
  if (strcmp(what, "family") == 0) return family(group, name, words[0]);
  if (strcmp(what, "heir") == 0 && count == 5) return heir(atoi(words[4]));
  if (strcmp(what, "loop") == 0) loop(group, name);
  if (strcmp(what, "hold") == 0) return hold(group, name);
  return 2;
}
