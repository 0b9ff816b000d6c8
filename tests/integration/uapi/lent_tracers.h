// Tracers that a NodeWorld's file system can be lent: a base class in front of it, which outlives it.
#pragma once

#include <memory>

#include "apps/umdevd/program_tracers.h"

namespace umdev::test {

struct LentTracers {
  explicit LentTracers(const daemon::TracerLimits& limits = {})
      : tracers(daemon::ProgramTracers::create(limits).value()) {}

  const std::unique_ptr<daemon::ProgramTracers> tracers;
};

}  // namespace umdev::test
