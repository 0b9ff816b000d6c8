#include "umdev/uapi/supervisor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <vector>

#include "umdev/abi/supervised.h"
#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"
#include "umdev/uapi/registers.h"

namespace umdev::uapi {
namespace {

template <typename T>
Result<T> read_struct(ioctl::Caller& caller, std::uint64_t address) {
  T value;
  UMDEV_TRY(caller.read(address, std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

template <typename T>
Result<> write_struct(ioctl::Caller& caller, std::uint64_t address, const T& value) {
  return caller.write(address, std::as_bytes(std::span(&value, 1)));
}

// To a socket of the supervisor's, which is read by it right after.
Result<> send_to(CallingProgram& caller, int channel, std::span<const int> fds) {
  const os::UniqueFd socket = UMDEV_TRY(caller.take_socket(channel));
  const std::byte byte{};
  UMDEV_TRY(os::send(socket.get(), std::span(&byte, 1), fds));
  return {};
}

}  // namespace

Result<std::uint64_t> NewFiles::add(const Supervisor& owner, std::shared_ptr<ioctl::File> file,
                                    std::size_t most) {
  std::uint64_t token = 0;
  if (::getrandom(&token, sizeof token, 0) != sizeof token) return fail(EAGAIN, "no random number");
  Lock lock(mutex_);
  std::size_t count = 0;
  for (const auto& [key, entry] : files_)
    if (entry.owner == &owner) ++count;
  if (count >= most) return fail(EMFILE, "too many new files that nobody opens");
  if (!files_.try_emplace(token, NewFile{&owner, std::move(file)}).second)
    return fail(EAGAIN, "the token is taken");
  return token;
}

bool NewFiles::contains(std::uint64_t token) const {
  Lock lock(mutex_);
  return files_.contains(token);
}

std::shared_ptr<ioctl::File> NewFiles::take(std::uint64_t token) {
  Lock lock(mutex_);
  const auto node = files_.extract(token);
  return node.empty() ? nullptr : std::move(node.mapped().file);
}

void NewFiles::drop_all_of(const Supervisor& owner) {
  std::vector<std::shared_ptr<ioctl::File>> dropped;  // destroyed without the lock
  Lock lock(mutex_);
  for (auto entry = files_.begin(); entry != files_.end();) {
    if (entry->second.owner != &owner) {
      ++entry;
      continue;
    }
    dropped.push_back(std::move(entry->second.file));
    entry = files_.erase(entry);
  }
}

void Supervisor::ioctl(const fuse::Caller& caller, std::uint32_t command, std::uint64_t argument,
                       Done<std::int32_t> done) {
  auto program = programs_.call_of(caller);
  if (const Result<> found = program->check(); !found) return done(std::unexpected(found.error()));
  switch (command) {
    case abi::supervised_ioctl:
      return call(std::move(program), argument, std::move(done));
    case abi::supervised_mmap:
      return done(map(*program, argument));
    case abi::supervised_registers:
      return done(give_registers(*program, argument));
    case abi::supervised_traced_mmap:
      return map_traced(*program, argument, caller.uid, std::move(done));
    default:
      return done(fail(ENOTTY, "no such call is supervised"));
  }
}

struct Supervisor::Call {
  std::shared_ptr<Supervisor> supervisor;
  std::shared_ptr<CallingProgram> caller;
  std::uint64_t address = 0;
  abi::SupervisedIoctl words{};
  Done<std::int32_t> done;
};

void Supervisor::call(std::shared_ptr<CallingProgram> caller, std::uint64_t argument,
                      Done<std::int32_t> done) {
  const auto words = read_struct<abi::SupervisedIoctl>(*caller, argument);
  if (!words) return done(std::unexpected(words.error()));
  const auto file = caller->file(words->fd);
  if (!file || !*file) return done(fail(EBADF, "the descriptor is none of this mount's files"));
  auto call = std::make_shared<Call>(Call{.supervisor = shared_from_this(),
                                          .caller = caller,
                                          .address = argument,
                                          .words = *words,
                                          .done = std::move(done)});
  (*file)->ioctl(words->command, words->argument, std::move(caller), [call](Result<ioctl::Answer> answer) {
    if (!answer) return call->done(std::unexpected(answer.error()));
    call->done(call->supervisor->answer(*call, std::move(*answer)));
  });
}

Result<std::int32_t> Supervisor::answer(Call& call, ioctl::Answer answer) {
  abi::SupervisedIoctl& words = call.words;
  words.value = answer.value;
  words.kind = abi::supervised_answer_value;
  words.has_address = answer.fd_address ? 1 : 0;
  words.address = answer.fd_address.value_or(0);
  if (answer.file) {
    words.kind = abi::supervised_answer_file;
    words.token = UMDEV_TRY(new_files_->add(*this, std::move(answer.file), limits_.new_files_per_supervisor));
  } else if (answer.fd) {
    words.kind = abi::supervised_answer_descriptor;
    const int fd = answer.fd.get();
    UMDEV_TRY(send_to(*call.caller, words.channel, std::span(&fd, 1)));
  }
  if (auto written = write_struct(*call.caller, call.address, words); !written) {
    if (words.kind == abi::supervised_answer_file) (void)new_files_->take(words.token);
    return std::unexpected(written.error());
  }
  return 0;
}

Result<std::int32_t> Supervisor::map(CallingProgram& caller, std::uint64_t argument) {
  auto words = UMDEV_TRY(read_struct<abi::SupervisedMmap>(caller, argument));
  const auto file = UMDEV_TRY(caller.file(words.fd));
  if (!file) return fail(EBADF, "the descriptor is none of this mount's files");
  const auto pieces = UMDEV_TRY(file->mmap({.offset = words.offset,
                                            .length = words.length,
                                            .shared = words.shared != 0,
                                            .writable = words.writable != 0}));
  if (pieces.size() > abi::supervised_pieces_max) return fail(E2BIG, "the mapping has too many pieces");
  std::vector<int> fds;
  words.count = 0;
  for (const ioctl::MappedPiece& piece : pieces) {
    words.pieces[words.count++] = {.position = piece.position,
                                   .fd_offset = piece.fd_offset,
                                   .length = piece.length,
                                   .is_registers = piece.fd < 0 ? 1U : 0U};
    if (piece.fd < 0) continue;
    fds.push_back(piece.fd);
    if (const auto identity = os::identity_of(piece.fd)) files_.add_device_memory(*identity);
  }
  if (!fds.empty()) UMDEV_TRY(send_to(caller, words.channel, fds));
  UMDEV_TRY(write_struct(caller, argument, words));
  return 0;
}

Result<std::int32_t> Supervisor::give_registers(CallingProgram& caller, std::uint64_t argument) {
  auto words = UMDEV_TRY(read_struct<abi::SupervisedRegisters>(caller, argument));
  const auto file = UMDEV_TRY(caller.file(words.fd));
  if (!file) return fail(EBADF, "the descriptor is none of this mount's files");
  auto registers = UMDEV_TRY(Registers::of(file, log_));
  const os::UniqueFd faults = UMDEV_TRY(make_faults(files_));
  const int fd = faults.get();
  UMDEV_TRY(send_to(caller, words.channel, std::span(&fd, 1)));
  words.token = UMDEV_TRY(new_files_->add(*this, std::move(registers), limits_.new_files_per_supervisor));
  if (auto written = write_struct(caller, argument, words); !written) {
    (void)new_files_->take(words.token);
    return std::unexpected(written.error());
  }
  return 0;
}

// --- Tracing.

Result<ProgramTracer*> Supervisor::tracer() {
  if (tracers_ == nullptr) return fail(EPERM, "nobody is traced here");
  Lock lock(mutex_);
  if (!tracer_) tracer_ = UMDEV_TRY(tracers_->create_tracer());
  return tracer_.get();
}

void Supervisor::map_traced(CallingProgram& caller, std::uint64_t argument, uid_t user,
                            Done<std::int32_t> done) {
  auto mapping = look_at_stopped(caller, argument);
  if (!mapping) return done(std::unexpected(mapping.error()));
  mapping->user = user;
  const auto tracer = this->tracer();
  if (!tracer) return done(std::unexpected(tracer.error()));
  auto answered = std::make_shared<Done<std::int32_t>>(std::move(done));
  (*tracer)->map(std::move(*mapping), [self = shared_from_this(), answered](Result<> mapped) {
    if (!mapped) return (*answered)(std::unexpected(mapped.error()));
    (*answered)(0);
  });
}

// The device is whatever the program itself has open; the supervisor says only which call it is.
Result<StoppedMapping> Supervisor::look_at_stopped(CallingProgram& caller, std::uint64_t argument) {
  const auto words = UMDEV_TRY(read_struct<abi::SupervisedTracedMmap>(caller, argument));
  StoppedMapping mapping{.thread = words.thread, .id = words.id};
  std::ranges::copy(words.arguments, mapping.arguments.begin());
  mapping.memory = UMDEV_TRY(caller.take_memory_of(words.thread, words.memory));
  mapping.listener = UMDEV_TRY(caller.take_listener(words.listener));
  const auto& [address, length, protection, flags, fd, offset] = mapping.arguments;
  const auto file = files_.find(UMDEV_TRY(os::identity_of_fd_of(words.thread, static_cast<int>(fd))));
  if (!file) return fail(EPERM, "the program has not opened a device there");
  const auto pieces = UMDEV_TRY(file->mmap({.offset = offset,
                                            .length = length,
                                            .shared = (flags & MAP_SHARED) != 0,
                                            .writable = (protection & PROT_WRITE) != 0}));
  for (const ioctl::MappedPiece& piece : pieces) {
    int source = piece.fd;
    if (source < 0) {
      const auto traced = UMDEV_TRY(traced_.of(file));
      mapping.registers = traced->registers;
      mapping.faults = traced->identity;
      source = traced->faults.get();
    } else {
      files_.add_device_memory(UMDEV_TRY(os::identity_of(source)));
    }
    os::UniqueFd own(::fcntl(source, F_DUPFD_CLOEXEC, 0));
    if (!own) return os::fail_errno("no descriptor is left");
    mapping.pieces.push_back({.position = piece.position,
                              .fd = std::move(own),
                              .fd_offset = piece.fd_offset,
                              .length = piece.length});
  }
  return mapping;
}

}  // namespace umdev::uapi
