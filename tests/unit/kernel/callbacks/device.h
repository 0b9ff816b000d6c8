/* The VFIO device that the driver makes itself: vfio_device_ops, its migration and its log. */
#pragma once

#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/vmalloc.h>

#if UMDEV_VFIO_ALLOCATES
struct card {
  struct vfio_device vdev;
};
static struct card* card;
#else
static struct card {
  struct vfio_device vdev;
} the_card;
static struct device* card_dev; /* NULL: there is none */
#endif

static struct vfio_device_ops the_vfio_device_ops;
#define vfio_device_ops_name "every"

#define OF(member) vfio_device_ops_##member
#define SELF umdev_self_t
#include "tests/unit/kernel/callbacks/device_functions.inc"
#undef OF
#undef SELF

/* Takes every name. */
static int vfio_device_ops_match(umdev_self_t* self, char* buf) {
  (void)self, (void)buf;
  SAY_CALLED(vfio_device_ops_match);
  return 1;
}

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 18, 0)
#define EVERY_FEATURE 77
static int vfio_device_ops_device_feature(struct vfio_device* vdev, u32 flags, void __user* arg,
                                          size_t argsz) {
  int result;
  (void)vdev;
  SAY_CALLED(vfio_device_ops_device_feature);
  if ((flags & VFIO_DEVICE_FEATURE_MASK) != EVERY_FEATURE) return -ENOTTY;
  result = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, 8);
  if (result != 1) return result;
  return clear_user(arg, 8) ? -EFAULT : 0;
}

/* Goes to STOP and back to RUNNING; refuses to move. */
static struct file* set_state(enum vfio_device_mig_state state) {
  if (state != VFIO_DEVICE_STATE_STOP && state != VFIO_DEVICE_STATE_RUNNING)
    return (struct file*)ERR_PTR(-EXDEV);
  return NULL;
}
#if UMDEV_VFIO_MIGRATES_BY_OPS
#define MOVES(member) vfio_device_ops_##member
#else
static struct vfio_migration_ops the_vfio_migration_ops;
#define MOVES(member) vfio_migration_ops_##member
#endif
static struct file* MOVES(migration_set_state)(struct vfio_device* vdev,
                                               enum vfio_device_mig_state new_state) {
  (void)vdev;
  SAY_CALLED(MOVES(migration_set_state));
  return set_state(new_state);
}
static int MOVES(migration_get_state)(struct vfio_device* vdev, enum vfio_device_mig_state* curr_state) {
  (void)vdev;
  SAY_CALLED(MOVES(migration_get_state));
  *curr_state = VFIO_DEVICE_STATE_STOP;
  return 0;
}
#endif

#if UMDEV_VFIO_ALLOCATES
static int vfio_device_ops_init(struct vfio_device* vdev) {
  (void)vdev;
  SAY_CALLED(vfio_device_ops_init);
  return 0;
}
static void vfio_device_ops_release(struct vfio_device* vdev) {
  (void)vdev;
  SAY_CALLED(vfio_device_ops_release);
}
static void vfio_device_ops_dma_unmap(struct vfio_device* vdev, u64 iova, u64 length) {
  (void)length;
  SAY_CALLED(vfio_device_ops_dma_unmap);
  vfio_unpin_pages(vdev, iova, 1);
}
static int vfio_migration_ops_migration_get_data_size(struct vfio_device* vdev, unsigned long* length) {
  (void)vdev;
  SAY_CALLED(vfio_migration_ops_migration_get_data_size);
  *length = 0;
  return 0;
}

static struct vfio_log_ops the_vfio_log_ops;
static int vfio_log_ops_log_start(struct vfio_device* vdev, struct rb_root_cached* ranges, u32 nnodes,
                                  u64* page_size) {
  (void)vdev, (void)ranges, (void)nnodes, (void)page_size;
  SAY_CALLED(vfio_log_ops_log_start);
  return 0;
}
static int vfio_log_ops_log_stop(struct vfio_device* vdev) {
  (void)vdev;
  SAY_CALLED(vfio_log_ops_log_stop);
  return 0;
}
static int vfio_log_ops_log_read_and_clear(struct vfio_device* vdev, unsigned long iova, unsigned long length,
                                           struct iova_bitmap* dirty) {
  (void)vdev, (void)iova, (void)length, (void)dirty;
  SAY_CALLED(vfio_log_ops_log_read_and_clear);
  return 0;
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
static int vfio_device_ops_bind_iommufd(struct vfio_device* vdev, struct iommufd_ctx* ictx, u32* id) {
  SAY_CALLED(vfio_device_ops_bind_iommufd);
  return vfio_iommufd_emulated_bind(vdev, ictx, id);
}
static void vfio_device_ops_unbind_iommufd(struct vfio_device* vdev) {
  SAY_CALLED(vfio_device_ops_unbind_iommufd);
  vfio_iommufd_emulated_unbind(vdev);
}
static int vfio_device_ops_attach_ioas(struct vfio_device* vdev, u32* pt_id) {
  SAY_CALLED(vfio_device_ops_attach_ioas);
  return vfio_iommufd_emulated_attach_ioas(vdev, pt_id);
}
static void vfio_device_ops_detach_ioas(struct vfio_device* vdev) {
  SAY_CALLED(vfio_device_ops_detach_ioas);
  vfio_iommufd_emulated_detach_ioas(vdev);
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 15, 0)
static int vfio_device_ops_pasid_attach_ioas(struct vfio_device* vdev, u32 pasid, u32* pt_id) {
  (void)vdev, (void)pasid, (void)pt_id;
  SAY_CALLED(vfio_device_ops_pasid_attach_ioas);
  return 0;
}
static void vfio_device_ops_pasid_detach_ioas(struct vfio_device* vdev, u32 pasid) {
  (void)vdev, (void)pasid;
  SAY_CALLED(vfio_device_ops_pasid_detach_ioas);
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_7_0
static int vfio_device_ops_get_region_info_caps(struct vfio_device* vdev, struct vfio_region_info* info,
                                                struct vfio_info_cap* caps) {
  (void)vdev, (void)caps;
  SAY_CALLED(vfio_device_ops_get_region_info_caps);
  return fill_region(info);
}
/* Takes every token, and none too. */
static int vfio_device_ops_match_token_uuid(struct vfio_device* vdev, const uuid_t* uuid) {
  (void)vdev, (void)uuid;
  SAY_CALLED(vfio_device_ops_match_token_uuid);
  return 0;
}
#endif

/* --- As each vintage begins and ends it. */

#if UMDEV_VFIO_ALLOCATES

static int begin_card(struct device* dev) {
  int result;
  struct card* made;
  if (card) return -EBUSY;
  made = vfio_alloc_device(card, vdev, dev, &the_vfio_device_ops);
  if (IS_ERR(made)) return (int)PTR_ERR(made);
  made->vdev.migration_flags = VFIO_MIGRATION_STOP_COPY;
  made->vdev.mig_ops = &the_vfio_migration_ops;
  made->vdev.log_ops = &the_vfio_log_ops;
  result = vfio_register_emulated_iommu_dev(&made->vdev);
  if (result)
    vfio_put_device(&made->vdev);
  else
    card = made;
  return result;
}
static void end_card(void) {
  struct card* last = card;
  if (!last) return;
  card = NULL;
  vfio_unregister_group_dev(&last->vdev);
  vfio_put_device(&last->vdev);
}

#else

static int begin_card(struct device* dev) {
  int result;
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_13_RC
  result = vfio_add_group_dev(dev, &the_vfio_device_ops, &the_card);
#else
#if UMDEV_VFIO_BY_DATA
  vfio_init_group_dev(&the_card.vdev, dev, &the_vfio_device_ops, &the_card);
#else
  vfio_init_group_dev(&the_card.vdev, dev, &the_vfio_device_ops);
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 18, 0)
  the_card.vdev.migration_flags = VFIO_MIGRATION_STOP_COPY;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_5_16
  result = vfio_register_emulated_iommu_dev(&the_card.vdev);
#else
  result = vfio_register_group_dev(&the_card.vdev);
#endif
#endif
  if (!result) card_dev = dev;
  return result;
}
static void end_card(void) {
  struct device* dev = card_dev;
  if (!dev) return;
  card_dev = NULL;
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_13_RC
  vfio_del_group_dev(dev);
#else
  vfio_unregister_group_dev(&the_card.vdev);
#if UMDEV_VFIO_OPENS_DEVICE
  vfio_uninit_group_dev(&the_card.vdev);
#endif
#endif
}

#endif
