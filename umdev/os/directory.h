// Directories of a running daemon, and who owns them.
#pragma once

#include <sys/types.h>

#include <string>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

// Makes a directory and those above it that are missing, all with exactly the permissions `mode`. What is
// there already stays as it is. ENOTDIR when a part of the path is no directory; EACCES and the like.
Result<> make_directories(const std::string& path, mode_t mode);

// Adds what lets everybody reach what is in a directory by its name, and nothing more: mode 0711 where it was
// 0700. EPERM when it is another user's and does not let them already.
Result<> let_others_pass(const std::string& path);

// A handle of a directory to reach files in it by (openat() and so on), which stays good when the directory
// is renamed. ENOENT, ENOTDIR.
Result<UniqueFd> open_directory(const std::string& path);

// Says that this process owns a directory, until its end or the process's, however that dies. The file stays
// behind on purpose: removing it would let two processes lock two files of the same name.
class LockFile {
 public:
  // Makes the file if it is missing and locks it; its content is this process's number, for people. EBUSY
  // when another process (or another LockFile of this one) holds it.
  static Result<LockFile> acquire(const std::string& path);

 private:
  explicit LockFile(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace umdev::os
