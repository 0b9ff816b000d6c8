// Messages for people: what `umdev trace` prints.
#pragma once

#include <string>

#include "umdev/abi/vfio_user.h"
#include "umdev/support/bytes.h"

namespace umdev::vfio_user {

// What a message says, on one line, without its command's name: "region 7, 0x10, 4 bytes: 00 00 00 fe".
// `bytes` are the message from its header on; they may be cut short, and any bytes at all are described
// somehow. Empty where the command says everything.
std::string describe_message(const abi::VfioUserHeader& header, ConstBytes payload);

}  // namespace umdev::vfio_user
