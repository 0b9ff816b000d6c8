#include "umdev/support/parse.h"

#include <charconv>

namespace umdev {

Result<unsigned long> parse_number(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.starts_with('0')) {
    base = 8;
    text.remove_prefix(1);
  }
  unsigned long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error == std::errc::result_out_of_range) return fail(ERANGE, "the number is too large");
  if (error != std::errc() || end != text.data() + text.size()) return fail(EINVAL, "not a number");
  return value;
}

Result<bool> parse_bool(std::string_view text) {
  if (text.empty()) return fail(EINVAL, "neither yes nor no");
  switch (text[0]) {
    case '1':
    case 'y':
    case 'Y':
    case 't':
    case 'T':
      return true;
    case '0':
    case 'n':
    case 'N':
    case 'f':
    case 'F':
      return false;
    case 'o':
    case 'O':
      if (text.size() > 1 && (text[1] == 'n' || text[1] == 'N')) return true;
      if (text.size() > 1 && (text[1] == 'f' || text[1] == 'F')) return false;
      break;
    default:
      break;
  }
  return fail(EINVAL, "neither yes nor no");
}

}  // namespace umdev
