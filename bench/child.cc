#include "bench/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "bench/machine.h"
#include "umdev/os/system_error.h"

namespace umdev::bench {
namespace {

struct Pipe {
  os::UniqueFd read;
  os::UniqueFd write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) give_up("pipe");
  return {os::UniqueFd(ends[0]), os::UniqueFd(ends[1])};
}

}  // namespace

std::string built(const std::string& path) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / path;
}

Child::Child(std::vector<std::string> words) {
  Pipe input = make_pipe();
  Pipe output = make_pipe();
  std::vector<char*> values;
  for (std::string& word : words) values.push_back(word.data());
  values.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  if (::posix_spawn_file_actions_init(&actions) != 0 ||
      ::posix_spawn_file_actions_adddup2(&actions, input.read.get(), STDIN_FILENO) != 0 ||
      ::posix_spawn_file_actions_adddup2(&actions, output.write.get(), STDOUT_FILENO) != 0)
    give_up("posix_spawn");
  const int error = ::posix_spawn(&process_, values.front(), &actions, nullptr, values.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) give_up(words.front(), Error{.code = error, .text = {}});
  input_ = std::move(input.write);
  output_ = ::fdopen(output.read.release(), "r");
  if (output_ == nullptr) give_up("fdopen");
}

Child::~Child() {
  (void)end();
}

void Child::say_line() {
  if (::write(input_.get(), "\n", 1) != 1) give_up("a program that was measured");
}

std::optional<std::string> Child::next_line() {
  std::string line;
  for (int byte = std::getc(output_); byte != EOF && byte != '\n'; byte = std::getc(output_))
    line.push_back(static_cast<char>(byte));
  if (line.empty() && std::feof(output_) != 0) return std::nullopt;
  return line;
}

int Child::end() {
  if (process_ < 0) return 0;
  input_.reset();
  std::fclose(output_);
  // The daemon in this process may trace the program: until its end, what waitpid() took were its tracer's.
  const os::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, process_, 0)));
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  os::retry_interrupted([&] { return ::poll(&ended, 1, -1); });
  int status = 0;
  os::retry_interrupted([&] { return ::waitpid(process_, &status, 0); });
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace umdev::bench
