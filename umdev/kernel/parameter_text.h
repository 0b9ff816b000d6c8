// The value of a module's parameter as text, the way back of Module::set_parameter().
#pragma once

#include <string>

#include "include/umdev/kernel/umdev/module.h"

namespace umdev::kernel {

// As the kernel shows it in /sys/module/NAME/parameters: numbers in decimal digits, Y or N. A text that is
// not there is empty.
std::string parameter_text(const ::umdev_parameter& parameter);

}  // namespace umdev::kernel
