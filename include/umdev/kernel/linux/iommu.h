/* IOMMU groups are VFIO's business here. */
#pragma once

#include <linux/device.h>
