// Measures what goes through this door.
#pragma once

#include <memory>

#include "umdev/fuse/file_system.h"
#include "umdev/support/errno_counters.h"
#include "umdev/support/histogram.h"
#include "umdev/support/host.h"

namespace umdev::sysfs {

// From the system call's arrival to its answer. Any thread.
struct Statistics {
  Histogram reads;
  Histogram writes;
  ErrnoCounters errors;  // of both
};

// Another file, timed. The statistics and the clock outlive every call.
class TimedFile final : public fuse::File {
 public:
  TimedFile(std::shared_ptr<fuse::File> file, Statistics& statistics, const Clock& clock)
      : file_(std::move(file)), statistics_(statistics), clock_(clock) {}

  void read(const fuse::Caller& caller, std::uint64_t offset, std::size_t size,
            Done<std::string> done) override;
  void write(const fuse::Caller& caller, std::uint64_t offset, ConstBytes from,
             Done<std::size_t> done) override;

 private:
  template <typename T>
  Done<T> timed(Histogram& histogram, Done<T> done);

  const std::shared_ptr<fuse::File> file_;
  Statistics& statistics_;
  const Clock& clock_;
};

}  // namespace umdev::sysfs
