// New identities.
#pragma once

#include "umdev/support/uuid.h"

namespace umdev::os {

// A random UUID (version 4, RFC 9562). Any thread.
Uuid random_uuid();

}  // namespace umdev::os
