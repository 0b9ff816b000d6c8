#include "umdev/ioctl/file.h"

namespace umdev::ioctl {

// A file of the kernel's without these operations answers so.

void File::read(std::uint64_t, Bytes, std::shared_ptr<void>, Done<std::size_t> done) {
  done(fail(EINVAL, "the file cannot be read"));
}

void File::write(std::uint64_t, ConstBytes, std::shared_ptr<void>, Done<std::size_t> done) {
  done(fail(EINVAL, "the file cannot be written"));
}

Result<std::vector<MappedPiece>> File::mmap(const MapRequest&) {
  return fail(ENODEV, "the file cannot be mapped");
}

}  // namespace umdev::ioctl
