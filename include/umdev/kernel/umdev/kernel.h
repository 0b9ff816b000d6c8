/* What every header in linux/ begins with: the services, and this shared object's pointer to them. */
#pragma once

#include "base.h"
#include "objects.h"
#include "services.h"

UMDEV_C_BEGIN
const struct umdev_services* umdev_kernel __attribute__((weak, visibility("hidden")));
UMDEV_C_END
