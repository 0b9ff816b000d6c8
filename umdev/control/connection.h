// One client: bytes in, bytes out, never waiting.
//
// Threads. Everything is for the thread of its loop, except what completes a call.
// Lifetimes. Shared: the loop's callbacks and the calls under way hold it. Calls go on when their client has
// gone; their answers are dropped.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "umdev/control/dispatcher.h"
#include "umdev/control/line_buffer.h"
#include "umdev/control/output.h"
#include "umdev/control/topic.h"
#include "umdev/os/event_loop.h"
#include "umdev/os/fd_batch.h"
#include "umdev/support/mutex.h"

namespace umdev::control {

class Connection;

// The way back to the loop, from any thread, for as long as there is one.
class Outlet {
 public:
  explicit Outlet(os::EventLoop& loop) : loop_(&loop) {}
  // Runs the work on the loop's thread, or drops it.
  void post(Work work) {
    Lock lock(mutex_);
    if (loop_ != nullptr) loop_->post(std::move(work));
  }
  void close() {
    Lock lock(mutex_);
    loop_ = nullptr;
  }

 private:
  Mutex mutex_;
  os::EventLoop* loop_ UMDEV_GUARDED_BY(mutex_);
};

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void connection_ended(Connection& connection) = 0;
};

class Connection final : public Listener, public std::enable_shared_from_this<Connection> {
 public:
  struct World {
    os::EventLoop* loop = nullptr;
    std::shared_ptr<Outlet> outlet;
    Dispatcher* dispatcher = nullptr;
    ConnectionOwner* owner = nullptr;  // until connection_ended()
  };
  Connection(os::UniqueFd socket, Caller caller, World world);

  // Begins to serve. An error ends nothing: drop the connection.
  Result<> start();
  void end();

  // ^Listener: items go out as notifications of the method "event", as fast as the client takes them.
  Result<> listen(Topic& topic) override UMDEV_EXCLUDES(mutex_);
  void begin() override;

 private:
  void ready(std::uint32_t events);
  void receive();
  void serve();
  void handle_messages();
  void keep_descriptors(std::optional<std::uint64_t> position, os::FdBatch& fds);
  void answered(const std::string& text, Attachment& attachment);
  void begin_telling() UMDEV_EXCLUDES(mutex_);
  void news_came();
  void tell_news();
  bool flush();
  void wait_for_events();
  bool is_full() const;

  os::UniqueFd socket_;
  const Caller caller_;
  const World world_;
  LineBuffer input_;
  // Of messages that were not looked at yet, by their position.
  std::map<std::uint64_t, std::vector<os::UniqueFd>> descriptors_;
  Output output_;
  std::uint32_t pending_ = 0;
  bool at_end_ = false;  // nothing more will be read
  bool ended_ = false;
  os::Watch watch_;
  std::unique_ptr<ItemReader> news_;
  bool news_left_ = false;  // news_ was not read to its end

  // Any thread.
  std::atomic<bool> listens_ = false;
  Mutex mutex_;
  std::unique_ptr<ItemReader> subscribed_ UMDEV_GUARDED_BY(mutex_);  // until begin()
};

}  // namespace umdev::control
