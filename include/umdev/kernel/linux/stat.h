/* Modes. */
#pragma once

#include_next <linux/stat.h>

#ifndef S_IRUGO
#define S_IRUGO 0444
#define S_IWUGO 0222
#endif
#ifndef S_IRUSR
#define S_IRUSR 0400
#define S_IWUSR 0200
#endif
