/* Tasks: a driver's calls run on threads of umdev's. */
#pragma once

#include <linux/kernel.h>
