/* The registers of a UART: the system's. */
#pragma once

#include <linux/serial_reg.h>
