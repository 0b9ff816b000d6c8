// Small files that are whole after any crash: the old content or the new one, never a part of either.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

// The system calls behind a durable change. A test overrides them to put a failure in their way; each answers
// as its namesake, errno included.
class FileCalls {
 public:
  virtual ~FileCalls() = default;
  virtual ssize_t write(int fd, const void* bytes, std::size_t size);
  virtual int fsync(int fd);
  virtual int rename(int from_directory, const char* from, int to_directory, const char* to);
  virtual int unlink(int directory, const char* name);
};
// The ones of the system. Stateless, so any thread.
FileCalls& system_file_calls();

// Directories are descriptors that can be read (open_for_sync()), names a single component; nothing here
// follows a link in the last one. Any thread; two changes of one name are not told apart.

// A directory, readable, so that fsync() takes it. ENOENT, ENOTDIR (a link, too), EACCES.
Result<UniqueFd> open_for_sync(int parent, const std::string& name);
Result<UniqueFd> open_for_sync(const std::string& path);

// Makes a directory in another one unless it is there, durably.
Result<> make_directory(FileCalls& calls, int parent, const std::string& name, mode_t mode);

// Replaces (or makes) a file: written in `scratch`, a directory of the same file system, made durable, put in
// its place in one step, and that made durable. After an error before the last step the old file is there as
// it was; after one in it (EIO of the directory's fsync) either may be. What a crash leaves in `scratch` is
// to be removed by clear_directory().
Result<> replace_file(FileCalls& calls, int scratch, int directory, const std::string& name,
                      std::string_view text, mode_t mode);

// Removes a file, durably. ENOENT when it is not there.
Result<> remove_file(FileCalls& calls, int directory, const std::string& name);

// The content of a regular file. ENOENT; ELOOP for a link; EINVAL for what is no file; EFBIG for more than
// `most` bytes. Never waits for a writer.
Result<std::string> read_file(int directory, const std::string& name, std::size_t most);

// The names in a directory, sorted, without "." and "..".
Result<std::vector<std::string>> list_directory(int directory);

// Removes all files in a directory; its subdirectories stay.
Result<> clear_directory(int directory);

}  // namespace umdev::os
