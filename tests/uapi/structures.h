/* Commands and structures that older headers do not have, and plain names for those that every one has. */
#pragma once

#include <linux/vfio.h>
#include <stdint.h>

#define CMD(number) (0x3b64 + (number)) /* _IO(';', 100 + number) */
#define IOMMUFD(number) (0x3b80 + (number))

enum {
  bind_iommufd = CMD(18),
  attach_iommufd_pt = CMD(19),
  detach_iommufd_pt = CMD(20),
  mig_get_precopy_info = CMD(21),
  iommu_destroy = IOMMUFD(0),
  ioas_alloc = IOMMUFD(1),
  ioas_allow_iovas = IOMMUFD(2),
  ioas_copy = IOMMUFD(3),
  ioas_iova_ranges = IOMMUFD(4),
  ioas_map = IOMMUFD(5),
  ioas_unmap = IOMMUFD(6),
  iommu_option = IOMMUFD(7),
  vfio_ioas = IOMMUFD(8),
  hwpt_alloc = IOMMUFD(9),
  get_hw_info = IOMMUFD(10),
};

struct bind_iommufd {
  uint32_t argsz, flags;
  int32_t iommufd;
  uint32_t out_devid;
  uint64_t token_uuid_ptr;
};
struct attach_pt {
  uint32_t argsz, flags, pt_id, pasid;
};
struct detach_pt {
  uint32_t argsz, flags, pasid;
};
struct destroy {
  uint32_t size, id;
};
struct ioas_alloc {
  uint32_t size, flags, out_ioas_id;
};
struct iova_range {
  uint64_t start, last;
};
struct iova_ranges {
  uint32_t size, ioas_id, num_iovas, reserved;
  uint64_t allowed_iovas, out_iova_alignment;
};
struct allow_iovas {
  uint32_t size, ioas_id, num_iovas, reserved;
  uint64_t allowed_iovas;
};
struct ioas_map {
  uint32_t size, flags, ioas_id, reserved;
  uint64_t user_va, length, iova;
};
struct ioas_copy {
  uint32_t size, flags, dst_ioas_id, src_ioas_id;
  uint64_t length, dst_iova, src_iova;
};
struct ioas_unmap {
  uint32_t size, ioas_id;
  uint64_t iova, length;
};
struct option {
  uint32_t size, option_id;
  uint16_t op, reserved;
  uint32_t object_id;
  uint64_t val64;
};
struct hw_info {
  uint32_t size, flags, dev_id, data_len;
  uint64_t data_uptr;
  uint32_t data_type;
  uint8_t pasid_log2, reserved[3];
  uint64_t capabilities;
};
struct vfio_ioas {
  uint32_t size, ioas_id;
  uint16_t op, reserved;
};
