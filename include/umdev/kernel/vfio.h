/* drivers/vfio/vfio.h, where IOMMU drivers find their interface since 5.16. */
#pragma once

#include <linux/vfio.h>
