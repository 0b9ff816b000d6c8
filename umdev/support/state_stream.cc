#include "umdev/support/state_stream.h"

#include <algorithm>
#include <utility>

#include "umdev/support/assert.h"
#include "umdev/support/crc32.h"

namespace umdev {
namespace {

constexpr std::string_view magic = "umdevst1";
constexpr std::size_t section_head = 12;  // tag, version, flags, length
constexpr std::size_t length_at = 8;
constexpr std::size_t crc_size = 4;
constexpr std::uint16_t may_be_skipped = 1;

ConstBytes bytes_of_text(std::string_view text) {
  return std::as_bytes(std::span(text));
}

template <typename T>
void append(std::vector<std::byte>& to, const T& value) {
  const ConstBytes bytes = bytes_of(value);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append(std::vector<std::byte>& to, std::string_view text) {
  const ConstBytes bytes = bytes_of_text(text);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// The same bytes for the same identity, always: a header is checked by comparing it.
std::vector<std::byte> header_for(std::string_view identity) {
  std::vector<std::byte> header;
  append(header, magic);
  append(header, static_cast<std::uint32_t>(identity.size()));
  append(header, identity);
  append(header, crc32(header));
  return header;
}

}  // namespace

// --- Writing.

StreamWriter::StreamWriter(std::string_view identity, std::size_t size_max)
    : size_max_(size_max), bytes_(header_for(identity)) {}

void StreamWriter::put_raw(ConstBytes bytes) {
  if (too_big_ || bytes.size() > size_max_ || bytes_.size() > size_max_ - bytes.size()) {
    too_big_ = true;
    return;
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void StreamWriter::begin(StreamTag tag, std::uint16_t version, SectionKind kind) {
  close();
  section_ = bytes_.size();
  put(tag.value);
  put(version);
  put(kind == SectionKind::optional ? may_be_skipped : std::uint16_t{0});
  put(std::uint32_t{0});  // the length, once it is known
}

void StreamWriter::put_bytes(ConstBytes bytes) {
  put(static_cast<std::uint32_t>(bytes.size()));
  put_raw(bytes);
}

void StreamWriter::put_text(std::string_view text) {
  put_bytes(bytes_of_text(text));
}

void StreamWriter::close() {
  if (section_ == 0) return;
  const std::size_t begin = std::exchange(section_, 0);
  if (too_big_) return;
  const auto length = static_cast<std::uint32_t>(bytes_.size() - begin - section_head);
  const bool stored = store_le(Bytes(bytes_), begin + length_at, length);
  UMDEV_ASSERT(stored, "the head of a section is there");
  put(crc32(ConstBytes(bytes_).subspan(begin)));
}

void StreamWriter::finish() {
  close();
  const std::uint64_t before = bytes_.size();
  begin(StreamTag("\0\0\0\0"), 1);
  put(before);
  close();
}

Result<ConstBytes> StreamWriter::bytes() const {
  if (too_big_) return fail(E2BIG, "the state is larger than its stream may be");
  return ConstBytes(bytes_).first(section_ == 0 ? bytes_.size() : section_);
}

// --- Reading.

Result<bool> SectionReader::get_flag() {
  const auto value = UMDEV_TRY(get<std::uint8_t>());
  if (value > 1) return fail(EINVAL, "a flag of the stream is neither 0 nor 1");
  return value == 1;
}

Result<ConstBytes> SectionReader::get_bytes() {
  const auto length = UMDEV_TRY(get<std::uint32_t>());
  if (length > left_.size()) return fail(EINVAL, "a section of the stream is too short");
  const ConstBytes bytes = left_.first(length);
  left_ = left_.subspan(length);
  return bytes;
}

Result<std::string> SectionReader::get_text() {
  const ConstBytes bytes = UMDEV_TRY(get_bytes());
  std::string text(bytes.size(), '\0');
  std::ranges::transform(bytes, text.begin(), [](std::byte byte) {
    return static_cast<char>(std::to_integer<unsigned char>(byte));
  });
  return text;
}

Result<> SectionReader::end() const {
  if (!left_.empty()) return fail(EINVAL, "a section of the stream is too long");
  return {};
}

Result<> StreamReader::check_beginning(ConstBytes beginning, std::string_view identity) {
  const std::vector<std::byte> header = header_for(identity);
  const std::size_t count = std::min(beginning.size(), header.size());
  if (!std::ranges::equal(beginning.first(count), ConstBytes(header).first(count)))
    return fail(EINVAL, "the stream is not the state of a device of this type");
  return {};
}

Result<StreamReader> StreamReader::open(ConstBytes stream, std::string_view identity) {
  UMDEV_TRY(check_beginning(stream, identity));
  StreamReader reader;
  std::uint64_t at = header_for(identity).size();
  for (;;) {
    if (!range_fits(at, section_head + crc_size, stream.size()))
      return fail(EINVAL, "the stream ends too early");
    const ConstBytes rest = stream.subspan(at);
    const std::uint64_t length = *load_le<std::uint32_t>(rest, length_at);
    if (!range_fits(section_head, length + crc_size, rest.size()))
      return fail(EINVAL, "the stream ends too early");
    const std::uint64_t crc_at = section_head + length;
    if (load_le<std::uint32_t>(rest, crc_at) != crc32(rest.first(crc_at)))
      return fail(EINVAL, "a section of the stream is damaged");
    const auto flags = *load_le<std::uint16_t>(rest, 6);
    Section section{.tag = *load_le<std::uint32_t>(rest, 0),
                    .version = *load_le<std::uint16_t>(rest, 4),
                    .optional = (flags & may_be_skipped) != 0,
                    .contents = rest.subspan(section_head, length)};
    if ((flags & ~may_be_skipped) != 0) return fail(EINVAL, "a section of the stream has unknown flags");
    const std::uint64_t next = at + crc_at + crc_size;
    if (section.tag == 0) {
      if (section.version != 1 || length != sizeof at || load_le<std::uint64_t>(section.contents, 0) != at ||
          next != stream.size())
        return fail(EINVAL, "the stream does not end where it says");
      return reader;
    }
    reader.sections_.push_back(section);
    at = next;
  }
}

bool StreamReader::has(StreamTag tag) const {
  return std::ranges::any_of(sections_,
                             [&](const Section& known) { return known.tag == tag.value && !known.taken; });
}

Result<SectionReader> StreamReader::take(StreamTag tag, std::uint16_t version_max) {
  const auto found = std::ranges::find_if(
      sections_, [&](const Section& known) { return known.tag == tag.value && !known.taken; });
  if (found == sections_.end()) return fail(EINVAL, "the stream lacks a section");
  if (found->version > version_max) return fail(EINVAL, "a section of the stream is of a later version");
  found->taken = true;
  return SectionReader(found->contents, found->version);
}

Result<> StreamReader::end() const {
  const bool all = std::ranges::all_of(
      sections_, [](const Section& section) { return section.taken || section.optional; });
  if (!all) return fail(EINVAL, "the stream has a section that is not known here");
  return {};
}

}  // namespace umdev
