#include "umdev/sysfs/timed_file.h"

namespace umdev::sysfs {

template <typename T>
Done<T> TimedFile::timed(Histogram& histogram, Done<T> done) {
  struct Call {
    Statistics& statistics;
    Histogram& histogram;
    const Clock& clock;
    Time begun;
    Done<T> done;
  };
  auto call = std::make_shared<Call>(Call{statistics_, histogram, clock_, clock_.now(), std::move(done)});
  return [call](Result<T> result) {
    call->histogram.record(call->clock.now() - call->begun);
    if (!result) call->statistics.errors.add(result.error().code);
    call->done(std::move(result));
  };
}

void TimedFile::read(const fuse::Caller& caller, std::uint64_t offset, std::size_t size,
                     Done<std::string> done) {
  file_->read(caller, offset, size, timed(statistics_.reads, std::move(done)));
}

void TimedFile::write(const fuse::Caller& caller, std::uint64_t offset, ConstBytes from,
                      Done<std::size_t> done) {
  file_->write(caller, offset, from, timed(statistics_.writes, std::move(done)));
}

}  // namespace umdev::sysfs
