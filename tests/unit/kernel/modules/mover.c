/* A device of sixteen bytes that can move (6.1's API and later). Its last byte says what goes wrong next. */
#include <linux/anon_inodes.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#define MOVER_BYTES 16

enum mover_fault {
  fault_none = 0,
  fault_refuse = 1,       /* the next change of state is -EXDEV */
  fault_lose = 2,         /* the same, and the device is in ERROR */
  fault_crash = 3,        /* the next change of state crashes */
  fault_no_file = 4,      /* a transfer begins without a file */
  fault_more_files = 5,   /* every arc gives a file */
  fault_stream = 6,       /* the stream's read and write are -EDOM, its ioctl too */
  fault_crash_stream = 7, /* they crash */
};

static int lack;
module_param(lack, int, 0444);
MODULE_PARM_DESC(lack, "which callback is missing");

static atomic_t files = ATOMIC_INIT(0);

struct mover {
  struct vfio_device vdev;
  struct mutex lock;
  enum vfio_device_mig_state state;
  struct file* stream; /* our reference */
  u8 bytes[MOVER_BYTES];
};

static struct mover* to_mover(struct vfio_device* vdev) {
  return container_of(vdev, struct mover, vdev);
}
static u8 take_fault(struct mover* mover) {
  u8 fault = mover->bytes[MOVER_BYTES - 1];
  if (fault != fault_stream && fault != fault_crash_stream) mover->bytes[MOVER_BYTES - 1] = fault_none;
  return fault;
}

/* --- The stream: its bytes are the device's, as they are when they are read. */

static int stream_fault(struct mover* mover) {
  if (mover->bytes[MOVER_BYTES - 1] == fault_crash_stream) *(volatile int*)NULL = 0;
  return mover->bytes[MOVER_BYTES - 1] == fault_stream ? -EDOM : 0;
}
static ssize_t stream_read(struct file* filp, char __user* buf, size_t count, loff_t* pos) {
  struct mover* mover = (struct mover*)filp->private_data;
  int error = stream_fault(mover);
  if (pos) return -ESPIPE;
  if (error) return error;
  if (mover->state != VFIO_DEVICE_STATE_STOP_COPY) return 0;
  count = min_t(size_t, count, MOVER_BYTES - (size_t)filp->f_pos);
  if (copy_to_user(buf, mover->bytes + filp->f_pos, count)) return -EFAULT;
  filp->f_pos += (loff_t)count;
  return (ssize_t)count;
}
/* Takes two bytes at a time. */
static ssize_t stream_write(struct file* filp, const char __user* buf, size_t count, loff_t* pos) {
  struct mover* mover = (struct mover*)filp->private_data;
  int error = stream_fault(mover);
  if (pos) return -ESPIPE;
  if (error) return error;
  if (filp->f_pos >= MOVER_BYTES) return -ENOSPC;
  count = min_t(size_t, count, 2);
  if (copy_from_user(mover->bytes + filp->f_pos, buf, count)) return -EFAULT;
  filp->f_pos += (loff_t)count;
  return (ssize_t)count;
}
static long stream_ioctl(struct file* filp, unsigned int cmd, unsigned long arg) {
  struct vfio_precopy_info info;
  int error = stream_fault((struct mover*)filp->private_data);
  if (error) return error;
  if (cmd != VFIO_MIG_GET_PRECOPY_INFO) return -ENOTTY;
  if (copy_from_user(&info, (void __user*)arg, sizeof(info))) return -EFAULT;
  info.initial_bytes = 3;
  info.dirty_bytes = 4;
  return copy_to_user((void __user*)arg, &info, sizeof(info)) ? -EFAULT : 0;
}
static int stream_release(struct inode* inode, struct file* filp) {
  (void)inode, (void)filp;
  pr_info("%d files left\n", atomic_dec_return(&files));
  return 0;
}
static const struct file_operations stream_ops = {
    .owner = THIS_MODULE,
    .read = stream_read,
    .write = stream_write,
    .unlocked_ioctl = stream_ioctl,
    .compat_ioctl = compat_ptr_ioctl,
    .release = stream_release,
    .llseek = no_llseek,
};

static struct file* begin_stream(struct mover* mover, int flags) {
  struct file* made = anon_inode_getfile("mover", &stream_ops, mover, flags);
  if (IS_ERR(made)) return made;
  stream_open(made->f_inode, made);
  atomic_inc(&files);
  return made;
}
static void end_stream(struct mover* mover) {
  if (mover->stream) fput(mover->stream);
  mover->stream = NULL;
}

/* --- The states. */

static bool is_saving(enum vfio_device_mig_state state) {
  return state == VFIO_DEVICE_STATE_STOP_COPY || (int)state == VFIO_DEVICE_STATE_PRE_COPY ||
         (int)state == VFIO_DEVICE_STATE_PRE_COPY_P2P;
}

static struct file* mover_step(struct mover* mover, enum vfio_device_mig_state to) {
  const enum vfio_device_mig_state from = mover->state;
  switch (take_fault(mover)) {
    case fault_refuse:
      return (struct file*)ERR_PTR(-EXDEV);
    case fault_lose:
      mover->state = VFIO_DEVICE_STATE_ERROR;
      return (struct file*)ERR_PTR(-EXDEV);
    case fault_crash:
      *(volatile int*)NULL = 0;
      return NULL;
    case fault_no_file:
      mover->state = to;
      return NULL;
    case fault_more_files:
      mover->state = to;
      return begin_stream(mover, O_RDONLY);
    default:
      break;
  }
  mover->state = to;
  if (is_saving(from) && is_saving(to)) return NULL;
  end_stream(mover);
  if (!is_saving(to) && to != VFIO_DEVICE_STATE_RESUMING) return NULL;
  mover->stream = begin_stream(mover, is_saving(to) ? O_RDONLY : O_WRONLY);
  return get_file(mover->stream);
}

static struct file* mover_set_state(struct vfio_device* vdev, enum vfio_device_mig_state new_state) {
  struct mover* mover = to_mover(vdev);
  struct file* given = NULL;
  mutex_lock(&mover->lock);
  while (mover->state != new_state) {
    enum vfio_device_mig_state next;
    const int error = vfio_mig_get_next_state(vdev, mover->state, new_state, &next);
    given = error ? (struct file*)ERR_PTR(error) : mover_step(mover, next);
    if (IS_ERR(given)) break;
  }
  mutex_unlock(&mover->lock);
  return given;
}
static int mover_get_state(struct vfio_device* vdev, enum vfio_device_mig_state* state) {
  *state = to_mover(vdev)->state;
  return 0;
}
static int mover_get_data_size(struct vfio_device* vdev, unsigned long* length) {
  if (to_mover(vdev)->bytes[MOVER_BYTES - 1] == fault_stream) return -EDOM;
  *length = MOVER_BYTES;
  return 0;
}
static struct vfio_migration_ops mover_migration = {
    .migration_set_state = mover_set_state,
    .migration_get_state = mover_get_state,
    .migration_get_data_size = mover_get_data_size,
};

static int log_start(struct vfio_device* vdev, struct rb_root_cached* ranges, u32 nnodes, u64* page_size) {
  (void)vdev, (void)ranges, (void)nnodes, (void)page_size;
  return 0;
}
static int log_stop(struct vfio_device* vdev) {
  (void)vdev;
  return 0;
}
static int log_read(struct vfio_device* vdev, unsigned long iova, unsigned long length,
                    struct iova_bitmap* dirty) {
  (void)vdev, (void)iova, (void)length, (void)dirty;
  return 0;
}
static struct vfio_log_ops mover_log = {
    .log_start = log_start, .log_stop = log_stop, .log_read_and_clear = log_read};

static int mover_init_dev(struct vfio_device* vdev) {
  struct mover* mover = to_mover(vdev);
  u8 at;
  mutex_init(&mover->lock);
  mover->state = VFIO_DEVICE_STATE_RUNNING;
  for (at = 0; at < MOVER_BYTES - 1; ++at) mover->bytes[at] = at;
  vdev->migration_flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY;
  vdev->mig_ops = &mover_migration;
  vdev->log_ops = &mover_log;
  if (lack == 1) mover_migration.migration_set_state = NULL;
  if (lack == 2) mover_migration.migration_get_state = NULL;
  if (lack == 3) mover_migration.migration_get_data_size = NULL;
  if (lack == 4) mover_log.log_read_and_clear = NULL;
  if (lack == 5) vdev->migration_flags = VFIO_MIGRATION_P2P;
  if (lack == 6) vdev->mig_ops = NULL;
  if (lack == 7) vdev->log_ops = NULL;
  return 0;
}
static void mover_close(struct vfio_device* vdev) {
  end_stream(to_mover(vdev));
  to_mover(vdev)->state = VFIO_DEVICE_STATE_RUNNING;
}

/* --- The rest of the device. */

static ssize_t mover_read(struct vfio_device* vdev, char __user* buf, size_t count, loff_t* ppos) {
  return copy_to_user(buf, to_mover(vdev)->bytes + *ppos, count) ? -EFAULT : (ssize_t)count;
}
static ssize_t mover_write(struct vfio_device* vdev, const char __user* buf, size_t count, loff_t* ppos) {
  return copy_from_user(to_mover(vdev)->bytes + *ppos, buf, count) ? -EFAULT : (ssize_t)count;
}

/* One that is counted, and one that is not, as the sample mdpy's. */
static int fill_region(struct vfio_region_info* info) {
  if (info->index != 0 && info->index != 16) return -EINVAL;
  info->size = MOVER_BYTES;
  info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  return 0;
}

static long mover_ioctl(struct vfio_device* vdev, unsigned int cmd, unsigned long arg) {
  struct mover* mover = to_mover(vdev);
  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      struct vfio_device_info info = {.num_regions = 1};
      return copy_to_user((void __user*)arg, &info, offsetofend(struct vfio_device_info, num_irqs)) ? -EFAULT
                                                                                                    : 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      struct vfio_region_info info;
      int error;
      if (copy_from_user(&info, (void __user*)arg, sizeof(info))) return -EFAULT;
      error = fill_region(&info);
      if (error) return error;
      return copy_to_user((void __user*)arg, &info, sizeof(info)) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_RESET:
      end_stream(mover);
      mover->state = VFIO_DEVICE_STATE_RUNNING;
      return 0;
    default:
      return -ENOTTY;
  }
}

/* A feature of its own: eight bytes that can be read and written. */
#define MOVER_FEATURE 77

static int mover_feature(struct vfio_device* vdev, u32 flags, void __user* arg, size_t argsz) {
  struct mover* mover = to_mover(vdev);
  int result;
  if ((flags & VFIO_DEVICE_FEATURE_MASK) != MOVER_FEATURE) return -ENOTTY;
  result = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET, 8);
  if (result != 1) return result;
  if (flags & VFIO_DEVICE_FEATURE_SET) return copy_from_user(mover->bytes, arg, 8) ? -EFAULT : 0;
  return copy_to_user(arg, mover->bytes, 8) ? -EFAULT : 0;
}

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_7_0
static int mover_region_info(struct vfio_device* vdev, struct vfio_region_info* info,
                             struct vfio_info_cap* caps) {
  struct vfio_region_info_cap_type type = {
      .header = {.id = VFIO_REGION_INFO_CAP_TYPE, .version = 1}, .type = 5, .subtype = 6};
  int result = fill_region(info);
  (void)vdev;
  if (result) return result;
  result = vfio_info_add_capability(caps, &type.header, sizeof(type));
  if (result) return result;
  type.header.version = 2;
  return vfio_info_add_capability(caps, &type.header, sizeof(type));
}
static int mover_match_token(struct vfio_device* vdev, const uuid_t* uuid) {
  (void)vdev;
  return !uuid || uuid->b[0] == 0x11 ? 0 : -EACCES;
}
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
static int mover_bind(struct vfio_device* vdev, struct iommufd_ctx* ictx, u32* out_device_id) {
  return vfio_iommufd_emulated_bind(vdev, ictx, out_device_id);
}
#endif

static struct vfio_device_ops mover_ops = {
    .name = "vfio-mover",
    .init = mover_init_dev,
    .close_device = mover_close,
    .read = mover_read,
    .write = mover_write,
    .ioctl = mover_ioctl,
    .device_feature = mover_feature,
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_7_0
    .get_region_info_caps = mover_region_info,
    .match_token_uuid = mover_match_token,
#endif
};

static int mover_probe(struct mdev_device* mdev) {
  struct mover* mover;
  int result;
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
  if (lack == 8) mover_ops.bind_iommufd = mover_bind; /* without the other three */
#endif
  if (lack == 9) mover_ops.device_feature = NULL;
  mover = vfio_alloc_device(mover, vdev, &mdev->dev, &mover_ops);
  if (IS_ERR(mover)) return (int)PTR_ERR(mover);
  result = vfio_register_emulated_iommu_dev(&mover->vdev);
  if (result) {
    vfio_put_device(&mover->vdev);
    return result;
  }
  dev_set_drvdata(&mdev->dev, mover);
  return 0;
}
static void mover_remove(struct mdev_device* mdev) {
  struct mover* mover = (struct mover*)dev_get_drvdata(&mdev->dev);
  vfio_unregister_group_dev(&mover->vdev);
  vfio_put_device(&mover->vdev);
}
static unsigned int mover_available(struct mdev_type* type) {
  (void)type;
  return 4;
}

static struct mdev_driver mover_driver = {
    .device_api = VFIO_DEVICE_API_PCI_STRING,
    .driver = {.name = "mover", .owner = THIS_MODULE, .mod_name = KBUILD_MODNAME},
    .probe = mover_probe,
    .remove = mover_remove,
    .get_available = mover_available,
};
static struct mdev_type mover_type = {.sysfs_name = "one", .pretty_name = "One"};
static struct mdev_type* mover_types[] = {&mover_type};
static const struct class mover_class = {.name = "mover"};
static struct device mover_device;
static struct mdev_parent mover_parent;

static void mover_device_release(struct device* dev) {
  (void)dev;
}

static int __init mover_module_init(void) {
  int result = mdev_register_driver(&mover_driver);
  if (result) return result;
  result = class_register((struct class*)&mover_class);
  if (result) return result;
  mover_device.class = &mover_class;
  mover_device.release = mover_device_release;
  dev_set_name(&mover_device, "mover");
  result = device_register(&mover_device);
  if (result) return result;
  if (!IS_ERR(anon_inode_getfile("nothing", NULL, NULL, O_RDONLY))) return -EBADMSG;
  return mdev_register_parent(&mover_parent, &mover_device, &mover_driver, mover_types,
                              ARRAY_SIZE(mover_types));
}
static void __exit mover_module_exit(void) {
  mdev_unregister_parent(&mover_parent);
  device_unregister(&mover_device);
  mdev_unregister_driver(&mover_driver);
  class_unregister((struct class*)&mover_class);
}

module_init(mover_module_init) module_exit(mover_module_exit)

    MODULE_LICENSE("GPL");
