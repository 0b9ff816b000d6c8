/* errno values: the system's, and those that only the kernel knows. */
#pragma once

#include_next <linux/errno.h>

#ifndef ERESTARTSYS
#define ERESTARTSYS 512
#define ENOIOCTLCMD 515
#define EPROBE_DEFER 517
#define EOPENSTALE 518
#define ENOTSUPP 524
#endif
