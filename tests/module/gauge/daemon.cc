// A daemon with a parent of the native gauge, and one of null devices: gauge_daemon RUNTIME_DIRECTORY.
#include "apps/umdevd/daemon.h"

#include <sys/epoll.h>

#include <csignal>
#include <cstdio>

#include "apps/umdevd/log.h"
#include "tests/module/gauge/gauge.h"
#include "umdev/os/signal_fd.h"

namespace umdev::gauge {
namespace {

const daemon::DriverEntry driver{
    .name = "gauge", .options = {}, .make = [](std::span<const std::uint32_t>) -> daemon::MadeParent {
      return {GaugeParent::spec(), std::make_unique<GaugeParent>()};
    }};

Result<> wait_for_signal(const os::SignalFd& signals) {
  const auto loop = UMDEV_TRY(os::EventLoop::create());
  const auto watch = UMDEV_TRY(loop->watch(signals.get(), EPOLLIN, [&](std::uint32_t) {
    if (signals.take()) loop->stop();
  }));
  loop->run();
  return {};
}

int serve(const char* directory) {
  const auto signals = os::SignalFd::create({SIGTERM, SIGINT});
  if (!signals) return 1;
  std::signal(SIGPIPE, SIG_IGN);
  daemon::StderrLog log(LogLevel::info);
  daemon::DaemonOptions options{.runtime_directory = directory, .config = {}, .mount_tree = true};
  options.config.parents.push_back({.name = "gauge", .driver = &driver, .options = {}});
  options.config.parents.push_back(
      {.name = "null", .driver = daemon::find_driver("null"), .options = {1, 1}});
  auto daemon = daemon::Daemon::start(std::move(options), log);
  if (!daemon) {
    std::fprintf(stderr, "%s\n", daemon.error().c_str());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  const bool waited = wait_for_signal(*signals).has_value();
  return (*daemon)->stop() && waited ? 0 : 1;
}

}  // namespace
}  // namespace umdev::gauge

int main(int count, char** values) {
  return count == 2 ? umdev::gauge::serve(values[1]) : 2;
}
