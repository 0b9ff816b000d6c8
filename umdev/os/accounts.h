// Users and groups by their names.
#pragma once

#include <sys/types.h>

#include <string>

#include "umdev/support/error.h"

namespace umdev::os {

// A name, or a number in decimal digits (which need not have a name). ENOENT when there is none. They wait
// for the system's directory services, so they are for the beginning of a program.
Result<uid_t> find_user(const std::string& name);
Result<gid_t> find_group(const std::string& name);

}  // namespace umdev::os
