/*
 * How a device moves: the tables that a driver hangs on its struct vfio_device before it registers it.
 *
 * The callbacks have VFIO's own enumeration of states, so whoever includes this has included VFIO's UAPI.
 */
#pragma once

#include "objects.h"
#include "ranges.h"

UMDEV_C_BEGIN

struct vfio_migration_ops {
  /* Goes there; the file of the transfer that begins, or NULL, or an error. The caller has a reference to the
   * file. */
  struct file* (*migration_set_state)(struct vfio_device* device, enum vfio_device_mig_state new_state);
  int (*migration_get_state)(struct vfio_device* device, enum vfio_device_mig_state* curr_state);
  int (*migration_get_data_size)(struct vfio_device* device, unsigned long* stop_copy_length); /* 6.2 */
};

struct vfio_log_ops {
  int (*log_start)(struct vfio_device* device, struct rb_root_cached* ranges, umdev_u32 nnodes,
                   umdev_u64* page_size);
  int (*log_stop)(struct vfio_device* device);
  int (*log_read_and_clear)(struct vfio_device* device, unsigned long iova, unsigned long length,
                            struct iova_bitmap* dirty);
};

UMDEV_C_END
