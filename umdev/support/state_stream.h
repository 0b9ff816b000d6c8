// State that leaves the process and comes back, maybe into another version of the program: a header that says
// whose state it is, sections, an end.
//
//   header   "umdevst1", u32 length of the identity, the identity, u32 CRC of all this
//   section  u32 tag, u16 version, u16 flags (1: may be skipped), u32 length, its bytes, u32 CRC of all this
//   end      a section with tag 0, whose bytes are the u64 length of all that came before it
//
// Integers are little-endian. The end tells a whole stream from one that was cut between two sections.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev {

// What a section is about: four characters.
struct StreamTag {
  std::uint32_t value = 0;
  consteval explicit StreamTag(const char (&text)[5]) {
    for (unsigned i = 0; i < 4; ++i) value |= std::uint32_t{static_cast<unsigned char>(text[i])} << (8 * i);
  }
};

// May a reader that does not know a section go on without it?
enum class SectionKind : std::uint8_t { mandatory, optional };

// Makes a stream. Not thread-safe.
class StreamWriter {
 public:
  // `identity` says whose state it is: a reader with another one refuses the stream. `size_max` bounds it.
  StreamWriter(std::string_view identity, std::size_t size_max);

  // Opens a section; everything that is put until the next begin() or finish() is its contents.
  void begin(StreamTag tag, std::uint16_t version, SectionKind kind = SectionKind::mandatory);
  template <std::unsigned_integral T>
  void put(T value) {
    put_raw(bytes_of(value));
  }
  void put_flag(bool value) { put(static_cast<std::uint8_t>(value)); }
  // With their length (u32) in front.
  void put_bytes(ConstBytes bytes);
  void put_text(std::string_view text);
  // Closes the last section.
  void close();
  // Ends the stream. Nothing may be put after it.
  void finish();

  // The stream so far, without a section that is open. E2BIG: it grew over its bound.
  Result<ConstBytes> bytes() const;

 private:
  void put_raw(ConstBytes bytes);

  const std::size_t size_max_;
  std::vector<std::byte> bytes_;
  std::size_t section_ = 0;  // where the open section begins; 0 while none is open
  bool too_big_ = false;
};

// The contents of one section, from its front. Every call is EINVAL when they are too short for it.
class SectionReader {
 public:
  SectionReader(ConstBytes contents, std::uint16_t version) : left_(contents), version_(version) {}

  std::uint16_t version() const { return version_; }
  template <std::unsigned_integral T>
  Result<T> get() {
    const auto value = load_le<T>(left_, 0);
    if (!value) return fail(EINVAL, "a section of the stream is too short");
    left_ = left_.subspan(sizeof(T));
    return *value;
  }
  // EINVAL for another value than 0 and 1 too.
  Result<bool> get_flag();
  Result<ConstBytes> get_bytes();  // part of the stream
  Result<std::string> get_text();
  // EINVAL when there is something left.
  Result<> end() const;

 private:
  ConstBytes left_;
  std::uint16_t version_;
};

// Takes a stream apart. Not thread-safe.
class StreamReader {
 public:
  // Checks the frame of the whole stream: EINVAL another identity, a section whose CRC is wrong, bytes after
  // the end, no end. `stream` must outlive the reader and its sections.
  static Result<StreamReader> open(ConstBytes stream, std::string_view identity);
  // EINVAL as soon as what has come of a stream cannot be the beginning of one with this identity.
  static Result<> check_beginning(ConstBytes beginning, std::string_view identity);

  // The first section with this tag that was not taken yet, in the order of the stream. EINVAL: there is
  // none, or its version is above `version_max`. has() asks first.
  Result<SectionReader> take(StreamTag tag, std::uint16_t version_max);
  bool has(StreamTag tag) const;
  // To be called last: EINVAL when a mandatory section was not taken, for this reader does not know it.
  Result<> end() const;

 private:
  struct Section {
    std::uint32_t tag = 0;
    std::uint16_t version = 0;
    bool optional = false;
    bool taken = false;
    ConstBytes contents;
  };
  std::vector<Section> sections_;
};

}  // namespace umdev
