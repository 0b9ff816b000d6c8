// Answers the calls that the filter has stopped.
#pragma once

#include <memory>

#include "umdev/os/process.h"
#include "umdev/os/thread_pool.h"
#include "umdev/run/device_mount.h"
#include "umdev/run/listener.h"
#include "umdev/run/register_files.h"
#include "umdev/run/tracer.h"

namespace umdev::run {

// What is called on files of the daemon's mount it does by the mount; all else the kernel does. take() is one
// thread's; a call that waits for a device waits on the pool.
class Carrier {
 public:
  // What it is lent outlives the work that it has posted.
  Carrier(const Listener& listener, DeviceMount& devices, RegisterFiles& registers, Tracer& tracer,
          Executor& executor)
      : listener_(listener), devices_(devices), registers_(registers), tracer_(tracer), executor_(executor) {}

  void take(const StoppedCall& call);

 private:
  // The stopped thread, and its descriptor of a file of the mount as one of ours.
  struct Caller {
    std::shared_ptr<os::Process> process;
    os::UniqueFd file;
  };

  bool is_ours(const StoppedCall& call, int fd) const;
  Result<Caller> look_at(const StoppedCall& call, int fd) const;
  void carry(const StoppedCall& call);
  // What is answered last: whatever is held here of the program's files has been closed by then, or a program
  // that closes them next would find them open still.
  void carry_ioctl(const StoppedCall& call, Caller caller);
  // Makes the call with a copy of the argument, of which `size` bytes go back.
  void carry_argument(const StoppedCall& call, Caller caller, std::vector<std::byte> argument,
                      bool goes_back);
  void carry_feature(const StoppedCall& call, Caller caller);
  void carry_mmap(const StoppedCall& call, Caller caller);
  // The daemon makes the mapping, and serves its registers, where it may trace the program. False: it has
  // not.
  bool leave_to_daemon(const StoppedCall& call, const os::Process& process);
  void map_here(const StoppedCall& call, Caller caller);
  // Gives pieces that are registers what faults in their place; are there any?
  Result<bool> prepare_registers(const os::UniqueFd& device, std::vector<CarriedPiece>& pieces);
  bool is_file_for_kvm(const StoppedCall& call) const;

  const Listener& listener_;
  DeviceMount& devices_;
  RegisterFiles& registers_;
  Tracer& tracer_;
  Executor& executor_;
};

}  // namespace umdev::run
