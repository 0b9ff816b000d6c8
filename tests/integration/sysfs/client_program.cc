#include "tests/integration/sysfs/client_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string_view>

namespace umdev::test {
namespace {

constexpr int patience = 60000;  // milliseconds

std::pair<os::UniqueFd, os::UniqueFd> make_pipe() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  return {os::UniqueFd(ends[0]), os::UniqueFd(ends[1])};
}

}  // namespace

ClientProgram::ClientProgram(const std::string& root, const std::string& name) {
  auto [its_input, to] = make_pipe();
  auto [from, its_output] = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  // A group of its own, so that its children end with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawn_file_actions_adddup2(&actions, its_input.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, its_output.get(), 1);
  std::string program = UMDEV_TREE_CLIENT;
  std::string first = root;
  std::string second = name;
  std::array<char*, 4> arguments{program.data(), first.data(), second.data(), nullptr};
  EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, &attributes, arguments.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  to_ = std::move(to);
  from_ = std::move(from);
}

ClientProgram::~ClientProgram() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::string ClientProgram::word() {
  std::string word;
  for (;;) {
    pollfd readable{.fd = from_.get(), .events = POLLIN, .revents = 0};
    char character = 0;
    if (::poll(&readable, 1, patience) != 1) {
      ADD_FAILURE() << "the client says nothing";
      return word;
    }
    if (::read(from_.get(), &character, 1) != 1 || character == '\n') return word;
    word += character;
  }
}

void ClientProgram::go_on() {
  EXPECT_EQ(::write(to_.get(), "\n", 1), 1);
}

int ClientProgram::status() {
  to_.reset();
  while (!word().empty()) ADD_FAILURE() << "the client waits for something";
  int status = 0;
  const pid_t pid = std::exchange(pid_, -1);
  if (pid <= 0 || ::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace umdev::test
