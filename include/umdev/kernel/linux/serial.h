/* Serial lines: the registers. */
#pragma once

#include <linux/serial_reg.h>
#include <linux/types.h>
