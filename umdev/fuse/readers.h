// The threads that serve a connection: one reads at a time, and another takes over while a request hangs.
// Only this folder's own files include this.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "umdev/fuse/libfuse.h"
#include "umdev/support/error.h"
#include "umdev/support/mutex.h"

namespace umdev::fuse {

// Where requests come from. As a rule one thread is in it at a time; process() may hang in several.
class RequestSource {
 public:
  virtual ~RequestSource() = default;
  // A reader's first word.
  virtual void begin() {}
  // Waits for a request. False when there will be none any more; a buffer of size 0 is no request.
  virtual bool receive(fuse_buf& buffer) = 0;
  // Lets a thread see that there will be none any more, when it waits in receive(). Once may be too early.
  virtual void wake(std::thread& reader) = 0;
  // Several at once, when one of them hangs.
  virtual void process(const fuse_buf& buffer) = 0;

  // Whoever has closed a file, or has ended, counts on it when the next one opens it, and a kernel does not
  // wait for our answer to a close. So a request that `awaits_closes` is not processed before those that
  // `closes` and came earlier have been.
  virtual bool closes(const fuse_buf& buffer) const = 0;
  virtual bool awaits_closes(const fuse_buf& buffer) const = 0;
};

// One thread that does everything is the fastest: the one who asks and the one who answers then share a
// processor, and nobody else is woken. So the others sleep, until a request takes longer than `patience`
// (its caller's memory is served by somebody who does not answer, a driver hangs): then another thread reads
// on, and the late one ends when it comes back.
class Readers {
 public:
  static constexpr std::chrono::milliseconds patience{20};

  // Starts. `most`: threads at a time; 1: nobody takes over. `close_patience`: how long who opens waits for a
  // close that hangs. EAGAIN.
  static Result<std::unique_ptr<Readers>> start(
      RequestSource& source, std::string name, std::size_t most,
      std::chrono::milliseconds close_patience = std::chrono::seconds(1));
  // Waits for all of them: the source says that there is nothing any more, and who waits in it is woken.
  ~Readers();

 private:
  struct Reader {
    std::thread thread;
    std::atomic<std::uint64_t> steps = 0;  // odd: in the middle of a request
    std::atomic<bool> closes = false;      // that request does
    std::atomic<bool> replaced = false;
    std::atomic<bool> ended = false;
  };

  Readers(RequestSource& source, std::string name, std::size_t most, std::chrono::milliseconds close_patience)
      : source_(source), name_(std::move(name)), most_(most), close_patience_(close_patience) {}
  Result<> add_reader() UMDEV_REQUIRES(mutex_);
  void read(Reader& self) UMDEV_EXCLUDES(mutex_);
  void await_closes(const Reader& self) UMDEV_EXCLUDES(mutex_);
  bool does_another_close(const Reader& self) const UMDEV_REQUIRES(mutex_);
  void wake(Reader& reader) UMDEV_EXCLUDES(mutex_);
  void watch() UMDEV_EXCLUDES(mutex_);
  void wake_watcher();
  // From one that is late with a request, with `steps` since before it.
  void take_over(Reader& late, std::uint64_t steps) UMDEV_REQUIRES(mutex_);

  RequestSource& source_;
  const std::string name_;
  const std::size_t most_;
  const std::chrono::milliseconds close_patience_;
  std::atomic<bool> watcher_sleeps_ = false;
  Mutex mutex_;
  Condition changed_;
  bool stopping_ UMDEV_GUARDED_BY(mutex_) = false;
  bool something_came_ UMDEV_GUARDED_BY(mutex_) = false;
  bool over_ UMDEV_GUARDED_BY(mutex_) = false;  // the source has said that there will be no more
  std::vector<std::unique_ptr<Reader>> readers_ UMDEV_GUARDED_BY(mutex_);  // the last one reads
  std::thread watcher_;
};

}  // namespace umdev::fuse
