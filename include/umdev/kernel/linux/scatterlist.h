/* Lists of pages, an entry each. */
#pragma once

#include <linux/mm.h>
#include <linux/slab.h>

UMDEV_C_BEGIN
struct scatterlist {
  struct page* page;
  unsigned int offset;
  unsigned int length;
  dma_addr_t dma_address;
};
struct sg_table {
  struct scatterlist* sgl;
  unsigned int nents;
  unsigned int orig_nents;
};
UMDEV_C_END

static inline int sg_alloc_table_from_pages(struct sg_table* table, struct page** pages, unsigned int count,
                                            unsigned int offset, unsigned long size, gfp_t flags) {
  unsigned int n;
  table->sgl = (struct scatterlist*)kcalloc(count, sizeof(struct scatterlist), flags);
  if (!table->sgl) return -ENOMEM;
  table->nents = table->orig_nents = count;
  for (n = 0; n < count; ++n) {
    unsigned long room = PAGE_SIZE - offset;
    table->sgl[n].page = pages[n];
    table->sgl[n].offset = offset;
    table->sgl[n].length = (unsigned int)min_t(unsigned long, room, size);
    size -= table->sgl[n].length;
    offset = 0;
  }
  return 0;
}
static inline void sg_free_table(struct sg_table* table) {
  kfree(table->sgl);
  table->sgl = NULL;
}
