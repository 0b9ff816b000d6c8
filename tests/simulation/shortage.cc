#include "tests/simulation/shortage.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdarg>

namespace umdev::simulation {

namespace {

Shortage* current = nullptr;

}  // namespace

Shortage::Shortage(std::uint64_t seed) : random_(seed) {
  current = this;
}

Shortage::~Shortage() {
  current = nullptr;
}

bool Shortage::strikes() {
  return armed_ && percent_ != 0 && random_() % 100 < percent_;
}

}  // namespace umdev::simulation

// The linker leads the calls of the whole program here (--wrap).
extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming): the linker's names
void* __real_mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset);
int __real_fcntl(int fd, int command, ...);

void* __wrap_mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  using umdev::simulation::current;
  if (fd >= 0 && current != nullptr && current->strikes()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return __real_mmap(address, length, protection, flags, fd, offset);
}

int __wrap_fcntl(int fd, int command, ...) {
  using umdev::simulation::current;
  va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  if (command == F_DUPFD_CLOEXEC && current != nullptr && current->strikes()) {
    errno = EMFILE;
    return -1;
  }
  return __real_fcntl(fd, command, argument);
}
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)

}  // extern "C"
