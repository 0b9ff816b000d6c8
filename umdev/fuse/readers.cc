#include "umdev/fuse/readers.h"

#include <algorithm>
#include <cstdlib>

#include "umdev/os/thread.h"

namespace umdev::fuse {

Result<std::unique_ptr<Readers>> Readers::start(RequestSource& source, std::string name, std::size_t most,
                                                std::chrono::milliseconds close_patience) {
  std::unique_ptr<Readers> readers(new Readers(source, std::move(name), most, close_patience));
  {
    Lock lock(readers->mutex_);
    UMDEV_TRY(readers->add_reader());
  }
  if (most > 1)
    readers->watcher_ =
        UMDEV_TRY(os::start_thread(readers->name_.c_str(), [r = readers.get()] { r->watch(); }));
  return readers;
}

Readers::~Readers() {
  std::vector<std::unique_ptr<Reader>> readers;
  {
    Lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (watcher_.joinable()) watcher_.join();
  {
    Lock lock(mutex_);
    readers = std::move(readers_);
  }
  for (const auto& reader : readers) {
    wake(*reader);
    reader->thread.join();
  }
}

// Until it has ended; not in the middle of a request.
void Readers::wake(Reader& reader) {
  constexpr std::chrono::milliseconds again{1};
  Lock lock(mutex_);
  while (!reader.ended) {
    if (reader.steps % 2 == 0) source_.wake(reader.thread);
    changed_.wait_for(mutex_, again);
  }
}

Result<> Readers::add_reader() {
  auto reader = std::make_unique<Reader>();
  reader->thread = UMDEV_TRY(os::start_thread(name_.c_str(), [this, self = reader.get()] { read(*self); }));
  readers_.push_back(std::move(reader));
  return {};
}

void Readers::read(Reader& self) {
  source_.begin();
  fuse_buf buffer = {};
  bool more = true;
  while (!self.replaced && (more = source_.receive(buffer))) {
    if (buffer.size == 0) continue;
    self.closes = source_.closes(buffer);
    ++self.steps;
    if (watcher_sleeps_.load()) wake_watcher();
    if (source_.awaits_closes(buffer)) await_closes(self);
    source_.process(buffer);
    ++self.steps;
  }
  std::free(buffer.mem);
  Lock lock(mutex_);
  self.ended = true;
  if (!more) over_ = true;
  changed_.notify_all();
}

// Rare: a close takes no time, unless its thread has lost the processor in the middle of it. So this looks
// again and again, and nobody who closes has to tell.
void Readers::await_closes(const Reader& self) {
  constexpr std::chrono::milliseconds between{1};
  Lock lock(mutex_);
  for (auto waited = 0 * between; waited < close_patience_ && !stopping_; waited += between) {
    if (!does_another_close(self)) return;
    changed_.wait_for(mutex_, between);
  }
}

bool Readers::does_another_close(const Reader& self) const {
  return std::ranges::any_of(readers_, [&](const std::unique_ptr<Reader>& reader) {
    return reader.get() != &self && reader->steps % 2 != 0 && reader->closes;
  });
}

void Readers::wake_watcher() {
  if (!watcher_sleeps_.exchange(false)) return;
  Lock lock(mutex_);
  something_came_ = true;
  changed_.notify_all();
}

// Looks from time to time while requests come, and sleeps when none do.
void Readers::watch() {
  constexpr int quiet_looks = 50;
  Lock lock(mutex_);
  std::uint64_t before = 0;
  int quiet = 0;
  while (!stopping_) {
    if (quiet >= quiet_looks) {
      something_came_ = false;
      watcher_sleeps_ = true;
      while (!something_came_ && !stopping_) changed_.wait(mutex_);
      quiet = 0;
    }
    changed_.wait_for(mutex_, patience);
    std::erase_if(readers_, [](const auto& reader) {
      if (!reader->ended) return false;
      reader->thread.join();
      return true;
    });
    while (over_ && !stopping_) changed_.wait(mutex_);
    if (stopping_ || (readers_.empty() && !add_reader())) continue;
    Reader& reader = *readers_.back();
    const std::uint64_t steps = reader.steps;
    quiet = steps == before ? quiet + 1 : 0;
    const bool hangs = steps == before && steps % 2 != 0;
    before = steps;
    if (hangs) take_over(reader, steps);
  }
}

// Two that read would not know which of them has what came first: one that has received a close, and not said
// so yet, is not waited for. So the next one starts when it is sure that the late one reads no more. With no
// thread to be had, whoever comes now waits.
void Readers::take_over(Reader& late, std::uint64_t steps) {
  if (readers_.size() >= most_) return;
  late.replaced = true;
  // It is back: it may have seen that, or wait for one more request. When it has ended, watch() starts
  // another.
  if (late.steps != steps) return;
  if (!add_reader()) late.replaced = false;
}

}  // namespace umdev::fuse
