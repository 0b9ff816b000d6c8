/* Copies by a DMA engine of the I/OAT kind, by its registers, and looks at every byte. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/vfio_program/vfio_program.h"

/* The registers of channel 0, and the states at the end of its status. */
enum {
  channel = 0x80,
  control = 0,
  command = 4,
  count = 6,
  status = 8,
  chain = 0x10,
  completion = 0x18,
  error = 0x28
};
enum { active = 0, done = 1, patience_ms = 20000 };
enum { completion_update = 8, piece_max = 1 << 20, descriptors_max = 32, page = 4096 };
static const uint64_t first_iova = 0x40000000;

struct descriptor {
  uint32_t size, control;
  uint64_t source, destination, next, rest[4];
};

static uint8_t* take_memory(const char* kind, size_t size) {
  void* memory = MAP_FAILED;
  if (strcmp(kind, "private") == 0)
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  else if (strcmp(kind, "shared") == 0)
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  else if (strcmp(kind, "memfd") == 0) {
    int fd = memfd_create("dma", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
      memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (memory == MAP_FAILED) give_up(kind);
  return memory;
}

static int device_fd;
static uint64_t registers;

static void put(unsigned at, uint64_t value, size_t size) {
  if (pwrite(device_fd, &value, size, (off_t)(registers + channel + at)) != (ssize_t)size)
    give_up("a register");
}

static uint64_t get(unsigned at, size_t size) {
  uint64_t value = 0;
  if (pread(device_fd, &value, size, (off_t)(registers + channel + at)) != (ssize_t)size)
    give_up("a register");
  return value;
}

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run_chain(unsigned descriptors) {
  int64_t begin = milliseconds();
  put(command, 0x20, 1); /* reset */
  while (get(command, 1) & 0x20 && milliseconds() - begin < patience_ms) usleep(1000);
  put(completion, first_iova + page, 8);
  put(control, 0x1c, 2);
  put(chain, first_iova, 8);
  put(count, descriptors, 2);
  while ((get(status, 8) & 7) == active && milliseconds() - begin < patience_ms) usleep(100);
  if ((get(status, 8) & 7) != done) {
    printf("status 0x%llx, error 0x%llx\n", (unsigned long long)get(status, 8),
           (unsigned long long)get(error, 4));
    give_up("the engine");
  }
}

struct lending {
  int container;
  struct vfio_iommu_type1_dma_map map;
};

static void* lend(void* argument) {
  struct lending* lending = argument;
  if (ioctl(lending->container, VFIO_IOMMU_MAP_DMA, &lending->map) != 0) give_up("MAP_DMA");
  return NULL;
}

/* Memory is a process's: it stays lent when the thread that has lent it ends. */
static void lend_by_a_thread_that_ends(struct lending* lending) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, lend, lending) != 0 || pthread_join(thread, NULL) != 0)
    give_up("a thread");
}

/* A page for the descriptors, one for the completion, then the source and the destination. */
int dma(const char* group, const char* name, const char* kind, size_t size) {
  struct files files = open_all(group, name);
  const size_t total = 2 * page + 2 * size;
  uint8_t* memory = take_memory(kind, total);
  uint8_t *source = memory + 2 * page, *destination = source + size;
  struct lending lending = {.container = files.container,
                            .map = {.argsz = sizeof lending.map,
                                    .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                    .vaddr = (uintptr_t)memory,
                                    .iova = first_iova,
                                    .size = total}};
  if (size % page != 0 || size > (size_t)piece_max * descriptors_max) give_up("such a size");
  lend_by_a_thread_that_ends(&lending);
  for (size_t at = 0; at < size; at++) source[at] = (uint8_t)(at * 7 + at / 251);

  device_fd = files.device;
  registers = region_of(files.device, VFIO_PCI_BAR0_REGION_INDEX).offset;
  uint16_t memory_and_bus_master = 6;
  const off_t config = (off_t)region_of(files.device, VFIO_PCI_CONFIG_REGION_INDEX).offset;
  if (pwrite(device_fd, &memory_and_bus_master, 2, config + 4) != 2) give_up("PCI_COMMAND");
  struct descriptor* ring = (struct descriptor*)memory;
  unsigned used = 0;
  for (size_t at = 0; at < size; at += piece_max, used++)
    ring[used] = (struct descriptor){.size = (uint32_t)(size - at < piece_max ? size - at : piece_max),
                                     .control = completion_update,
                                     .source = first_iova + 2 * page + at,
                                     .destination = first_iova + 2 * page + size + at,
                                     .next = first_iova + (used + 1) % descriptors_max * sizeof *ring};
  run_chain(used);
  if (memcmp(source, destination, size) != 0) give_up("the copy");
  struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof unmap, .iova = first_iova, .size = total};
  if (ioctl(files.container, VFIO_IOMMU_UNMAP_DMA, &unmap) != 0 || unmap.size != total) give_up("UNMAP_DMA");
  close_all(files);
  return 0;
}
