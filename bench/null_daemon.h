// A daemon as umdevd is, with a parent of null devices, in this process.
#pragma once

#include <future>
#include <memory>
#include <string>

#include "apps/umdevd/daemon.h"
#include "bench/machine.h"

namespace umdev::bench {

// The n-th of ours.
Uuid uuid_of(std::size_t number);

std::unique_ptr<daemon::Daemon> start_null_daemon(const std::string& directory, std::uint32_t instances,
                                                  Log& log, bool mount_tree = false);

// As many instances as there are descriptors for, at most those that are wanted; root may raise the hard
// limit.
std::uint32_t make_room_for(std::uint32_t wanted);

// Calls something that completes later, and waits.
template <typename Call>
void wait_for(Call call, const char* what) {
  const auto result = std::make_shared<std::promise<Result<>>>();
  call([result](Result<> answer) { result->set_value(std::move(answer)); });
  must(result->get_future().get(), what);
}

// By the mdev bus.
void create_null(daemon::Daemon& daemon, const Uuid& uuid);
void remove_null(daemon::Daemon& daemon, const Uuid& uuid);

}  // namespace umdev::bench
