/* A chain of capabilities while a driver builds it. */
#pragma once

#include "base.h"

UMDEV_C_BEGIN
struct vfio_info_cap_header;
struct vfio_info_cap {
  struct vfio_info_cap_header* buf;
  size_t size;
};
UMDEV_C_END
