// A watcher of descriptors that looks only when the test says so.
#pragma once

#include <poll.h>

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "umdev/support/host.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/fd_watcher.h"

namespace umdev::test {

// Calls back on the thread that calls deliver(). Safe from any thread.
class FakeWatcher final : public vfio::FdWatcher {
 public:
  Result<std::unique_ptr<Watch>> watch(int fd, InlineFunction<void(), 64> readable) override {
    Lock lock(shared_->mutex);
    if (refusal_ != 0) return fail(std::exchange(refusal_, 0), "the test refuses this watch");
    const std::uint64_t number = shared_->next_number++;
    shared_->entries.emplace(number, std::make_shared<Entry>(fd, std::move(readable)));
    return std::make_unique<FakeWatch>(shared_, number);
  }

  // Calls back once for each watched descriptor that is readable at this moment; how many those were.
  std::size_t deliver() {
    const auto ready = readable_entries();
    for (const auto& entry : ready) entry->callback();
    return ready.size();
  }

  // The callback of the first readable descriptor, to be run later, also after its watch has ended: a
  // callback may be that late. Empty when nothing is readable.
  Work take_ready() {
    const auto ready = readable_entries();
    if (ready.empty()) return {};
    return [entry = ready.front()] { entry->callback(); };
  }

  // Watches that have not ended.
  std::size_t watched() const {
    Lock lock(shared_->mutex);
    return shared_->entries.size();
  }

  // The next watch() fails with this errno.
  void refuse_next(int code) {
    Lock lock(shared_->mutex);
    refusal_ = code;
  }

 private:
  struct Entry {
    Entry(int watched_fd, InlineFunction<void(), 64> readable)
        : fd(watched_fd), callback(std::move(readable)) {}
    const int fd;
    InlineFunction<void(), 64> callback;
  };
  struct Shared {
    Mutex mutex;
    std::uint64_t next_number UMDEV_GUARDED_BY(mutex) = 0;
    std::map<std::uint64_t, std::shared_ptr<Entry>> entries UMDEV_GUARDED_BY(mutex);
  };
  class FakeWatch final : public Watch {
   public:
    FakeWatch(std::shared_ptr<Shared> shared, std::uint64_t number)
        : shared_(std::move(shared)), number_(number) {}
    ~FakeWatch() override {
      std::shared_ptr<Entry> dropped;
      Lock lock(shared_->mutex);
      const auto found = shared_->entries.find(number_);
      dropped = std::move(found->second);
      shared_->entries.erase(found);
    }

   private:
    const std::shared_ptr<Shared> shared_;
    const std::uint64_t number_;
  };

  std::vector<std::shared_ptr<Entry>> readable_entries() const {
    std::vector<std::shared_ptr<Entry>> ready;
    Lock lock(shared_->mutex);
    for (const auto& [number, entry] : shared_->entries) {
      pollfd request{.fd = entry->fd, .events = POLLIN, .revents = 0};
      if (::poll(&request, 1, 0) == 1 && (request.revents & POLLIN) != 0) ready.push_back(entry);
    }
    return ready;
  }

  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  int refusal_ UMDEV_GUARDED_BY(shared_->mutex) = 0;
};

}  // namespace umdev::test
