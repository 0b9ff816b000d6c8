// Any bytes as an instruction of a program, executed on a page of memory: what is decoded fits into its code,
// is the same whatever stands behind it, reaches nothing that was not asked for by a width that exists, and
// leaves the registers alone when memory refuses.
//
// The input: registers (16 times a byte, times 16, above the page's begin), flags, then code.
#include <cstdint>
#include <cstring>
#include <vector>

#include "umdev/run/execution.h"
#include "umdev/support/assert.h"

namespace umdev::run {
namespace {

constexpr std::uint64_t page_begin = 0x10000;
constexpr std::uint64_t page_size = 4096;

class Page final : public ProgramMemory {
 public:
  explicit Page(const Instruction& instruction) : width_(instruction.width) {}

  Result<> load(std::uint64_t address, Bytes into) override {
    UMDEV_TRY(check(address, into.size()));
    std::memcpy(into.data(), bytes_.data() + (address - page_begin), into.size());
    return {};
  }
  Result<> store(std::uint64_t address, ConstBytes from) override {
    UMDEV_TRY(check(address, from.size()));
    std::memcpy(bytes_.data() + (address - page_begin), from.data(), from.size());
    return {};
  }

 private:
  Result<> check(std::uint64_t address, std::size_t size) const {
    UMDEV_ASSERT(size == std::min<std::size_t>(width_, 8), "an access of another width");
    if (address < page_begin || address > page_begin + page_size - size) return fail(EFAULT, "outside");
    return {};
  }

  const std::size_t width_;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(page_size);
};

void check_decoded(const Instruction& instruction, ConstBytes code) {
  UMDEV_ASSERT(instruction.length >= 1 && instruction.length <= code.size() &&
                   instruction.length <= instruction_size_max,
               "longer than its code");
  const auto alone = decode(code.first(instruction.length));
  UMDEV_ASSERT(alone && alone->length == instruction.length, "what stands behind it matters");
  UMDEV_ASSERT(!decode(code.first(instruction.length - 1U)), "it needs less than it takes");
  const unsigned width = instruction.width;
  UMDEV_ASSERT(width == 1 || width == 2 || width == 4 || width == 8 || width == 16 || width == 32, "a width");
  UMDEV_ASSERT(instruction.reg < 16, "a register that there is not");
}

void run_one(std::span<const std::uint8_t> input) {
  constexpr std::size_t head = 17;
  if (input.size() < head) return;
  CpuRegisters registers;
  for (std::size_t index = 0; index < registers.general.size(); ++index)
    registers.general[index] = page_begin + std::uint64_t{16} * input[index];
  registers.rip = page_begin;
  registers.flags = input[16] * std::uint64_t{9};
  const ConstBytes code = std::as_bytes(input.subspan(head));
  const auto instruction = decode(code);
  if (!instruction) return;
  check_decoded(*instruction, code);
  const CpuRegisters before = registers;
  Page page(*instruction);
  const auto executed = execute(*instruction, registers, page);
  if (instruction->repeats) return;
  if (executed)
    UMDEV_ASSERT(registers.rip == before.rip + instruction->length, "the next instruction is another one");
  else
    UMDEV_ASSERT(std::memcmp(&before, &registers, sizeof before) == 0, "a failure changed registers");
}

}  // namespace
}  // namespace umdev::run

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::run::run_one({data, size});
  return 0;
}
