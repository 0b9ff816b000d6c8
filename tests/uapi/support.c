/* What the cases are written with. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

static int run, failed;

static const char* text_of(long result, char* buffer, size_t size) {
  if (result < 0)
    snprintf(buffer, size, "%s", strerrorname_np((int)-result) ? strerrorname_np((int)-result) : "?");
  else
    snprintf(buffer, size, "%ld", result);
  return buffer;
}

void check(enum origin origin, long expected, long got, const char* format, ...) {
  char text[200], one[32], other[32];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  ++run;
  const char* from = origin == kernel ? "kernel" : "reference";
  if (expected == got) {
    printf("ok %d - %s: %s # %s\n", run, text, text_of(got, one, sizeof one), from);
    return;
  }
  ++failed;
  printf("not ok %d - %s: %s instead of %s # %s\n", run, text, text_of(got, one, sizeof one),
         text_of(expected, other, sizeof other), from);
}

void skip(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("# skipped: ");
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
}

int cases_run(void) {
  return run;
}

uint64_t address_of(const struct scene* scene, uint64_t address) {
  if (address >= IN_BUFFER && address < IN_BUFFER + buffer_size)
    return (uintptr_t)scene->buffer + (address - IN_BUFFER);
  return address;
}

long call_number(int fd, unsigned command, unsigned long argument) {
  const int result = ioctl(fd, command, argument);
  return result < 0 ? -errno : result;
}

long call(int fd, unsigned command, const void* argument) {
  return call_number(fd, command, (uintptr_t)argument);
}

long open_path(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

long close_fd(long fd) {
  return fd < 0 ? 0 : close((int)fd);
}

long read_at(long fd, void* into, unsigned long count, uint64_t offset) {
  const ssize_t result = pread64((int)fd, into, count, (off64_t)offset);
  return result < 0 ? -errno : result;
}

long write_at(long fd, const void* from, unsigned long count, uint64_t offset) {
  const ssize_t result = pwrite64((int)fd, from, count, (off64_t)offset);
  return result < 0 ? -errno : result;
}

/* 0 for a mapping that could be made, and is gone again. */
long map_at(long fd, unsigned long length, uint64_t offset, bool shared) {
  void* memory = mmap64(NULL, length, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, (int)fd,
                        (off64_t)offset);
  if (memory == MAP_FAILED) return -errno;
  munmap(memory, length);
  return 0;
}

static int needed(long result, const char* what) {
  if (result >= 0) return (int)result;
  printf("# cannot go on: %s: %s\n", what, strerrorname_np((int)-result));
  exit(2);
}

long get_device(int group, const char* name) {
  return call(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

struct opened open_all(const struct scene* scene, unsigned iommu_type) {
  struct opened opened;
  opened.container = needed(open_path("/dev/vfio/vfio"), "open /dev/vfio/vfio");
  opened.group = needed(open_path(scene->group_path), scene->group_path);
  needed(call(opened.group, VFIO_GROUP_SET_CONTAINER, &opened.container), "SET_CONTAINER");
  needed(call_number(opened.container, VFIO_SET_IOMMU, iommu_type), "SET_IOMMU");
  opened.device = needed(get_device(opened.group, scene->device_name), "GET_DEVICE_FD");
  return opened;
}

void close_all(struct opened* opened) {
  close_fd(opened->device);
  close_fd(opened->group);
  close_fd(opened->container);
}

int run_cases(const struct scene* scene) {
  run = failed = 0;
  container_cases(scene);
  group_cases(scene);
  type1_cases(scene);
  dirty_cases(scene);
  device_cases(scene);
  pci_cases(scene);
  interrupt_cases(scene);
  feature_cases(scene);
  iommufd_cases(scene);
  cdev_cases(scene);
  printf("1..%d\n# %d failed\n", run, failed);
  return failed;
}
