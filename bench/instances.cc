// Thousands of instances in one daemon: each number in a process of its own, so that memory is counted from
// an empty heap.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

#include "bench/machine.h"
#include "bench/null_daemon.h"
#include "bench/sections.h"

namespace umdev::bench {
namespace {

// What one thing costs over all of them.
struct Cost {
  double median;
  double p99;
};
Cost cost_of(const Samples& samples) {
  return {samples.median(), samples.p99()};
}

// What a child tells. Plain data: it goes through a pipe.
struct Findings {
  std::uint32_t count;
  Cost bare_open;
  Cost bare_close;
  Cost create;
  Cost remove;
  double bytes_each;
  double idle_empty;  // nanoseconds of processor time in a second
  double idle_full;
};

template <typename Body>
Samples time_each(std::size_t count, Body body) {
  Samples samples;
  samples.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body(i);
    samples.add(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
  }
  return samples;
}

// --- What the machine needs for a socket alone.

void measure_bare_sockets(std::size_t count, Findings& findings) {
  const ScratchDirectory directory;
  std::vector<os::UniqueFd> sockets(count);
  std::vector<sockaddr_un> addresses(count);
  for (std::size_t i = 0; i < count; ++i) {
    addresses[i].sun_family = AF_UNIX;
    const std::string path = fmt::format("{}/{:036}.sock", directory.path(), i);
    if (path.size() >= sizeof addresses[i].sun_path)
      give_up("a socket's path", Error{.code = ENAMETOOLONG, .text = {}});
    std::memcpy(addresses[i].sun_path, path.c_str(), path.size() + 1);
  }
  findings.bare_open = cost_of(time_each(count, [&](std::size_t i) {
    sockets[i].reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto* address = reinterpret_cast<const sockaddr*>(&addresses[i]);
    if (::bind(sockets[i].get(), address, sizeof addresses[i]) != 0 || ::listen(sockets[i].get(), 128) != 0)
      give_up("a bare socket");
  }));
  findings.bare_close = cost_of(time_each(count, [&](std::size_t i) {
    sockets[i].reset();
    if (::unlink(addresses[i].sun_path) != 0) give_up("a bare socket");
  }));
}

// --- The daemon.

// Processor time of this process over a second of doing nothing, in nanoseconds.
double idle_cost(const Effort& effort) {
  const auto pause = std::chrono::milliseconds(effort.quick ? 100 : 1000);
  std::this_thread::sleep_for(pause / 5);  // what is still on its way
  const double before = processor_nanoseconds();
  std::this_thread::sleep_for(pause);
  return (processor_nanoseconds() - before) / std::chrono::duration<double>(pause).count();
}

void measure_daemon(const Effort& effort, Findings& findings) {
  const ScratchDirectory directory;
  NullLog log;
  const auto daemon = start_null_daemon(directory.path() + "/run", findings.count, log);
  std::vector<Uuid> uuids;
  for (std::size_t i = 0; i < findings.count; ++i) uuids.push_back(uuid_of(i));
  findings.idle_empty = idle_cost(effort);
  const auto resident = static_cast<double>(resident_bytes());
  const Samples create = time_each(findings.count, [&](std::size_t i) { create_null(*daemon, uuids[i]); });
  const double grown = static_cast<double>(resident_bytes()) - resident;
  if (daemon->socket_of(uuids.back()).path.empty())
    give_up("an instance has no socket", Error{.code = ENOENT, .text = {}});
  findings.create = cost_of(create);
  findings.bytes_each = (grown - static_cast<double>(create.size() * sizeof(double))) / findings.count;
  findings.idle_full = idle_cost(effort);
  findings.remove =
      cost_of(time_each(findings.count, [&](std::size_t i) { remove_null(*daemon, uuids[i]); }));
}

// --- The child.

Findings examine(const Effort& effort, std::uint32_t wanted) {
  Findings findings{};
  findings.count = make_room_for(wanted);
  measure_bare_sockets(findings.count, findings);
  measure_daemon(effort, findings);
  return findings;
}

Findings examine_in_child(const Effort& effort, std::uint32_t wanted) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) give_up("a pipe");
  const os::UniqueFd near(ends[0]);
  os::UniqueFd far(ends[1]);
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child < 0) give_up("fork");
  if (child == 0) {
    const Findings findings = examine(effort, wanted);
    const bool told = ::write(far.get(), &findings, sizeof findings) == sizeof findings;
    std::_Exit(told ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  far.reset();
  Findings findings{};
  const ssize_t count = ::read(near.get(), &findings, sizeof findings);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || count != sizeof findings || status != 0)
    give_up("the process with the instances", Error{.code = ECHILD, .text = "it failed"});
  return findings;
}

Row cost_row_of(const char* name, Cost cost, std::optional<Cost> limit = {}) {
  Row row{.name = name, .unit = Unit::nanoseconds, .median = cost.median, .p99 = cost.p99};
  if (limit) {
    row.limit = limit->median;
    row.limit_p99 = limit->p99;
  }
  return row;
}

}  // namespace

void measure_instances(const Effort& effort, Report& report) {
  const std::array<std::uint32_t, 2> counts =
      effort.quick ? std::array{100U, 500U} : std::array{1000U, 10000U};
  for (const std::uint32_t wanted : counts) {
    const Findings found = examine_in_child(effort, wanted);
    report.section(fmt::format("{} null instances in one daemon, each with its socket", found.count));
    if (found.count < wanted)
      report.remark(fmt::format("{} were wanted: the descriptor limit does not allow more", wanted));
    report.add(cost_row_of("a bare socket: socket, bind, listen", found.bare_open));
    report.add(cost_row_of("create and publish an instance", found.create, found.bare_open));
    report.add(cost_row_of("a bare socket: close, unlink", found.bare_close));
    report.add(cost_row_of("remove an instance", found.remove, found.bare_close));
    report.add({.name = "memory of an idle instance", .unit = Unit::bytes, .median = found.bytes_each});
    report.add({.name = "processor time in an idle second (limit: no instances)",
                .unit = Unit::nanoseconds,
                .median = found.idle_full,
                .limit = found.idle_empty});
  }
}

}  // namespace umdev::bench
