// Calls whose answers a file system cannot carry, made by the supervisor of a program (abi/supervised.h).
#pragma once

#include <map>

#include "umdev/support/host.h"
#include "umdev/support/log.h"
#include "umdev/uapi/file_table.h"
#include "umdev/uapi/limits.h"
#include "umdev/uapi/program.h"
#include "umdev/uapi/program_tracer.h"
#include "umdev/uapi/traced_devices.h"

namespace umdev::uapi {

class Supervisor;

// Files that have been given out as results and are not open yet. Thread-safe; the lock is a leaf.
class NewFiles {
 public:
  // A token by which it is found once. EMFILE: this supervisor has too many of them.
  Result<std::uint64_t> add(const Supervisor& owner, std::shared_ptr<ioctl::File> file, std::size_t most)
      UMDEV_EXCLUDES(mutex_);
  bool contains(std::uint64_t token) const UMDEV_EXCLUDES(mutex_);
  // Null when there is none.
  std::shared_ptr<ioctl::File> take(std::uint64_t token) UMDEV_EXCLUDES(mutex_);
  void drop_all_of(const Supervisor& owner) UMDEV_EXCLUDES(mutex_);

 private:
  struct NewFile {
    const Supervisor* owner = nullptr;
    std::shared_ptr<ioctl::File> file;
  };
  mutable Mutex mutex_;
  std::map<std::uint64_t, NewFile> files_ UMDEV_GUARDED_BY(mutex_);
};

// An open of the node "supervisor". Whoever opened it may do with it what the process could do itself: it has
// to hold a descriptor of the file that is called, and the memory is its own. Thread-safe.
class Supervisor final : public fuse::File, public std::enable_shared_from_this<Supervisor> {
 public:
  // Without `tracers` it traces nobody.
  Supervisor(FileTable& files, Programs& programs, std::shared_ptr<NewFiles> new_files, const Limits& limits,
             Log& log, ProgramTracers* tracers)
      : files_(files),
        programs_(programs),
        new_files_(std::move(new_files)),
        limits_(limits),
        log_(log),
        tracers_(tracers),
        traced_(files, log) {}
  ~Supervisor() override { new_files_->drop_all_of(*this); }

  // ^fuse::File
  void read(const fuse::Caller&, std::uint64_t, std::size_t, Done<std::string> done) override {
    done(fail(EINVAL, "nothing can be read here"));
  }
  void write(const fuse::Caller&, std::uint64_t, ConstBytes, Done<std::size_t> done) override {
    done(fail(EINVAL, "nothing can be written here"));
  }
  void ioctl(const fuse::Caller& caller, std::uint32_t command, std::uint64_t argument,
             Done<std::int32_t> done) override;

 private:
  struct Call;
  void call(std::shared_ptr<CallingProgram> caller, std::uint64_t argument, Done<std::int32_t> done);
  Result<std::int32_t> answer(Call& call, ioctl::Answer answer);
  Result<std::int32_t> map(CallingProgram& caller, std::uint64_t argument);
  Result<std::int32_t> give_registers(CallingProgram& caller, std::uint64_t argument);
  void map_traced(CallingProgram& caller, std::uint64_t argument, uid_t user, Done<std::int32_t> done);
  Result<StoppedMapping> look_at_stopped(CallingProgram& caller, std::uint64_t argument);
  Result<ProgramTracer*> tracer() UMDEV_EXCLUDES(mutex_);

  FileTable& files_;
  Programs& programs_;
  const std::shared_ptr<NewFiles> new_files_;
  const Limits limits_;
  Log& log_;
  ProgramTracers* const tracers_;
  TracedDevices traced_;
  Mutex mutex_;
  std::unique_ptr<ProgramTracer> tracer_ UMDEV_GUARDED_BY(mutex_);  // made when it is needed, kept to the end
};

}  // namespace umdev::uapi
