// Copies between a program's memory and ours, by two threads where that is faster.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "umdev/os/process.h"
#include "umdev/support/bytes.h"
#include "umdev/support/host.h"

namespace umdev::uapi {

// The kernel copies page by page, at a third of what memory could do; two threads have twice that. So a large
// copy is cut into pieces, which are taken by whoever asks and by a second thread. When that comes late, or
// is busy with another copy, there is nothing left for it: nobody waits for it to come, only for the piece
// that it has taken.
//
// Thread-safe. The errors are those of os::Process::read() and write(); after one of them any part may have
// been copied.
class MemoryCopier {
 public:
  static constexpr std::size_t piece_size = std::size_t{128} << 10;  // bytes
  // Below it the second thread would come too late, as a rule.
  static constexpr std::size_t shared_from = 2 * piece_size;

  // Where the second thread is lent, which outlives every copy; null where there is none.
  explicit MemoryCopier(Executor* second) : second_(second) {}

  Result<> read(const std::shared_ptr<os::Process>& process, std::uint64_t address, Bytes into);
  Result<> write(const std::shared_ptr<os::Process>& process, std::uint64_t address, ConstBytes from);

 private:
  class Copy;
  Result<> carry_out(const std::shared_ptr<Copy>& copy);

  Executor* const second_;
  // The second thread has been asked, and has not come yet: one copy waits for it at most. Shared with it, as
  // it may come when this is gone.
  const std::shared_ptr<std::atomic<bool>> asked_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace umdev::uapi
