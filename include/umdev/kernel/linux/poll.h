/* Polling of a driver's own files. */
#pragma once

#include <linux/fs.h>
