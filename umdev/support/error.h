// The one error alphabet: errno. VFIO, vfio-user and FUSE all speak it, so no door ever has to translate.
#pragma once

#include <cerrno>
#include <expected>
#include <source_location>
#include <string_view>
#include <utility>

namespace umdev {

// What went wrong: an errno (positive), a text with static lifetime for people, and where it was decided.
// Trivially copyable and never allocates, so it may travel on the fast path.
struct [[nodiscard]] Error {
  int code = EIO;
  std::string_view text;
  std::source_location where = std::source_location::current();

  friend bool operator==(const Error& left, const Error& right) { return left.code == right.code; }
};

template <typename T = void>
using Result = std::expected<T, Error>;

// Makes the error of a Result: `return fail(EINVAL, "argsz is shorter than the structure");`
// `text` must have static lifetime.
inline std::unexpected<Error> fail(int code, std::string_view text,
                                   std::source_location where = std::source_location::current()) {
  return std::unexpected(Error{code, text, where});
}

// The name of an errno ("EINVAL"), or "E?" for a number that has none here.
std::string_view errno_name(int code);

}  // namespace umdev

// Evaluates to the value of a Result, or returns its error from the enclosing function.
#define UMDEV_TRY(expression)                                      \
  ({                                                               \
    auto umdev_try_result = (expression);                          \
    if (!umdev_try_result) [[unlikely]]                            \
      return std::unexpected(std::move(umdev_try_result).error()); \
    std::move(umdev_try_result).value();                           \
  })
