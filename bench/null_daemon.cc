#include "bench/null_daemon.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include "umdev/os/process_limits.h"

namespace umdev::bench {
namespace {

constexpr std::uint64_t descriptors_each = 1;  // a socket
constexpr std::uint64_t other_descriptors = 256;

}  // namespace

Uuid uuid_of(std::size_t number) {
  return must(Uuid::parse(fmt::format("{:08x}-0000-4000-8000-000000000000", number)), "a UUID");
}

std::unique_ptr<daemon::Daemon> start_null_daemon(const std::string& directory, std::uint32_t instances,
                                                  Log& log, bool mount_tree) {
  daemon::DaemonOptions options{.runtime_directory = directory, .config = {}, .mount_tree = mount_tree};
  const daemon::DriverEntry* driver = daemon::find_driver("null");
  if (driver == nullptr) give_up("the null driver");
  options.config.parents.push_back({.name = "null", .driver = driver, .options = {instances, 1}});
  auto started = daemon::Daemon::start(std::move(options), log);
  if (!started) give_up(started.error());
  return std::move(*started);
}

std::uint32_t make_room_for(std::uint32_t wanted) {
  const rlim_t needed = wanted * descriptors_each + other_descriptors;
  const rlimit more{.rlim_cur = needed, .rlim_max = needed};
  std::uint64_t have = must(os::raise_descriptor_limit(), "the descriptor limit");
  if (have < needed && ::setrlimit(RLIMIT_NOFILE, &more) == 0) have = needed;
  return have >= needed ? wanted : static_cast<std::uint32_t>((have - other_descriptors) / descriptors_each);
}

void create_null(daemon::Daemon& daemon, const Uuid& uuid) {
  wait_for(
      [&](Done<> done) {
        daemon.bus().create({.parent = "null", .type = "null-1", .uuid = uuid, .owner = {}, .attributes = {}},
                            std::move(done));
      },
      "creating an instance");
}

void remove_null(daemon::Daemon& daemon, const Uuid& uuid) {
  wait_for([&](Done<> done) { daemon.bus().remove(uuid, RemovePolicy::wait, std::move(done)); },
           "removing an instance");
}

}  // namespace umdev::bench
