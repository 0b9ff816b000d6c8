#include "apps/umdevd/uevent_sender.h"

#include <fmt/format.h>

#include "umdev/os/thread.h"

namespace umdev::daemon {
namespace {

// Events that wait while the kernel takes others: a create and a remove are eight.
constexpr std::size_t queue_size = 8192;

}  // namespace

struct UeventSender::Bell {
  Mutex mutex;
  Condition changed;
  bool rung UMDEV_GUARDED_BY(mutex) = false;
  bool ends UMDEV_GUARDED_BY(mutex) = false;

  void ring(bool end = false) UMDEV_EXCLUDES(mutex) {
    Lock lock(mutex);
    rung = true;
    ends = ends || end;
    changed.notify_one();
  }
  // False when it is for the last time.
  bool wait() UMDEV_EXCLUDES(mutex) {
    Lock lock(mutex);
    while (!rung) changed.wait(mutex);
    rung = false;
    return !ends;
  }
};

UeventSender::UeventSender(os::UeventSocket socket, Log& log)
    : socket_(std::move(socket)), log_(log), bell_(std::make_shared<Bell>()) {}

UeventSender::~UeventSender() {
  stop();
}

Result<std::unique_ptr<UeventSender>> UeventSender::create(device::Events& events,
                                                           const std::string& name_space, Log& log) {
  auto socket =
      UMDEV_TRY(name_space == "self" ? os::UeventSocket::create() : os::UeventSocket::create_in(name_space));
  UMDEV_TRY(socket.check());
  std::unique_ptr<UeventSender> sender(new UeventSender(std::move(socket), log));
  sender->events_ = events.subscribe(queue_size, [bell = sender->bell_] { bell->ring(); });
  return sender;
}

Result<> UeventSender::start() {
  thread_ = UMDEV_TRY(os::start_thread("umdev-uevents", [this] { run(); }));
  bell_->ring();
  return {};
}

void UeventSender::stop() {
  if (!thread_.joinable()) return;
  bell_->ring(/*end=*/true);
  thread_.join();
}

void UeventSender::run() {
  while (bell_->wait()) send_all();
  send_all();
}

void UeventSender::send_all() {
  for (;;) {
    const auto event = events_.next();
    if (!event && event.error().code == EAGAIN) return;
    const auto sent = event ? socket_.inject(to_string(event->action), event->devpath, event->environment)
                            : Result<>(std::unexpected(event.error()));
    if (sent)
      sent_.fetch_add(1, std::memory_order_relaxed);
    else
      fail_to_send(sent.error());
  }
}

// Once: what goes wrong with one event goes wrong with thousands.
void UeventSender::fail_to_send(const Error& error) {
  failed_.fetch_add(1, std::memory_order_relaxed);
  if (std::exchange(complained_, true)) return;
  log_.warning(
      fmt::format("uevents: {} ({}); further failures are only counted", error.text, errno_name(error.code)));
}

}  // namespace umdev::daemon
