#include "umdev/run/thread_registers.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "umdev/os/system_error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace umdev::run {
namespace {

#if defined(__x86_64__)

// The layout of XSAVE's area that the processor's manual says (not the compacted one).
constexpr std::size_t state_size_max = 16384;
constexpr std::size_t xmm_offset = 160;
constexpr std::size_t xmm_size = 16;
constexpr std::size_t present_offset = 512;  // a bit for each part that is not as at power-on
constexpr std::uint64_t xmm_present = 2;
constexpr std::uint64_t upper_present = 4;
constexpr unsigned long long code_of_64_bits = 0x33;  // the code segment of such a program

// Where the upper halves of ymm are; 0 where there are none.
std::size_t upper_offset() {
  unsigned size = 0;
  unsigned offset = 0;
  unsigned unused = 0;
  if (__get_cpuid_count(0xd, 2, &size, &offset, &unused, &unused) == 0) return 0;
  return offset;
}

// ptrace() takes numbers as pointers.
void* vectors() {
  return reinterpret_cast<void*>(std::uintptr_t{NT_X86_XSTATE});  // NOLINT(performance-no-int-to-ptr)
}

void* general_registers() {
  return reinterpret_cast<void*>(std::uintptr_t{NT_PRSTATUS});  // NOLINT(performance-no-int-to-ptr)
}

using Member = unsigned long long user_regs_struct::*;
constexpr std::array<Member, 16> general{
    &user_regs_struct::rax, &user_regs_struct::rcx, &user_regs_struct::rdx, &user_regs_struct::rbx,
    &user_regs_struct::rsp, &user_regs_struct::rbp, &user_regs_struct::rsi, &user_regs_struct::rdi,
    &user_regs_struct::r8,  &user_regs_struct::r9,  &user_regs_struct::r10, &user_regs_struct::r11,
    &user_regs_struct::r12, &user_regs_struct::r13, &user_regs_struct::r14, &user_regs_struct::r15};

#endif

}  // namespace

#if defined(__x86_64__)

Result<ThreadRegisters> ThreadRegisters::read(pid_t thread) {
  ThreadRegisters registers(thread);
  user_regs_struct& raw = registers.raw_;
  if (::ptrace(PTRACE_GETREGS, thread, nullptr, &raw) != 0) return os::fail_errno("the thread has ended");
  if (raw.cs != code_of_64_bits) return fail(ENOSYS, "the thread runs code of 32 bits");
  CpuRegisters& values = registers.values_;
  for (std::size_t index = 0; index < general.size(); ++index) values.general[index] = raw.*general[index];
  values.rip = raw.rip;
  values.flags = raw.eflags;
  values.fs_base = raw.fs_base;
  values.gs_base = raw.gs_base;
  return registers;
}

Result<> ThreadRegisters::read_vectors() {
  state_.resize(state_size_max);
  iovec area{.iov_base = state_.data(), .iov_len = state_.size()};
  if (::ptrace(PTRACE_GETREGSET, thread_, vectors(), &area) != 0)
    return os::fail_errno("the thread's vectors cannot be read");
  state_.resize(area.iov_len);
  copy_vectors(/*into_values=*/true);
  return {};
}

void ThreadRegisters::copy_vectors(bool into_values) {
  const auto copy = [&](std::size_t offset, std::size_t begin) {
    if (offset + values_.vectors.size() * xmm_size > state_.size()) return false;
    for (CpuRegisters::Vector& vector : values_.vectors) {
      if (into_values)
        std::memcpy(vector.data() + begin, state_.data() + offset, xmm_size);
      else
        std::memcpy(state_.data() + offset, vector.data() + begin, xmm_size);
      offset += xmm_size;
    }
    return true;
  };
  std::uint64_t present = copy(xmm_offset, 0) ? xmm_present : 0;
  if (const std::size_t upper = upper_offset(); upper != 0 && copy(upper, xmm_size)) present |= upper_present;
  if (into_values || state_.size() < present_offset + sizeof present) return;
  std::uint64_t before = 0;
  std::memcpy(&before, state_.data() + present_offset, sizeof before);
  present |= before;
  std::memcpy(state_.data() + present_offset, &present, sizeof present);
}

Result<> ThreadRegisters::write() {
  const auto before = raw_.rsp;
  for (std::size_t index = 0; index < general.size(); ++index) raw_.*general[index] = values_.general[index];
  raw_.rip = values_.rip;
  raw_.eflags = values_.flags;
  if (!state_.empty()) {
    copy_vectors(/*into_values=*/false);
    iovec area{.iov_base = state_.data(), .iov_len = state_.size()};
    if (::ptrace(PTRACE_SETREGSET, thread_, vectors(), &area) != 0)
      return os::fail_errno("the thread's vectors cannot be written");
  }
  // What lies behind the flags, the segments, nothing here has changed; it is the more expensive half.
  const std::size_t size = raw_.rsp == before ? offsetof(user_regs_struct, rsp) : sizeof raw_;
  iovec area{.iov_base = &raw_, .iov_len = size};
  if (::ptrace(PTRACE_SETREGSET, thread_, general_registers(), &area) != 0)
    return os::fail_errno("the thread has ended");
  return {};
}

#else

Result<ThreadRegisters> ThreadRegisters::read(pid_t) {
  return fail(ENOSYS, "not written for this processor");
}
Result<> ThreadRegisters::read_vectors() {
  return fail(ENOSYS, "not written for this processor");
}
Result<> ThreadRegisters::write() {
  return fail(ENOSYS, "not written for this processor");
}

#endif

}  // namespace umdev::run
