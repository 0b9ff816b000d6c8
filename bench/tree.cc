// The tree, mounted, as a client of the file system meets it: one that walks it, one that makes and removes
// instances in it, and a VMM beside them.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <thread>

#include "bench/conversation.h"
#include "bench/null_daemon.h"
#include "bench/sections.h"
#include "umdev/control/client.h"
#include "umdev/control/paths.h"

namespace umdev::bench {
namespace {

// As `ls -lR`: opens each directory, reads it, looks at each entry and where each link leads. The number of
// entries.
std::size_t walk(int at, const char* name) {
  const int fd = ::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return 0;  // gone meanwhile, or not for us
  DIR* const directory = ::fdopendir(fd);
  std::size_t count = 0;
  std::vector<std::string> below;
  while (const dirent* const entry = ::readdir(directory)) {
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    ++count;
    struct stat info = {};
    std::array<char, 4096> target{};
    if (::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISLNK(info.st_mode))
      (void)!::readlinkat(fd, entry->d_name, target.data(), target.size());
    else if (S_ISDIR(info.st_mode))
      below.emplace_back(entry->d_name);
  }
  for (const std::string& child : below) count += walk(fd, child.c_str());
  ::closedir(directory);
  return count;
}

// Nanoseconds an entry.
double walk_time(const std::string& path) {
  const auto start = std::chrono::steady_clock::now();
  const std::size_t count = walk(AT_FDCWD, path.c_str());
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  if (count == 0) give_up("a walk of nothing");
  return taken.count() / static_cast<double>(count);
}

void write_file(const std::string& path, std::string_view text) {
  const os::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) give_up(path);
}

// One daemon with instances, and the ways to make and remove one more.
class TreeWorld {
 public:
  explicit TreeWorld(std::uint32_t room)
      : daemon_(start_null_daemon(directory_.path() + "/run", room, log_, true)) {}

  bool is_mounted() const { return daemon_->tree_mount() != nullptr; }
  std::string root() const { return daemon_->runtime_directory() + "/sys"; }
  std::string control_socket() const { return control::control_socket(daemon_->runtime_directory()); }
  std::size_t count() const { return count_; }
  void grow_to(std::size_t count) {
    for (; count_ < count; ++count_) create_null(*daemon_, uuid_of(count_));
  }
  // A different one each time, so that it lies anywhere among the others.
  void once_by_the_tree() {
    const std::string uuid = next().to_string();
    write_file(root() + "/class/mdev_bus/null/mdev_supported_types/null-1/create", uuid);
    write_file(root() + "/bus/mdev/devices/" + uuid + "/remove", "1");
  }
  void once_by_the_bus() {
    const Uuid uuid = next();
    create_null(*daemon_, uuid);
    remove_null(*daemon_, uuid);
  }
  vfio_user::Client use_first() {
    auto client = must(vfio_user::Client::connect(daemon_->socket_of(uuid_of(0)).path), "a session");
    must(client.negotiate(), "a session");
    return client;
  }

 private:
  Uuid next() {
    last_ = last_ * 1103515245 + 12345;
    return must(Uuid::parse(fmt::format("{:08x}-1111-4000-8000-000000000000", last_ % 20000)), "a UUID");
  }

  const ScratchDirectory directory_;
  NullLog log_;
  const std::unique_ptr<daemon::Daemon> daemon_;
  std::size_t count_ = 0;
  std::uint32_t last_ = 1;
};

// Create and remove among few and among many, in turns.
void measure_growth(const Effort& effort, Report& report, TreeWorld& few, TreeWorld& many, const char* way,
                    void (TreeWorld::*once)()) {
  const std::array operations{Operation{.run = [&](std::size_t) { (few.*once)(); }, .times = 1},
                              Operation{.run = [&](std::size_t) { (many.*once)(); }, .times = 1}};
  const auto samples = measure(effort, operations);
  report.add(row_of(fmt::format("create and remove by {}, limit: among {}", way, few.count()), samples[1],
                    samples.data()));
}

// Does harm on a thread of its own while it lives.
class Busy {
 public:
  explicit Busy(std::function<void()> once)
      : thread_([this, once = std::move(once)] {
          while (!stops_) once();
        }) {}
  ~Busy() {
    stops_ = true;
    thread_.join();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

// Programs that watch, each of which reads what it is told at once.
class Watchers {
 public:
  Watchers(const std::string& socket, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto client = must(control::Client::connect(socket), "a watcher");
      if (must(client.call("watch"), "a watcher").refusal) give_up("a watcher was refused");
      threads_.emplace_back([this, client = std::move(client)]() mutable { read(client); });
    }
  }
  ~Watchers() {
    stops_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

  // Waits until one of them was told something.
  void wait_until_told() const { told_.wait(0); }

 private:
  void read(control::Client& client) {
    while (!stops_)
      if (must(client.next_notification(std::chrono::milliseconds(100)), "an event") && ++told_ == 1)
        told_.notify_all();
  }

  std::atomic<bool> stops_ = false;
  std::atomic<std::uint64_t> told_ = 0;
  std::vector<std::thread> threads_;
};

void measure_session(const Effort& effort, Report& report, TreeWorld& world) {
  report.section("REGION_READ of a session beside who uses the tree without a pause");
  auto client = world.use_first();
  constexpr std::uint32_t size = 4;
  Exchange exchange(client.channel().socket(), read_request(abi::vfio_pci_bar0_region_index, size),
                    reply_head + size);
  const Operation operation{.run = [&exchange](std::size_t) { exchange(); }, .times = 1};
  const auto times = [&] { return measure(effort, std::span(&operation, 1)).front(); };
  const auto beside = [&](std::function<void()> once) {
    const Busy busy(std::move(once));
    return times();
  };
  const Samples alone = times();
  const Samples again = times();
  report.add(row_of("nobody, limit: the same (how far two measurements differ)", again, &alone));
  const Samples kernels_listed = beside([] { walk(AT_FDCWD, "/sys/devices"); });
  const Samples listed = beside([&] { walk(AT_FDCWD, world.root().c_str()); });
  const Samples written = beside([&] { world.once_by_the_tree(); });
  // The processor that the neighbour itself takes is not what this is about.
  report.add(row_of("ls -lR of it, limit: of /sys/devices", listed, &kernels_listed));
  report.add(row_of("ls -lR of it, limit: alone", listed, &alone));
  report.add(row_of("create and remove in it, limit: alone", written, &alone));
  constexpr std::size_t watchers = 4;
  const Watchers watching(world.control_socket(), watchers);
  world.once_by_the_tree();
  watching.wait_until_told();
  const Samples watched = beside([&] { world.once_by_the_tree(); });
  report.add(row_of(fmt::format("the same, and {} watchers told of it, limit: without them", watchers),
                    watched, &written));
  const Samples idle = times();
  report.add(row_of(fmt::format("{} watchers and nothing to tell, limit: alone", watchers), idle, &alone));
}

}  // namespace

void measure_tree(const Effort& effort, Report& report) {
  constexpr std::uint32_t few = 100;
  const std::uint32_t many = make_room_for((effort.quick ? 500 : 10000) + 2 * few) - 2 * few;
  TreeWorld small(few + 2);
  TreeWorld large(many + 2);
  report.section(fmt::format("the tree of {} null instances, mounted", many));
  if (!large.is_mounted()) {
    report.remark("FUSE cannot be had here: nothing to measure");
    return;
  }
  small.grow_to(few);
  large.grow_to(many);
  measure_growth(effort, report, small, large, "the tree", &TreeWorld::once_by_the_tree);
  measure_growth(effort, report, small, large, "the mdev bus", &TreeWorld::once_by_the_bus);
  Samples ours;
  Samples kernels;
  for (unsigned turn = 0; turn < (effort.quick ? 1U : 3U); ++turn) {
    ours.add(walk_time(large.root()));
    kernels.add(walk_time("/sys/devices"));
  }
  report.add(cost_row("ls -lR, an entry, limit: one of /sys/devices", ours, &kernels));
  measure_session(effort, report, large);
}

}  // namespace umdev::bench
