#include "umdev/run/execution.h"

#include <algorithm>
#include <bit>

namespace umdev::run {
namespace {

constexpr std::uint64_t arithmetic_flags =
    carry_flag | parity_flag | adjust_flag | zero_flag | sign_flag | overflow_flag;

std::uint64_t mask_of(unsigned width) {
  return width >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * width)) - 1;
}

std::uint64_t sign_of(unsigned width) {
  return std::uint64_t{1} << (8 * width - 1);
}

std::uint64_t when(bool condition, std::uint64_t flag) {
  return condition ? flag : 0;
}

std::uint64_t flags_of_result(std::uint64_t value, unsigned width) {
  return when(value == 0, zero_flag) | when((value & sign_of(width)) != 0, sign_flag) |
         when(std::popcount(value & 0xffU) % 2 == 0, parity_flag);
}

struct Sum {
  std::uint64_t value = 0;
  std::uint64_t flags = 0;
};

Sum add(std::uint64_t left, std::uint64_t right, unsigned carry, unsigned width) {
  const std::uint64_t value = (left + right + carry) & mask_of(width);
  const bool carries = carry != 0 ? value <= left : value < left;
  const bool overflows = (~(left ^ right) & (left ^ value) & sign_of(width)) != 0;
  return {.value = value,
          .flags = flags_of_result(value, width) | when(carries, carry_flag) |
                   when(overflows, overflow_flag) | ((left ^ right ^ value) & adjust_flag)};
}

Sum subtract(std::uint64_t left, std::uint64_t right, unsigned borrow, unsigned width) {
  const std::uint64_t value = (left - right - borrow) & mask_of(width);
  const bool borrows = borrow != 0 ? left <= right : left < right;
  const bool overflows = ((left ^ right) & (left ^ value) & sign_of(width)) != 0;
  return {.value = value,
          .flags = flags_of_result(value, width) | when(borrows, carry_flag) |
                   when(overflows, overflow_flag) | ((left ^ right ^ value) & adjust_flag)};
}

Sum logic(std::uint64_t value, unsigned width) {
  return {.value = value, .flags = flags_of_result(value, width)};
}

// Some flags stay what they are.
Sum with_flags(Sum sum, std::uint64_t before, std::uint64_t changed) {
  sum.flags = (sum.flags & changed) | (before & ~changed & arithmetic_flags);
  return sum;
}

Sum bit_operation(Arithmetic operation, std::uint64_t left, std::uint64_t bit, std::uint64_t flags) {
  const std::uint64_t mask = std::uint64_t{1} << bit;
  const std::uint64_t new_flags =
      (flags & arithmetic_flags & ~carry_flag) | when((left & mask) != 0, carry_flag);
  switch (operation) {
    case Arithmetic::bts:
      return {.value = left | mask, .flags = new_flags};
    case Arithmetic::btr:
      return {.value = left & ~mask, .flags = new_flags};
    case Arithmetic::btc:
      return {.value = left ^ mask, .flags = new_flags};
    default:
      return {.value = left, .flags = new_flags};
  }
}

// Operands are within their width.
Sum calculate(Arithmetic operation, std::uint64_t left, std::uint64_t right, unsigned width,
              std::uint64_t flags) {
  const unsigned carry = (flags & carry_flag) != 0 ? 1 : 0;
  switch (operation) {
    case Arithmetic::add:
      return add(left, right, 0, width);
    case Arithmetic::bit_or:
      return logic(left | right, width);
    case Arithmetic::adc:
      return add(left, right, carry, width);
    case Arithmetic::sbb:
      return subtract(left, right, carry, width);
    case Arithmetic::bit_and:
      return logic(left & right, width);
    case Arithmetic::sub:
    case Arithmetic::cmp:
      return subtract(left, right, 0, width);
    case Arithmetic::bit_xor:
      return logic(left ^ right, width);
    case Arithmetic::inc:
      return with_flags(add(left, 1, 0, width), flags, arithmetic_flags & ~carry_flag);
    case Arithmetic::dec:
      return with_flags(subtract(left, 1, 0, width), flags, arithmetic_flags & ~carry_flag);
    case Arithmetic::bit_not:
      return {.value = ~left & mask_of(width), .flags = flags & arithmetic_flags};
    case Arithmetic::neg:
      return subtract(0, left, 0, width);
    default:
      return bit_operation(operation, left, right % (std::uint64_t{8} * width), flags);
  }
}

class Execution {
 public:
  Execution(const Instruction& instruction, CpuRegisters& registers, ProgramMemory& memory)
      : instruction_(instruction), registers_(registers), memory_(memory), width_(instruction.width) {}

  Result<> run() {
    switch (instruction_.operation) {
      case Operation::load:
        write_register(extend(UMDEV_TRY(load(address()))));
        break;
      case Operation::store:
        UMDEV_TRY(store(address(), source()));
        break;
      case Operation::exchange: {
        const std::uint64_t old = UMDEV_TRY(load(address()));
        UMDEV_TRY(store(address(), source()));
        write_register(old);
        break;
      }
      case Operation::modify:
      case Operation::accumulate:
      case Operation::compare:
        UMDEV_TRY(calculate_with_memory());
        break;
      case Operation::load_vector:
        UMDEV_TRY(load_vector());
        break;
      case Operation::store_vector:
        UMDEV_TRY(store_vector());
        break;
      default:
        return string();
    }
    registers_.rip += instruction_.length;
    return {};
  }

 private:
  std::uint64_t address() const {
    const std::uint64_t begin = address_of(instruction_, registers_);
    if (!instruction_.bit_in_register) return begin;
    // The bit's number is signed, and may be anywhere.
    const unsigned unused = 64 - 8U * width_;
    const auto bit = static_cast<std::int64_t>(read_register() << unused) >> unused;
    const std::int64_t bits = std::int64_t{8} * width_;
    const std::int64_t operand = (bit >= 0 ? bit : bit - bits + 1) / bits;
    return begin + static_cast<std::uint64_t>(operand * width_);
  }

  std::uint64_t read_register() const {
    const std::uint64_t value = registers_.general[instruction_.reg];
    return (instruction_.second_byte ? value >> 8U : value) & mask_of(std::min<unsigned>(width_, 8));
  }

  std::uint64_t source() const {
    const std::uint64_t value =
        instruction_.has_immediate ? instruction_.immediate & mask_of(width_) : read_register();
    return instruction_.swaps_bytes ? swap(value) : value;
  }

  std::uint64_t swap(std::uint64_t value) const { return __builtin_bswap64(value) >> (64 - 8U * width_); }

  // Four bytes clear the upper half of the register, fewer leave the rest alone.
  void write_register(std::uint64_t value) {
    std::uint64_t& reg = registers_.general[instruction_.reg];
    const unsigned width = instruction_.register_width;
    const unsigned shift = instruction_.second_byte ? 8 : 0;
    const std::uint64_t mask = width == 4 ? ~std::uint64_t{0} : mask_of(width) << shift;
    const std::uint64_t bits = width == 4 ? value & mask_of(4) : value << shift;
    reg = (reg & ~mask) | (bits & mask);
  }

  std::uint64_t extend(std::uint64_t value) const {
    if (instruction_.swaps_bytes) return swap(value);
    if (!instruction_.sign_extends || (value & sign_of(width_)) == 0) return value;
    return value | ~mask_of(width_);
  }

  Result<std::uint64_t> load(std::uint64_t address) {
    std::uint64_t value = 0;
    UMDEV_TRY(memory_.load(address, std::as_writable_bytes(std::span(&value, 1)).first(width_)));
    return value;
  }
  Result<> store(std::uint64_t address, std::uint64_t value) {
    return memory_.store(address, std::as_bytes(std::span(&value, 1)).first(width_));
  }

  Result<> calculate_with_memory() {
    const std::uint64_t memory = UMDEV_TRY(load(address()));
    const bool into_register = instruction_.operation == Operation::accumulate;
    const Sum sum = calculate(instruction_.arithmetic, into_register ? read_register() : memory,
                              into_register ? memory : source(), width_, registers_.flags);
    if (instruction_.operation == Operation::modify) UMDEV_TRY(store(address(), sum.value));
    if (into_register && instruction_.arithmetic != Arithmetic::cmp) write_register(sum.value);
    registers_.flags = (registers_.flags & ~arithmetic_flags) | sum.flags;
    return {};
  }

  static constexpr std::size_t piece = 8;

  Result<> load_vector() {
    CpuRegisters::Vector value{};
    const Bytes bytes = Bytes(value).first(width_);
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      UMDEV_TRY(memory_.load(address() + at, bytes.subspan(at, std::min(piece, bytes.size() - at))));
    CpuRegisters::Vector& vector = registers_.vectors[instruction_.reg];
    // The rest of xmm is always cleared.
    std::copy_n(value.begin(), instruction_.clears_upper ? 32 : 16, vector.begin());
    return {};
  }

  Result<> store_vector() {
    const ConstBytes bytes = ConstBytes(registers_.vectors[instruction_.reg]).first(width_);
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      UMDEV_TRY(memory_.store(address() + at, bytes.subspan(at, std::min(piece, bytes.size() - at))));
    return {};
  }

  Result<> string() {
    std::uint64_t& count = registers_.general[CpuRegisters::rcx];
    if (!instruction_.repeats) {
      UMDEV_TRY(string_step());
      registers_.rip += instruction_.length;
      return {};
    }
    for (std::uint64_t step = 0; count != 0; --count, ++step) {
      if (step == string_steps_max) return {};
      UMDEV_TRY(string_step());
    }
    registers_.rip += instruction_.length;
    return {};
  }

  Result<> string_step() {
    std::uint64_t& from = registers_.general[CpuRegisters::rsi];
    std::uint64_t& to = registers_.general[CpuRegisters::rdi];
    std::uint64_t& rax = registers_.general[CpuRegisters::rax];
    const bool down = (registers_.flags & direction_flag) != 0;
    const std::uint64_t step = down ? -std::uint64_t{width_} : width_;
    const bool fills = instruction_.operation == Operation::fill_string;
    const std::uint64_t value = fills ? rax : UMDEV_TRY(load(from));
    if (instruction_.operation == Operation::load_string) {
      const std::uint64_t kept = width_ == 4 ? 0 : rax & ~mask_of(width_);
      rax = kept | value;
    } else {
      UMDEV_TRY(store(to, value));
      to += step;
    }
    if (!fills) from += step;
    return {};
  }

  const Instruction& instruction_;
  CpuRegisters& registers_;
  ProgramMemory& memory_;
  const unsigned width_;
};

}  // namespace

std::uint64_t address_of(const Instruction& instruction, const CpuRegisters& registers) {
  const Place& place = instruction.place;
  auto address = static_cast<std::uint64_t>(place.displacement);
  if (place.from_next_instruction) address += registers.rip + instruction.length;
  if (place.base != Place::none) address += registers.general[place.base];
  if (place.index != Place::none) address += registers.general[place.index] << place.scale;
  if (place.short_addresses) address &= mask_of(4);
  if (place.segment == Place::Segment::fs) address += registers.fs_base;
  if (place.segment == Place::Segment::gs) address += registers.gs_base;
  return address;
}

Result<> execute(const Instruction& instruction, CpuRegisters& registers, ProgramMemory& memory) {
  return Execution(instruction, registers, memory).run();
}

}  // namespace umdev::run
