// What a shared object says of itself in its file, before it is mapped: mapping it runs code of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::kernel {

struct SharedObject {
  std::vector<std::string> needed;  // the libraries that it is linked with: "libasan.so.8"
};

// ENOEXEC: it is no shared object of this machine's kind, or not whole. Any bytes.
Result<SharedObject> read_shared_object(ConstBytes file);
// The same of a file; open()'s and read()'s errors, and EFBIG.
Result<SharedObject> read_shared_object(const std::string& path);

// Whether it was compiled with AddressSanitizer, whose memory has to be there before anything else of a
// process.
bool needs_address_sanitizer(const SharedObject& object);
// Whether this process has that.
bool has_address_sanitizer();

}  // namespace umdev::kernel
