#include "umdev/support/uuid.h"

namespace umdev {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr bool dash_at(std::size_t position) {
  return position == 8 || position == 13 || position == 18 || position == 23;
}

}  // namespace

Result<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != text_length) return fail(EINVAL, "a UUID has 36 characters");
  Uuid uuid;
  std::size_t digit = 0;
  for (std::size_t i = 0; i < text_length; ++i) {
    if (dash_at(i)) {
      if (text[i] != '-') return fail(EINVAL, "a UUID has the form 8-4-4-4-12");
      continue;
    }
    const int value = hex_digit(text[i]);
    if (value < 0) return fail(EINVAL, "a UUID has hexadecimal digits");
    std::uint8_t& byte = uuid.bytes_[digit / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | value);
    ++digit;
  }
  return uuid;
}

Result<Uuid> Uuid::parse_create(std::string_view text) {
  if (text.size() != text_length && text.size() != text_length + 1)
    return fail(EINVAL, "create takes a UUID of 36 characters, with or without a newline");
  return parse(text.substr(0, text_length));
}

std::string Uuid::to_string() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(text_length);
  for (const std::uint8_t byte : bytes_) {
    if (dash_at(text.size())) text.push_back('-');
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 15]);
  }
  return text;
}

}  // namespace umdev
