/* Pages, and what clients map. */
#pragma once

#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernel.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(address) ALIGN(address, PAGE_SIZE)
#define PAGE_ALIGNED(address) IS_ALIGNED((unsigned long)(address), PAGE_SIZE)
#define offset_in_page(address) ((unsigned long)(address) & ~PAGE_MASK)

#define VM_READ 0x1UL
#define VM_WRITE 0x2UL
#define VM_EXEC 0x4UL
#define VM_SHARED 0x8UL
#define VM_MAYREAD 0x10UL
#define VM_MAYWRITE 0x20UL
#define VM_IO 0x4000UL
#define VM_PFNMAP 0x400UL
#define VM_DONTEXPAND 0x40000UL
#define VM_DONTDUMP 0x4000000UL

#define VM_FAULT_OOM 0x1U
#define VM_FAULT_SIGBUS 0x2U
#define VM_FAULT_NOPAGE 0x100U

UMDEV_C_BEGIN
typedef umdev_vm_fault_t vm_fault_t;
UMDEV_C_END

static inline struct page* alloc_pages(gfp_t flags, unsigned int order) {
  (void)flags; /* always zeroed */
  return umdev_kernel->alloc_pages(order);
}
static inline struct page* alloc_page(gfp_t flags) {
  return alloc_pages(flags, 0);
}
/* What is no page crashes in the driver's own code, which ends the call, and not in the daemon's. */
static inline void umdev_touch_page(const struct page* page) {
  (void)*(const volatile char*)page;
}
static inline void get_page(struct page* page) {
  umdev_touch_page(page);
  umdev_kernel->get_page(page);
}
static inline void put_page(struct page* page) {
  umdev_touch_page(page);
  umdev_kernel->put_page(page);
}
static inline void* page_address(const struct page* page) {
  umdev_touch_page(page);
  return umdev_kernel->page_address(page);
}
static inline void __free_pages(struct page* page, unsigned int order) {
  unsigned long n;
  for (n = 1UL << order; n-- > 0;) umdev_kernel->put_page(umdev_kernel->nth_page(page, n));
}
static inline void __free_page(struct page* page) {
  put_page(page);
}
static inline int vm_insert_page(struct vm_area_struct* vma, unsigned long address, struct page* page) {
  return umdev_kernel->vm_insert_page(vma, address, page);
}
