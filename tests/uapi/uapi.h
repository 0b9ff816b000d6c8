/* The VFIO and iommufd user API, case by case: what a call answers. One program for a kernel, for `umdev
 * run`, and inside of a test: nothing here knows which of them it runs on.
 *
 * A case is one check(): its text, where its expectation comes from, what is expected and what came. A result
 * is what the call returned, or minus the errno. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* Where an expectation comes from. */
enum origin {
  kernel,    /* a kernel's own answer: these hold for vfio-pci behind intel-iommu in a guest, see
                docs/conformance.md */
  reference, /* the interface's documentation, for what that guest's kernel does not have */
};

/* What is being checked, found out before the cases begin. */
struct scene {
  const char* device_name; /* as VFIO_GROUP_GET_DEVICE_FD takes it */
  char group_path[64];     /* /dev/vfio/N */
  char cdev_path[128];     /* /dev/vfio/devices/vfioN; empty: there is none */
  bool has_iommufd;
  bool before_7; /* the answers of kernels before 7.0: a range that wraps is EINVAL */
  bool is_6_1;   /* those of 6.1: what is no container is one more invalid argument */
  bool emulated; /* no DMA of its own (an mdev): any IOVA is valid, memory is not pinned */
  char* buffer;  /* memory of buffer_size, for DMA */
  char* nowhere; /* a page that nothing is mapped at */
  char* readonly;
};
enum { buffer_size = 1 << 20, page = 4096 };

/* An address in a table: this many bytes into the buffer. Everything else is an address as it stands. */
#define IN_BUFFER (1ULL << 60)
uint64_t address_of(const struct scene* scene, uint64_t address);

void check(enum origin origin, long expected, long got, const char* format, ...)
    __attribute__((format(printf, 4, 5)));
void skip(const char* format, ...) __attribute__((format(printf, 1, 2)));

/* What a range that wraps is. */
static inline long wraps(const struct scene* scene) {
  return scene->before_7 ? -EINVAL : -EOVERFLOW;
}

/* System calls with their result, or minus the errno. */
long call(int fd, unsigned command, const void* argument);
long call_number(int fd, unsigned command, unsigned long argument);
long open_path(const char* path);
long close_fd(long fd);
long read_at(long fd, void* into, unsigned long count, uint64_t offset);
long write_at(long fd, const void* from, unsigned long count, uint64_t offset);
long map_at(long fd, unsigned long length, uint64_t offset, bool shared);

/* The three files that a program begins with. Where one cannot be had the program ends, with the reason. */
struct opened {
  int container;
  int group;
  int device;
};
struct opened open_all(const struct scene* scene, unsigned iommu_type);
void close_all(struct opened* opened);
long get_device(int group, const char* name);

/* The cases. Each leaves everything closed. */
void container_cases(const struct scene* scene);
void group_cases(const struct scene* scene);
void type1_cases(const struct scene* scene);
void dirty_cases(const struct scene* scene);
void device_cases(const struct scene* scene);
void pci_cases(const struct scene* scene);
void interrupt_cases(const struct scene* scene);
void feature_cases(const struct scene* scene);
void iommufd_cases(const struct scene* scene);
void cdev_cases(const struct scene* scene);

/* Runs them all; the number of cases that failed. */
int run_cases(const struct scene* scene);
int cases_run(void);
