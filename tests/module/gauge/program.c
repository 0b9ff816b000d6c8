/*
 * Uses a gauge as every VFIO program uses its device: GROUP NAME, the steps of a script on stdin, and what
 * came of each on stdout. Links nothing of ours.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { bytes_max = 64, guest_size = 0x3000, line_max = 256 };

static int container = -1;
static int device = -1;
static int event = -1;
static uint8_t* guest;
static uint8_t* memory;

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static int say_errno(void) {
  return printf("%s\n", strerrorname_np(errno));
}

static int say(int result) {
  return result < 0 ? say_errno() : puts("ok");
}

static int say_bytes(const uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; i++) printf("%02x", bytes[i]);
  return puts("");
}

static size_t parse_bytes(const char* text, uint8_t* bytes) {
  size_t count = strlen(text) / 2;

  for (size_t i = 0; i < count && i < bytes_max; i++) sscanf(text + 2 * i, "%2hhx", &bytes[i]);
  return count;
}

static void open_device(const char* group_number, const char* name) {
  struct vfio_group_status status = {.argsz = sizeof(status)};
  char path[64];
  int group;

  snprintf(path, sizeof(path), "/dev/vfio/%s", group_number);
  container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  group = open(path, O_RDWR | O_CLOEXEC);
  if (container < 0 || group < 0) fail("open");
  if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0 || !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
    fail("GROUP_GET_STATUS");
  if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0) fail("GROUP_SET_CONTAINER");
  if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0) fail("SET_IOMMU");
  device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
  if (device < 0) fail("GROUP_GET_DEVICE_FD");
}

static uint64_t offset_of(uint32_t index) {
  struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

  return ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 ? 0 : info.offset;
}

static int do_info(void) {
  struct vfio_device_info info = {.argsz = sizeof(info)};

  if (ioctl(device, VFIO_DEVICE_GET_INFO, &info) < 0) return say_errno();
  return printf("flags 0x%x, %u regions, %u interrupts\n", info.flags, info.num_regions, info.num_irqs);
}

static int do_region(uint32_t index) {
  struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) return say_errno();
  return printf("flags 0x%x, size 0x%llx\n", info.flags, info.size);
}

static int do_irq(uint32_t index) {
  struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

  if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0) return say_errno();
  return printf("flags 0x%x, count %u\n", info.flags, info.count);
}

static int do_read(uint32_t region, uint64_t offset, size_t count) {
  uint8_t bytes[bytes_max];
  ssize_t done = pread(device, bytes, count, offset_of(region) + offset);

  return done < 0 ? say_errno() : say_bytes(bytes, done);
}

static int do_write(uint32_t region, uint64_t offset, const char* text) {
  uint8_t bytes[bytes_max];
  size_t count = parse_bytes(text, bytes);
  ssize_t done = pwrite(device, bytes, count, offset_of(region) + offset);

  return done < 0 ? say_errno() : printf("%zd\n", done);
}

static int do_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count) {
  struct vfio_irq_set set = {
      .argsz = sizeof(set), .flags = flags, .index = index, .start = start, .count = count};

  return say(ioctl(device, VFIO_DEVICE_SET_IRQS, &set));
}

static int do_listen(void) {
  struct {
    struct vfio_irq_set set;
    int32_t event;
  } request = {.set = {.argsz = sizeof(request),
                       .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                       .count = 1},
               .event = event};

  return say(ioctl(device, VFIO_DEVICE_SET_IRQS, &request));
}

static int do_event(void) {
  uint64_t count = 0;

  if (read(event, &count, sizeof(count)) < 0) count = 0;
  return printf("%llu\n", (unsigned long long)count);
}

static int do_map(uint64_t iova, uint64_t size, const char* access) {
  static uint64_t used;
  struct vfio_iommu_type1_dma_map map = {.argsz = sizeof(map),
                                         .flags = VFIO_DMA_MAP_FLAG_READ,
                                         .vaddr = (uintptr_t)guest + used,
                                         .iova = iova,
                                         .size = size};

  if (strchr(access, 'w')) map.flags |= VFIO_DMA_MAP_FLAG_WRITE;
  used += size;
  return say(ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
}

static int do_unmap(uint64_t iova, uint64_t size) {
  struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size = size};

  return say(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
}

static int do_mmap(uint32_t region) {
  struct vfio_region_info info = {.argsz = sizeof(info), .index = region};
  void* place;

  if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) return say_errno();
  place = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, info.offset);
  if (place == MAP_FAILED) return say_errno();
  memory = place;
  return puts("ok");
}

static int do_poke(uint8_t* place, const char* text) {
  uint8_t bytes[bytes_max];
  size_t count = parse_bytes(text, bytes);

  memcpy(place, bytes, count);
  return puts("ok");
}

static int do_step(const char* line) {
  unsigned long long a = 0, b = 0, c = 0, d = 0;
  char verb[16] = "", text[line_max] = "";

  sscanf(line, "%15s %lli %lli %lli %lli", verb, (long long*)&a, (long long*)&b, (long long*)&c,
         (long long*)&d);
  if (!strcmp(verb, "info")) return do_info();
  if (!strcmp(verb, "region")) return do_region(a);
  if (!strcmp(verb, "irq")) return do_irq(a);
  if (!strcmp(verb, "read")) return do_read(a, b, c);
  if (!strcmp(verb, "irqs")) return do_irqs(a, b, c, d);
  if (!strcmp(verb, "listen")) return do_listen();
  if (!strcmp(verb, "event")) return do_event();
  if (!strcmp(verb, "unmap")) return do_unmap(a, b);
  if (!strcmp(verb, "mmap")) return do_mmap(a);
  if (!strcmp(verb, "reset")) return say(ioctl(device, VFIO_DEVICE_RESET));
  if (!strcmp(verb, "peek")) return say_bytes(memory + a, b);
  if (!strcmp(verb, "guest")) return say_bytes(guest + a, b);
  if (sscanf(line, "write %lli %lli %255s", (long long*)&a, (long long*)&b, text) == 3)
    return do_write(a, b, text);
  if (sscanf(line, "map %lli %lli %255s", (long long*)&a, (long long*)&b, text) == 3)
    return do_map(a, b, text);
  if (sscanf(line, "poke %lli %255s", (long long*)&a, text) == 2) return do_poke(memory + a, text);
  if (sscanf(line, "fill %lli %255s", (long long*)&a, text) == 2) return do_poke(guest + a, text);
  return puts("what?");
}

int main(int count, char** values) {
  char line[line_max];

  if (count != 3) return 2;
  guest = mmap(NULL, guest_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (guest == MAP_FAILED || event < 0) fail("memory and an eventfd");
  open_device(values[1], values[2]);
  while (fgets(line, sizeof(line), stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (line[0] == '#' || !line[0]) continue;
    printf("%s: ", line);
    do_step(line);
    fflush(stdout);
  }
  return 0;
}
