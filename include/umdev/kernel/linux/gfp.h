/* How memory is asked for. Only __GFP_ZERO means something here. */
#pragma once

#include <linux/types.h>

#define __GFP_ZERO 0x100U
#define __GFP_NOWARN 0x200U
#define GFP_KERNEL 0x1U
#define GFP_ATOMIC 0x2U
#define GFP_NOWAIT 0x4U
#define GFP_USER 0x8U
#define GFP_HIGHUSER 0x10U
#define GFP_DMA 0x20U
#define GFP_KERNEL_ACCOUNT 0x41U
