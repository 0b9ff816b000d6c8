/* The parts of vfio_program. */
#pragma once

#include <linux/vfio.h>
#include <stddef.h>

struct files {
  int container, group, device;
};

/* All of these end the program when something is not as it should be. */
void give_up(const char* what);
struct files open_all(const char* group, const char* device);
void close_all(struct files files);
struct vfio_region_info region_of(int device, unsigned index);

int dma(const char* group, const char* name, const char* memory, size_t size);
int mapped_registers(const char* group, const char* name);
int family(const char* group, const char* name, const char* program);
/* The part of family() that comes after exec. */
int heir(int device);
