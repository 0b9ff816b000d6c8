// What the files that were opened through one Nodes have in common.
#pragma once

#include <cstdint>
#include <utility>

#include "umdev/ioctl/file.h"
#include "umdev/ioctl/profile.h"

namespace umdev::vfio {
class Core;
}

namespace umdev::ioctl {

struct World {
  vfio::Core& core;
  Profile profile;

  // The end of every command: what this kernel answers.
  void finish(FileKind kind, std::uint32_t command, Result<Answer> answer, Done<Answer>& done) const {
    done(as_answered_by(profile, kind, command, std::move(answer)));
  }
};

// The answer of a command that returns 0.
inline Result<Answer> success(const Result<>& result = {}) {
  if (!result) return std::unexpected(result.error());
  return Answer{};
}

}  // namespace umdev::ioctl
