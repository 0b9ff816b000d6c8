#include "umdev/run/namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <map>
#include <vector>

#include "umdev/os/system_error.h"
#include "umdev/os/unique_fd.h"

namespace umdev::run {
namespace {

std::unexpected<Problem> problem(const std::string& path, std::string_view text) {
  return std::unexpected(Problem{Error{errno, text}, path});
}

Carried write_file(const char* path, const std::string& text) {
  const os::UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return problem(path, "cannot set up the user namespace");
  return {};
}

// User and group are mapped to themselves: files keep their owners, and the program its identity.
Carried enter_user_namespace() {
  const auto user = std::to_string(::geteuid());
  const auto group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
    return problem("", "no user namespace can be made here (see user_namespaces(7))");
  if (auto done = write_file("/proc/self/setgroups", "deny"); !done) return done;
  if (auto done = write_file("/proc/self/uid_map", user + " " + user + " 1\n"); !done) return done;
  return write_file("/proc/self/gid_map", group + " " + group + " 1\n");
}

// A mount of one's own of what is at a path, not yet anywhere.
std::expected<os::UniqueFd, Problem> clone_tree(int directory, const char* name, const std::string& path) {
  os::UniqueFd tree(::open_tree(
      directory, name,
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT));
  if (!tree) return problem(path, "cannot take a second mount of it");
  return tree;
}

class Executor {
 public:
  // Sources are taken as they are now: a later step may cover them.
  Carried prepare(const Plan& plan) {
    for (const Step& step : plan.steps) {
      const auto* show = std::get_if<Show>(&step);
      if (show == nullptr) continue;
      auto tree = clone_tree(AT_FDCWD, show->source.c_str(), show->source);
      if (!tree) return std::unexpected(std::move(tree).error());
      sources_.insert_or_assign(show->path, std::move(*tree));
    }
    return {};
  }

  Carried operator()(const Cover& cover) {
    os::UniqueFd real(::open(cover.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat status{};
    if (!real || ::fstat(real.get(), &status) != 0) return problem(cover.path, "cannot open the directory");
    const std::string options = "size=1m,mode=" + octal(status.st_mode & 07777U);
    if (::mount("umdev", cover.path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) != 0)
      return problem(cover.path, "cannot mount a tmpfs");
    covered_.insert_or_assign(cover.path, std::move(real));
    return {};
  }

  Carried operator()(const Keep& keep) {
    const std::size_t slash = keep.path.rfind('/');
    const auto real = covered_.find(slash == 0 ? "/" : keep.path.substr(0, slash));
    if (real == covered_.end()) return std::unexpected(Problem{{EINVAL, "is in no skeleton"}, keep.path});
    auto tree = clone_tree(real->second.get(), keep.path.c_str() + slash + 1, keep.path);
    // What has gone since the plan was made is no loss.
    if (!tree && tree.error().error.code == ENOENT) return {};
    if (!tree) return std::unexpected(std::move(tree).error());
    if (auto made = make_place(keep.path, keep.type); !made) return made;
    return attach(*tree, keep.path);
  }

  Carried operator()(const Make& make) { return make_place(make.path, EntryType::directory); }

  Carried operator()(const Link& link) {
    if (::symlink(link.target.c_str(), link.path.c_str()) != 0)
      return problem(link.path, "cannot make the link");
    return {};
  }

  Carried operator()(const Show& show) {
    if (show.make)
      if (auto made = make_place(show.path, show.type); !made) return made;
    return attach(sources_.at(show.path), show.path);
  }

  Carried operator()(const Seal& seal) {
    if (::mount(nullptr, seal.path.c_str(), nullptr,
                MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
      return problem(seal.path, "cannot make the skeleton read-only");
    return {};
  }

 private:
  static std::string octal(unsigned mode) {
    std::string text;
    for (unsigned shift = 12; shift > 0; shift -= 3)
      text += static_cast<char>('0' + (mode >> (shift - 3) & 7U));
    return text;
  }

  static Carried make_place(const std::string& path, EntryType type) {
    if (type == EntryType::directory) {
      if (::mkdir(path.c_str(), 0755) != 0) return problem(path, "cannot make the directory");
      return {};
    }
    if (!os::UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)))
      return problem(path, "cannot make the file");
    return {};
  }

  static Carried attach(const os::UniqueFd& tree, const std::string& path) {
    if (::move_mount(tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return problem(path, "cannot mount there");
    return {};
  }

  std::map<std::string, os::UniqueFd> sources_;  // by the path that they will be seen at
  std::map<std::string, os::UniqueFd> covered_;  // what a skeleton has covered, by its path
};

}  // namespace

Carried enter_namespaces() {
  if (::unshare(CLONE_NEWNS) != 0) {
    if (errno != EPERM) return problem("", "no mount namespace can be made");
    if (auto entered = enter_user_namespace(); !entered) return entered;
  }
  // A slave: nothing that is mounted from now on leaves this namespace, and what others mount still comes in.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return problem("/", "cannot make the mounts private");
  return {};
}

Carried carry_out(const Plan& plan) {
  std::string directory(PATH_MAX, '\0');
  const bool found = ::getcwd(directory.data(), directory.size()) != nullptr;
  Executor executor;
  if (auto prepared = executor.prepare(plan); !prepared) return prepared;
  for (const Step& step : plan.steps)
    if (auto taken = std::visit(executor, step); !taken) return taken;
  // It may be covered now, and shall be what its name says. Where that cannot be entered, it stays.
  if (found) {
    [[maybe_unused]] const int entered = ::chdir(directory.c_str());
  }
  return {};
}

}  // namespace umdev::run
