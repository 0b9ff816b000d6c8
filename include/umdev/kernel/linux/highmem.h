/* Pages by address: they always have one here. */
#pragma once

#include <linux/mm.h>

static inline void* kmap(struct page* page) {
  return page_address(page);
}
static inline void kunmap(struct page* page) {
  (void)page;
}
static inline void* kmap_local_page(struct page* page) {
  return page_address(page);
}
static inline void kunmap_local(const void* address) {
  (void)address;
}
static inline void* kmap_atomic(struct page* page) {
  return page_address(page);
}
static inline void kunmap_atomic(const void* address) {
  (void)address;
}
