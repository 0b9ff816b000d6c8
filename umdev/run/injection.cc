#include "umdev/run/injection.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "umdev/run/stopped_thread.h"

namespace umdev::run {
namespace {

constexpr std::uint64_t no_fd = ~std::uint64_t{0};
// Errors of system calls are the last page of numbers.
constexpr std::int64_t largest_error = 4095;

bool is_error(std::int64_t value) {
  return value < 0 && value >= -largest_error;
}

// The program's numbers for the pieces' files, for as long as the mapping is made.
Result<std::vector<int>> give_all(const Listener& listener, const StoppedCall& call,
                                  const std::vector<CarriedPiece>& pieces) {
  std::vector<int> numbers;
  for (const CarriedPiece& piece : pieces) numbers.push_back(UMDEV_TRY(listener.give(call, piece.fd.get())));
  return numbers;
}

class Mapper {
 public:
  Mapper(StoppedThread& thread, const StoppedCall& call) : thread_(thread), call_(call) {}

  // The address, or a negative errno.
  Result<std::int64_t> map(const std::vector<CarriedPiece>& pieces, const std::vector<int>& numbers) {
    const auto& [address, length, protection, flags, fd, offset] = call_.arguments;
    if (pieces.size() == 1 && pieces[0].position == 0 && pieces[0].length >= length)
      return thread_.call(SYS_mmap, {address, length, protection, flags,
                                     static_cast<std::uint64_t>(numbers[0]), pieces[0].fd_offset});
    const std::uint64_t placement = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT);
    const std::int64_t base = UMDEV_TRY(thread_.call(
        SYS_mmap,
        {address, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | placement, no_fd, 0}));
    for (std::size_t index = 0; index < pieces.size() && !is_error(base); ++index) {
      const CarriedPiece& piece = pieces[index];
      const std::int64_t mapped = UMDEV_TRY(thread_.call(
          SYS_mmap, {static_cast<std::uint64_t>(base) + piece.position, piece.length, protection,
                     MAP_SHARED | MAP_FIXED, static_cast<std::uint64_t>(numbers[index]), piece.fd_offset}));
      if (!is_error(mapped)) continue;
      UMDEV_TRY(thread_.call(SYS_munmap, {static_cast<std::uint64_t>(base), length, 0, 0, 0, 0}));
      return mapped;
    }
    return base;
  }

  Result<> close_all(const std::vector<int>& numbers) {
    for (const int number : numbers)
      UMDEV_TRY(thread_.call(SYS_close, {static_cast<std::uint64_t>(number), 0, 0, 0, 0, 0}));
    return {};
  }

 private:
  StoppedThread& thread_;
  const StoppedCall& call_;
};

}  // namespace

void map_in_place_of(const Listener& listener, const StoppedCall& call, Tracer& tracer,
                     const std::vector<CarriedPiece>& pieces) {
  auto thread = StoppedThread::of(call.thread, tracer.traces(call.thread));
  if (!thread) return (void)listener.refuse(call, thread.error().code);
  const auto numbers = give_all(listener, call, pieces);
  // It stops on its way back from the call, before it could see the result.
  if (!numbers) return (void)listener.refuse(call, numbers.error().code);
  if (!listener.refuse(call, ENODEV)) return;
  if (thread->stop()) {
    Mapper mapper(*thread, call);
    const auto address = mapper.map(pieces, *numbers);
    (void)mapper.close_all(*numbers);
    if (address) (void)thread->set_result(*address);
  }
  if (thread->has_died()) tracer.forget(call.thread);
}

}  // namespace umdev::run
