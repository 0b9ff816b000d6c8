#include "umdev/run/register_fault.h"

#include <sys/ptrace.h>
#include <sys/uio.h>

#include <array>
#include <csignal>
#include <optional>

#include "umdev/run/execution.h"
#include "umdev/run/thread_registers.h"

namespace umdev::run {
namespace {

iovec other_memory(std::uint64_t address, std::size_t size) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return {.iov_base = reinterpret_cast<void*>(address), .iov_len = size};
}

// The thread's memory, of which a part is registers.
class FaultingMemory final : public ProgramMemory {
 public:
  FaultingMemory(pid_t thread, os::MemoryMap& map, const MappedRegisters& mapped)
      : thread_(thread), map_(map), mapped_(mapped) {}

  // An area, and the registers that are mapped there.
  struct Registers {
    os::MemoryArea area;
    std::shared_ptr<DeviceRegisters> device;  // null: ordinary memory

    bool contains(std::uint64_t address) const { return address >= area.begin && address < area.end; }
    std::uint64_t offset_of(std::uint64_t address) const { return area.offset + (address - area.begin); }
  };
  // Null: ordinary memory, or none.
  const Registers* find(std::uint64_t address) {
    const Registers* const found = find_area(address);
    return found != nullptr && found->device ? found : nullptr;
  }

  // ^ProgramMemory
  Result<> load(std::uint64_t address, Bytes into) override {
    if (const Registers* registers = find(address)) {
      UMDEV_TRY(check(*registers, address, into.size(), registers->area.readable));
      return registers->device->read(registers->offset_of(address), into);
    }
    UMDEV_TRY(check_ordinary(address, into.size()));
    const iovec here{.iov_base = into.data(), .iov_len = into.size()};
    const iovec there = other_memory(address, into.size());
    return check_copy(::process_vm_readv(thread_, &here, 1, &there, 1, 0), into.size());
  }
  Result<> store(std::uint64_t address, ConstBytes from) override {
    if (const Registers* registers = find(address)) {
      UMDEV_TRY(check(*registers, address, from.size(), registers->area.writable));
      return registers->device->write(registers->offset_of(address), from);
    }
    UMDEV_TRY(check_ordinary(address, from.size()));
    const iovec here{.iov_base = const_cast<std::byte*>(from.data()), .iov_len = from.size()};
    const iovec there = other_memory(address, from.size());
    return check_copy(::process_vm_writev(thread_, &here, 1, &there, 1, 0), from.size());
  }

 private:
  // Null: nothing is there.
  const Registers* find_area(std::uint64_t address) {
    for (const Registers& known : known_)
      if (known.contains(address)) return &known;
    const auto area = map_.area_at(address);
    if (!area) return nullptr;
    // A string instruction goes between two places.
    known_[next_] = {.area = *area, .device = mapped_.of_memory(area->file)};
    const Registers& found = known_[next_];
    next_ = (next_ + 1) % known_.size();
    return &found;
  }
  // An access may begin in one area and end in the next.
  Result<> check_ordinary(std::uint64_t address, std::size_t size) {
    for (const std::uint64_t touched : {address, address + size - 1}) {
      const Registers* const found = find_area(touched);
      if (found == nullptr || !mapped_.may_touch(found->area.file))
        return fail(EFAULT, "the program has no such memory");
    }
    return {};
  }
  static Result<> check(const Registers& registers, std::uint64_t address, std::size_t size, bool allowed) {
    if (!allowed) return fail(EFAULT, "the registers are not mapped for that");
    if (registers.area.end - address < size) return fail(EFAULT, "the access leaves the registers");
    return {};
  }
  static Result<> check_copy(ssize_t count, std::size_t size) {
    if (!std::cmp_equal(count, size)) return fail(EFAULT, "the program has no such memory");
    return {};
  }

  const pid_t thread_;
  os::MemoryMap& map_;
  const MappedRegisters& mapped_;
  std::array<Registers, 2> known_{};
  std::size_t next_ = 0;
};

// An access beyond the end of a file.
std::optional<std::uint64_t> fault_address(pid_t thread) {
  siginfo_t signal{};
  if (::ptrace(PTRACE_GETSIGINFO, thread, nullptr, &signal) != 0) return std::nullopt;
  if (signal.si_signo != SIGBUS || signal.si_code != BUS_ADRERR) return std::nullopt;
  return reinterpret_cast<std::uint64_t>(signal.si_addr);
}

// Most instructions are in one word, which a tracer reads faster than anything else.
using Word = long;
Result<Instruction> decode_word(pid_t thread, std::uint64_t address) {
  errno = 0;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): ptrace() takes numbers as pointers
  const Word word = ::ptrace(PTRACE_PEEKTEXT, thread, reinterpret_cast<void*>(address), nullptr);
  if (errno != 0) return fail(ENODATA, "the page ends within the word");
  return decode(std::as_bytes(std::span(&word, 1)));
}

// As much as there is up to the end of its page: an instruction may reach into the next.
std::size_t read_code(pid_t thread, std::uint64_t address, Bytes into) {
  constexpr std::uint64_t page = 4096;
  const std::size_t first = std::min<std::uint64_t>(into.size(), page - address % page);
  const iovec here{.iov_base = into.data(), .iov_len = into.size()};
  const std::array<iovec, 2> there{other_memory(address, first),
                                   other_memory(address + first, into.size() - first)};
  const ssize_t count = ::process_vm_readv(thread, &here, 1, there.data(), first < into.size() ? 2 : 1, 0);
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

bool is_vector(const Instruction& instruction) {
  return instruction.operation == Operation::load_vector || instruction.operation == Operation::store_vector;
}

}  // namespace

bool serve_fault(pid_t thread, pid_t process, os::MemoryMap& map, const MappedRegisters& mapped) {
  const auto address = fault_address(thread);
  if (!address) return false;
  FaultingMemory memory(thread, map, mapped);
  const FaultingMemory::Registers* at = memory.find(*address);
  if (at == nullptr) return false;
  auto registers = ThreadRegisters::read(thread);
  if (!registers) return false;
  CpuRegisters& values = registers->values();
  auto instruction = decode_word(thread, values.rip);
  if (!instruction) {
    std::array<std::byte, instruction_size_max> code{};
    const ConstBytes known = ConstBytes(code).first(read_code(thread, values.rip, code));
    instruction = decode(known);
    if (!instruction) {
      at->device->say_unknown(process, at->offset_of(*address), known);
      return false;
    }
  }
  if (is_vector(*instruction) && !registers->read_vectors()) return false;
  const std::uint64_t before = values.general[CpuRegisters::rcx];
  const auto executed = execute(*instruction, values, memory);
  // What a string instruction had done before it failed, it has done: it faults again.
  const bool has_begun = instruction->repeats && values.general[CpuRegisters::rcx] != before;
  return (executed || has_begun) && registers->write();
}

}  // namespace umdev::run
