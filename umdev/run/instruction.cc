#include "umdev/run/instruction.h"

namespace umdev::run {
namespace {

// Reads on to the end of the code; from then on everything is 0, and `cut()`.
class Cursor {
 public:
  explicit Cursor(ConstBytes code) : code_(code.first(std::min(code.size(), instruction_size_max))) {}

  std::uint8_t byte() {
    if (position_ >= code_.size()) {
      cut_ = true;
      return 0;
    }
    return std::to_integer<std::uint8_t>(code_[position_++]);
  }
  // Sign-extended.
  std::int64_t number(unsigned size) {
    std::uint64_t value = 0;
    for (unsigned index = 0; index < size; ++index) value |= std::uint64_t{byte()} << (8 * index);
    const unsigned unused = 64 - 8 * size;
    return static_cast<std::int64_t>(value << unused) >> unused;
  }
  std::size_t position() const { return position_; }
  bool cut() const { return cut_; }

 private:
  const ConstBytes code_;
  std::size_t position_ = 0;
  bool cut_ = false;
};

struct Prefixes {
  bool operand_size = false;
  bool repeat = false;        // F3
  bool repeat_other = false;  // F2
  bool has_rex = false;
  bool wide = false;            // REX.W
  std::uint8_t reg_high = 0;    // REX.R, as 8
  std::uint8_t index_high = 0;  // REX.X
  std::uint8_t base_high = 0;   // REX.B
};

enum class Vex : std::uint8_t { none, half, full };

class Decoder {
 public:
  explicit Decoder(ConstBytes code) : cursor_(code) {}

  Result<Instruction> decode() {
    std::uint8_t opcode = take_prefixes();
    bool known = false;
    if (opcode == 0xc5 || opcode == 0xc4)
      known = take_vex(opcode);
    else if (opcode != 0x0f)
      known = one_byte(opcode);
    else if (opcode = cursor_.byte(); opcode == 0x38)
      known = three_bytes(cursor_.byte());
    else
      known = two_bytes(opcode);
    if (cursor_.cut()) return fail(ENODATA, "the instruction is cut short");
    if (!known || is_register_) return fail(EILSEQ, "an instruction that is not known here");
    result_.length = static_cast<std::uint8_t>(cursor_.position());
    return result_;
  }

 private:
  std::uint8_t take_prefixes() {
    for (;;) {
      const std::uint8_t byte = cursor_.byte();
      switch (byte) {
        case 0x66:
          prefixes_.operand_size = true;
          break;
        case 0x67:
          result_.place.short_addresses = true;
          break;
        case 0xf2:
          prefixes_.repeat_other = true;
          prefixes_.repeat = false;
          break;
        case 0xf3:
          prefixes_.repeat = true;
          prefixes_.repeat_other = false;
          break;
        case 0x64:
          result_.place.segment = Place::Segment::fs;
          break;
        case 0x65:
          result_.place.segment = Place::Segment::gs;
          break;
        // A device knows no lock; the other segments mean nothing.
        case 0xf0:
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
          break;
        default:
          if ((byte & 0xf0U) != 0x40) return byte;
          set_rex(byte);
          return cursor_.byte();
      }
      if (cursor_.cut()) return 0;
    }
  }

  void set_rex(unsigned bits) {
    prefixes_.has_rex = true;
    prefixes_.wide = (bits & 8U) != 0;
    prefixes_.reg_high = (bits & 4U) != 0 ? 8 : 0;
    prefixes_.index_high = (bits & 2U) != 0 ? 8 : 0;
    prefixes_.base_high = (bits & 1U) != 0 ? 8 : 0;
  }

  // --- Operands.

  std::uint8_t operand_width(bool is_byte) const {
    if (is_byte) return 1;
    if (prefixes_.wide) return 8;
    return prefixes_.operand_size ? 2 : 4;
  }

  // Where memory is, and the register or the number in the middle of the byte, without what REX adds to it.
  std::uint8_t take_modrm() {
    const std::uint8_t modrm = cursor_.byte();
    const unsigned mode = modrm >> 6U;
    const unsigned base = modrm & 7U;
    const auto middle = static_cast<std::uint8_t>(modrm >> 3U & 7U);
    if (mode == 3) {
      is_register_ = true;
      return middle;
    }
    Place& place = result_.place;
    if (base == 4) {
      take_scaled(mode);
    } else if (base == 5 && mode == 0) {
      place.from_next_instruction = true;
      place.displacement = cursor_.number(4);
    } else {
      place.base = static_cast<std::uint8_t>(base | prefixes_.base_high);
    }
    if (mode == 1) place.displacement = cursor_.number(1);
    if (mode == 2) place.displacement = cursor_.number(4);
    return middle;
  }

  void take_scaled(unsigned mode) {
    const std::uint8_t byte = cursor_.byte();
    Place& place = result_.place;
    const auto index = static_cast<std::uint8_t>((byte >> 3U & 7U) | prefixes_.index_high);
    if (index != 4) place.index = index;
    place.scale = byte >> 6U;
    if ((byte & 7U) == 5 && mode == 0)
      place.displacement = cursor_.number(4);
    else
      place.base = static_cast<std::uint8_t>((byte & 7U) | prefixes_.base_high);
  }

  void set_register(std::uint8_t number, std::uint8_t width) {
    result_.register_width = width;
    // Without REX, 4 to 7 are the second bytes of the first four registers.
    result_.second_byte = width == 1 && !prefixes_.has_rex && number >= 4;
    result_.reg = result_.second_byte ? number - 4 : static_cast<std::uint8_t>(number | prefixes_.reg_high);
  }

  // Memory and a register, both of the width.
  bool with_register(Operation operation, std::uint8_t width, Arithmetic arithmetic = Arithmetic::add) {
    result_.operation = operation;
    result_.arithmetic = arithmetic;
    result_.width = width;
    set_register(take_modrm(), width);
    return true;
  }

  void take_immediate(unsigned size) {
    result_.has_immediate = true;
    result_.immediate = static_cast<std::uint64_t>(cursor_.number(size));
  }

  bool modify_or_compare(Arithmetic arithmetic, std::uint8_t width) {
    result_.arithmetic = arithmetic;
    result_.width = width;
    const bool asks = arithmetic == Arithmetic::cmp || arithmetic == Arithmetic::bt;
    result_.operation = asks ? Operation::compare : Operation::modify;
    return true;
  }

  // --- Opcodes of one byte.

  bool one_byte(std::uint8_t opcode) {
    const bool is_byte = (opcode & 1U) == 0;
    const std::uint8_t width = operand_width(is_byte);
    if (opcode < 0x40 && (opcode & 7U) < 4) return arithmetic(opcode, width);
    switch (opcode) {
      case 0x63:
        return extended(4, prefixes_.wide ? 8 : operand_width(false), /*sign=*/true);
      case 0x80:
      case 0x81:
      case 0x83:
        modify_or_compare(static_cast<Arithmetic>(take_modrm()), width);
        take_immediate(opcode == 0x81 ? std::min<unsigned>(width, 4) : 1);
        return true;
      case 0x84:
      case 0x85:
        return with_register(Operation::compare, width, Arithmetic::bit_and);
      case 0x86:
      case 0x87:
        return with_register(Operation::exchange, width);
      case 0x88:
      case 0x89:
        return with_register(Operation::store, width);
      case 0x8a:
      case 0x8b:
        return with_register(Operation::load, width);
      case 0xa4:
      case 0xa5:
        return string(Operation::move_string, width);
      case 0xaa:
      case 0xab:
        return string(Operation::fill_string, width);
      case 0xac:
      case 0xad:
        return string(Operation::load_string, width);
      case 0xc6:
      case 0xc7:
        return store_immediate(width);
      case 0xf6:
      case 0xf7:
        return third_group(width);
      case 0xfe:
      case 0xff:
        return fourth_group(width);
      default:
        return false;
    }
  }

  bool arithmetic(std::uint8_t opcode, std::uint8_t width) {
    const auto which = static_cast<Arithmetic>(opcode >> 3U);
    const bool into_register = (opcode & 2U) != 0;
    if (into_register) return with_register(Operation::accumulate, width, which);
    set_register(take_modrm(), width);
    return modify_or_compare(which, width);
  }

  bool string(Operation operation, std::uint8_t width) {
    result_.operation = operation;
    result_.width = width;
    result_.repeats = prefixes_.repeat || prefixes_.repeat_other;
    // Nobody has seen one; [rsi] alone would be of the segment.
    return result_.place.segment == Place::Segment::flat && !result_.place.short_addresses;
  }

  bool store_immediate(std::uint8_t width) {
    const std::uint8_t which = take_modrm();
    take_immediate(std::min<unsigned>(width, 4));
    result_.operation = Operation::store;
    result_.width = width;
    return which == 0;
  }

  bool third_group(std::uint8_t width) {
    const std::uint8_t which = take_modrm();
    result_.width = width;
    if (which <= 1) {
      take_immediate(std::min<unsigned>(width, 4));
      result_.operation = Operation::compare;
      result_.arithmetic = Arithmetic::bit_and;
      return true;
    }
    result_.operation = Operation::modify;
    result_.arithmetic = which == 2 ? Arithmetic::bit_not : Arithmetic::neg;
    return which <= 3;
  }

  bool fourth_group(std::uint8_t width) {
    const std::uint8_t which = take_modrm();
    result_.operation = Operation::modify;
    result_.arithmetic = which == 0 ? Arithmetic::inc : Arithmetic::dec;
    result_.width = width;
    return which <= 1;
  }

  // --- Opcodes of two bytes and three.

  bool extended(std::uint8_t width, std::uint8_t register_width, bool sign) {
    result_.operation = Operation::load;
    result_.width = width;
    result_.sign_extends = sign;
    set_register(take_modrm(), register_width);
    return true;
  }

  bool two_bytes(std::uint8_t opcode) {
    switch (opcode) {
      case 0xa3:
      case 0xab:
      case 0xb3:
      case 0xbb:
        result_.bit_in_register = true;
        set_register(take_modrm(), operand_width(false));
        return modify_or_compare(bit_operation(opcode >> 3U & 3U), operand_width(false));
      case 0xba: {
        const std::uint8_t which = take_modrm();
        take_immediate(1);
        return which >= 4 && modify_or_compare(bit_operation(which & 3U), operand_width(false));
      }
      case 0xb6:
      case 0xb7:
      case 0xbe:
      case 0xbf:
        return extended((opcode & 1U) != 0 ? 2 : 1, operand_width(false), /*sign=*/opcode >= 0xbe);
      case 0xc3:  // movnti
        return !prefixes_.operand_size && with_register(Operation::store, operand_width(false));
      default:
        return vector(opcode, Vex::none);
    }
  }

  static Arithmetic bit_operation(unsigned number) {
    return static_cast<Arithmetic>(static_cast<unsigned>(Arithmetic::bt) + number);
  }

  // movbe.
  bool three_bytes(std::uint8_t opcode) {
    if ((opcode != 0xf0 && opcode != 0xf1) || prefixes_.repeat || prefixes_.repeat_other) return false;
    result_.swaps_bytes = true;
    return with_register(opcode == 0xf0 ? Operation::load : Operation::store, operand_width(false));
  }

  bool take_vex(std::uint8_t opcode) {
    std::uint8_t map = 1;
    std::uint8_t bits = cursor_.byte();
    // The bits are those of REX, upside down.
    if (opcode == 0xc4) {
      map = bits & 0x1fU;
      const auto high = static_cast<unsigned>(~bits >> 5U) & 7U;
      bits = cursor_.byte();
      set_rex(high | ((bits & 0x80U) != 0 ? 8U : 0U));
    } else {
      set_rex((bits & 0x80U) != 0 ? 0U : 4U);
    }
    // A move has no second source.
    if (map != 1 || (bits & 0x78U) != 0x78) return false;
    prefixes_.operand_size = (bits & 3U) == 1;
    prefixes_.repeat = (bits & 3U) == 2;
    prefixes_.repeat_other = (bits & 3U) == 3;
    return vector(cursor_.byte(), (bits & 4U) != 0 ? Vex::full : Vex::half);
  }

  // The moves, by their prefix: their width in bytes, 0 for none.
  std::uint8_t vector_width(std::uint8_t opcode, Vex vex) const {
    const std::uint8_t whole = vex == Vex::full ? 32 : 16;
    const bool scalar = prefixes_.repeat || prefixes_.repeat_other;
    switch (opcode) {
      case 0x10:
      case 0x11:  // movups, movupd, movss, movsd
        if (prefixes_.repeat) return 4;
        return prefixes_.repeat_other ? 8 : whole;
      case 0x28:
      case 0x29:
      case 0x2b:  // movaps, movapd, movntps, movntpd
        return scalar ? 0 : whole;
      case 0x6f:
      case 0x7f:  // movdqa, movdqu
        return prefixes_.operand_size || prefixes_.repeat ? whole : 0;
      case 0xe7:  // movntdq
        return prefixes_.operand_size ? whole : 0;
      case 0xf0:  // lddqu
        return prefixes_.repeat_other ? whole : 0;
      case 0x6e:  // movd, movq
        return prefixes_.operand_size ? operand_of_quad() : 0;
      case 0x7e:
        if (prefixes_.repeat) return 8;
        return prefixes_.operand_size ? operand_of_quad() : 0;
      case 0xd6:  // movq
        return prefixes_.operand_size ? 8 : 0;
      default:
        return 0;
    }
  }
  std::uint8_t operand_of_quad() const { return prefixes_.wide ? 8 : 4; }

  bool is_vector_load(std::uint8_t opcode) const {
    return opcode == 0x10 || opcode == 0x28 || opcode == 0x6f || opcode == 0xf0 || opcode == 0x6e ||
           (opcode == 0x7e && prefixes_.repeat);
  }

  bool vector(std::uint8_t opcode, Vex vex) {
    result_.width = vector_width(opcode, vex);
    if (result_.width == 0) return false;
    result_.operation = is_vector_load(opcode) ? Operation::load_vector : Operation::store_vector;
    result_.clears_upper = vex != Vex::none;
    result_.reg = take_modrm() | prefixes_.reg_high;
    return true;
  }

  Cursor cursor_;
  Prefixes prefixes_;
  Instruction result_;
  bool is_register_ = false;
};

}  // namespace

Result<Instruction> decode(ConstBytes code) {
  return Decoder(code).decode();
}

}  // namespace umdev::run
