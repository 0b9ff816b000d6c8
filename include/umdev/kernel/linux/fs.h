/* Files, and the numbers of their nodes. */
#pragma once

#include <fcntl.h>
#include <linux/err.h>
#include <linux/kdev_t.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static inline int alloc_chrdev_region(dev_t* first, unsigned int base, unsigned int count, const char* name) {
  return umdev_kernel->alloc_chrdev_region(first, base, count, name);
}
static inline void unregister_chrdev_region(dev_t first, unsigned int count) {
  umdev_kernel->unregister_chrdev_region(first, count);
}

#define FMODE_READ 0x1U
#define FMODE_WRITE 0x2U
#define FMODE_LSEEK 0x4U
#define FMODE_PREAD 0x8U
#define FMODE_PWRITE 0x10U
#define FMODE_STREAM 0x200000U

static inline struct file* get_file(struct file* filp) {
  return umdev_kernel->get_file(filp);
}
/* The last one calls the file's release, before it returns. */
static inline void fput(struct file* filp) {
  umdev_kernel->fput(filp);
}
static inline struct inode* file_inode(const struct file* filp) {
  return filp->f_inode;
}
/* Reads and writes get no position then. */
static inline int stream_open(struct inode* inode, struct file* filp) {
  (void)inode;
  filp->f_mode &= ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE);
  filp->f_mode |= FMODE_STREAM;
  return 0;
}
static inline int nonseekable_open(struct inode* inode, struct file* filp) {
  (void)inode;
  filp->f_mode &= ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE);
  return 0;
}
static inline loff_t no_llseek(struct file* filp, loff_t offset, int whence) {
  (void)filp, (void)offset, (void)whence;
  return -ESPIPE;
}
static inline loff_t noop_llseek(struct file* filp, loff_t offset, int whence) {
  (void)offset, (void)whence;
  return filp->f_pos;
}
static inline long compat_ptr_ioctl(struct file* filp, unsigned int cmd, unsigned long arg) {
  return filp->f_op->unlocked_ioctl ? filp->f_op->unlocked_ioctl(filp, cmd, arg) : -ENOTTY;
}
