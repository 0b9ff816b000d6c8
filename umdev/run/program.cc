#include "umdev/run/program.h"

#include <unistd.h>

#include <cerrno>
#include <vector>

#include "umdev/support/assert.h"

namespace umdev::run {

Error become(std::span<const std::string> words) {
  UMDEV_ASSERT(!words.empty(), "a program has a name");
  std::vector<char*> values;
  values.reserve(words.size() + 1);
  for (const std::string& word : words) values.push_back(const_cast<char*>(word.c_str()));
  values.push_back(nullptr);
  ::execvp(values.front(), values.data());
  switch (errno) {
    case ENOENT:
      return Error{ENOENT, "there is no such program, or what it is started by is missing"};
    case EACCES:
      return Error{EACCES, "it may not be executed"};
    case ENOEXEC:
      return Error{ENOEXEC, "it is no program"};
    default:
      return Error{errno, "it cannot be executed"};
  }
}

int exit_status_of(const Error& error) {
  return error.code == ENOENT ? exit_not_found : exit_not_executable;
}

}  // namespace umdev::run
