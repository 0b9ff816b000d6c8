#include "apps/umdevd/program_tracers.h"

#include <sys/syscall.h>

#include <chrono>
#include <utility>

#include "apps/umdevd/traced_registers.h"
#include "umdev/run/injection.h"
#include "umdev/run/tracer.h"

namespace umdev::daemon {
namespace {

run::StoppedCall call_of(const uapi::StoppedMapping& mapping) {
  return {.id = mapping.id, .thread = mapping.thread, .number = SYS_mmap, .arguments = mapping.arguments};
}

// The program is still the one whose memory the supervisor was given, and has not gained rights since.
bool is_still_theirs(pid_t thread, uid_t user, int memory) {
  const auto process = os::Process::open(thread);
  if (!process || !os::is_address_space_alive(memory)) return false;
  const auto owner = (*process)->owner();
  return owner && (user == 0 || *owner == user);
}

// One of so many that there may be.
class Place {
 public:
  explicit Place(std::shared_ptr<TracerCount> count) : count_(std::move(count)) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    Lock lock(count_->mutex);
    --count_->tracers;
    count_->changed.notify_all();
  }

 private:
  const std::shared_ptr<TracerCount> count_;
};

}  // namespace

// A tracing thread, and what it knows. Destroyed on the pool, for it may wait for a device.
class ProgramTracers::Tracing {
 public:
  Tracing(std::shared_ptr<TracerCount> count, std::vector<dev_t> own_mounts)
      : place_(std::move(count)), registers_(std::move(own_mounts)) {}

  Result<> start() {
    tracer_ = UMDEV_TRY(run::Tracer::create(registers_));
    return {};
  }

  // Returns when the tracing thread has heard of it.
  void map(uapi::StoppedMapping mapping, Done<> done) {
    struct Asked {
      uapi::StoppedMapping mapping;
      Done<> done;
    };
    auto asked = std::make_unique<Asked>(std::move(mapping), std::move(done));
    tracer_->post([this, asked = std::move(asked)] { asked->done(map_here(asked->mapping)); });
  }

 private:
  // On the tracing thread.
  Result<> map_here(uapi::StoppedMapping& mapping) {
    const run::StoppedCall call = call_of(mapping);
    const run::Listener listener(std::move(mapping.listener));
    if (!listener.is_waiting(call)) return fail(EPERM, "nobody waits for this call");
    if (mapping.registers) {
      registers_.add(mapping.faults, mapping.registers);
      UMDEV_TRY(trace(mapping));
    } else if (!tracer_->traces(call.thread)) {
      return fail(EPERM, "the program is not traced here");
    }
    std::vector<run::CarriedPiece> pieces;
    for (uapi::StoppedMapping::Piece& piece : mapping.pieces)
      pieces.push_back({.position = piece.position,
                        .fd = std::move(piece.fd),
                        .fd_offset = piece.fd_offset,
                        .length = piece.length});
    run::map_in_place_of(listener, call, *tracer_, pieces);
    return {};
  }

  Result<> trace(const uapi::StoppedMapping& mapping) {
    const auto is_allowed = [thread = mapping.thread, user = mapping.user, memory = mapping.memory.get()] {
      return is_still_theirs(thread, user, memory);
    };
    if (!is_allowed()) return fail(EPERM, "who asks for it must not trace this program");
    if (!tracer_->trace_process_of(mapping.thread, is_allowed))
      return fail(EPERM, "the program cannot be traced from here");
    return {};
  }

  const Place place_;
  TracedRegisters registers_;
  std::unique_ptr<run::Tracer> tracer_;
};

// A tracing thread that can be taken away from whoever asks it.
class ProgramTracers::Desk {
 public:
  explicit Desk(std::shared_ptr<Tracing> tracing) : tracing_(std::move(tracing)) {}

  // Null once it has been taken.
  std::shared_ptr<Tracing> find() UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    return tracing_;
  }
  void end_on(Executor& pool) UMDEV_EXCLUDES(mutex_) {
    Lock lock(mutex_);
    if (tracing_) pool.post([tracing = std::exchange(tracing_, nullptr)]() mutable { tracing.reset(); });
  }

 private:
  Mutex mutex_;
  std::shared_ptr<Tracing> tracing_ UMDEV_GUARDED_BY(mutex_);
};

// What the supervisor's file holds.
class ProgramTracers::Handle final : public uapi::ProgramTracer {
 public:
  Handle(std::shared_ptr<Desk> desk, Executor& pool) : desk_(std::move(desk)), pool_(pool) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() override { desk_->end_on(pool_); }

  // ^uapi::ProgramTracer
  void map(uapi::StoppedMapping mapping, Done<> done) override {
    struct Asked {
      std::shared_ptr<Tracing> tracing;
      uapi::StoppedMapping mapping;
      Done<> done;
    };
    auto tracing = desk_->find();
    if (!tracing) return done(fail(EPERM, "nobody is traced any more"));
    auto asked = std::make_unique<Asked>(std::move(tracing), std::move(mapping), std::move(done));
    pool_.post([asked = std::move(asked)] {
      asked->tracing->map(std::move(asked->mapping), std::move(asked->done));
    });
  }

 private:
  const std::shared_ptr<Desk> desk_;
  Executor& pool_;
};

Result<std::unique_ptr<ProgramTracers>> ProgramTracers::create(const TracerLimits& limits) {
  // A tracer that hangs in a device may be asked for a mapping, and be ended.
  auto pool =
      UMDEV_TRY(os::ThreadPool::create("umdev-traces", {.kept = 1, .most = 2 * limits.supervisors + 1}));
  return std::unique_ptr<ProgramTracers>(new ProgramTracers(limits, std::move(pool)));
}

ProgramTracers::~ProgramTracers() = default;

Result<std::unique_ptr<uapi::ProgramTracer>> ProgramTracers::create_tracer() {
  {
    Lock lock(count_->mutex);
    if (count_->tracers >= limits_.supervisors) return fail(EAGAIN, "the programs of too many are traced");
    ++count_->tracers;
  }
  auto tracing = std::make_shared<Tracing>(count_, own_mounts_);
  UMDEV_TRY(tracing->start());
  auto desk = std::make_shared<Desk>(std::move(tracing));
  Lock lock(mutex_);
  std::erase_if(desks_, [](const auto& other) { return other.expired(); });
  desks_.push_back(desk);
  return std::make_unique<Handle>(std::move(desk), *pool_);
}

bool ProgramTracers::end(Duration limit) {
  {
    Lock lock(mutex_);
    for (const auto& other : desks_)
      if (const auto desk = other.lock()) desk->end_on(*pool_);
    desks_.clear();
  }
  const auto start = std::chrono::steady_clock::now();
  {
    Lock lock(count_->mutex);
    while (count_->tracers > 0) {
      const Duration left = limit - (std::chrono::steady_clock::now() - start);
      if (left <= Duration::zero()) return false;
      count_->changed.wait_for(count_->mutex, left);
    }
  }
  return pool_->abandon_stuck(limit) == 0;
}

}  // namespace umdev::daemon
