/* What a device's DMA would see of pages: their addresses here. */
#pragma once

#include <linux/device.h>
#include <linux/scatterlist.h>

static inline int dma_map_sg(struct device* dev, struct scatterlist* list, int count,
                             enum dma_data_direction direction) {
  int n;
  (void)dev, (void)direction;
  for (n = 0; n < count; ++n)
    list[n].dma_address = (dma_addr_t)(unsigned long)page_address(list[n].page) + list[n].offset;
  return count;
}
static inline void dma_unmap_sg(struct device* dev, struct scatterlist* list, int count,
                                enum dma_data_direction direction) {
  (void)dev, (void)list, (void)count, (void)direction;
}
static inline int dma_map_sgtable(struct device* dev, struct sg_table* table,
                                  enum dma_data_direction direction, unsigned long attributes) {
  (void)attributes;
  return dma_map_sg(dev, table->sgl, (int)table->orig_nents, direction) > 0 ? 0 : -EINVAL;
}
static inline void dma_unmap_sgtable(struct device* dev, struct sg_table* table,
                                     enum dma_data_direction direction, unsigned long attributes) {
  (void)dev, (void)table, (void)direction, (void)attributes;
}
