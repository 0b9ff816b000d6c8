// What is written to attributes, as the kernel reads it.
#pragma once

#include <string_view>

#include "umdev/support/error.h"

namespace umdev {

// kstrtoul with base 0: decimal, 0x hexadecimal or 0 octal, one newline at the end. EINVAL; ERANGE.
Result<unsigned long> parse_number(std::string_view text);

// kstrtobool: by the first letter, or two. EINVAL.
Result<bool> parse_bool(std::string_view text);

}  // namespace umdev
