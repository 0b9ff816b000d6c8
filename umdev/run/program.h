// The last step: this process becomes the program.
#pragma once

#include <span>
#include <string>

#include "umdev/support/error.h"

namespace umdev::run {

// Exit statuses of a program that runs another one, as env(1) has them.
inline constexpr int exit_not_run = 125;
inline constexpr int exit_not_executable = 126;
inline constexpr int exit_not_found = 127;

// Replaces this process by a program, looked for in PATH when its name has no slash. Comes back only with an
// error: ENOENT when there is none, else why it cannot be executed. `words` has one element at least.
Error become(std::span<const std::string> words);

// exit_not_found or exit_not_executable.
int exit_status_of(const Error& error);

}  // namespace umdev::run
