#include "umdev/manage/handover.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "umdev/os/memfd.h"
#include "umdev/os/system_error.h"
#include "umdev/os/unix_socket.h"

namespace umdev::manage {
namespace {

// Before the session's own: the token, and the file with its stream.
constexpr std::size_t own_descriptors = 2;

// Our bound, whatever the door's is: what is read here is allocated.
constexpr std::uint64_t session_stream_max = 1U << 26;

Result<os::UniqueFd> file_of(ConstBytes bytes) {
  os::UniqueFd file = UMDEV_TRY(os::create_memfd("umdev-session", bytes.size()));
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ConstBytes rest = bytes.subspan(written);
    const ssize_t count = os::retry_interrupted(
        [&] { return ::pwrite(file.get(), rest.data(), rest.size(), static_cast<off_t>(written)); });
    if (count <= 0) return os::fail_errno("cannot write down a session");
    written += static_cast<std::size_t>(count);
  }
  return file;
}

// Somebody may change the file, or its size, while it is read; its checksums tell.
Result<std::vector<std::byte>> contents_of(const os::UniqueFd& file, std::uint64_t size) {
  const auto there = os::file_size(file.get());
  if (!there || *there != size || size > session_stream_max)
    return fail(EINVAL, "the session's stream has another size than said");
  std::vector<std::byte> bytes(size);
  std::size_t read = 0;
  while (read < size) {
    const ssize_t count = os::retry_interrupted(
        [&] { return ::pread(file.get(), bytes.data() + read, size - read, static_cast<off_t>(read)); });
    if (count <= 0) return fail(EINVAL, "the session's stream cannot be read");
    read += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace

Result<> say(const os::UniqueFd& token, Word word) {
  const auto sent = os::send(token.get(), bytes_of(word));
  if (!sent) return std::unexpected(sent.error());
  return {};
}

Result<Word> hear(const os::UniqueFd& token) {
  std::array<std::byte, 1> bytes{};
  os::FdBatch fds;
  const auto count = os::receive(token.get(), bytes, fds);
  if (count && *count == 0) return Word::moved;
  // What was never said to us was said by nobody who serves.
  if (!count && count.error().code == ECONNRESET) return Word::moved;
  if (!count) return std::unexpected(count.error());
  const auto word = static_cast<Word>(bytes[0]);
  if (word != Word::moved && word != Word::stays) return fail(EPROTO, "no word of a source");
  return word;
}

Result<std::vector<os::UniqueFd>> pack(Handover handover, MovedClient& client) {
  vfio::MovedSession& session = handover.session;
  if (session.descriptors.size() + own_descriptors > os::max_fds_per_message)
    return fail(E2BIG, "the session has more descriptors than a message carries");
  std::vector<os::UniqueFd> descriptors;
  descriptors.push_back(std::move(handover.token));
  descriptors.push_back(UMDEV_TRY(file_of(session.stream)));
  for (os::UniqueFd& fd : session.descriptors) descriptors.push_back(std::move(fd));
  client = {.stream_size = session.stream.size(),
            .descriptors = static_cast<std::uint32_t>(descriptors.size())};
  return descriptors;
}

Result<Handover> unpack(std::vector<os::UniqueFd> descriptors, const MovedClient& client) {
  if (descriptors.size() != client.descriptors || descriptors.size() < own_descriptors)
    return fail(EINVAL, "the session's descriptors did not come with it");
  Handover handover{.token = std::move(descriptors[0]), .session = {}};
  handover.session.stream = UMDEV_TRY(contents_of(descriptors[1], client.stream_size));
  for (std::size_t i = own_descriptors; i < descriptors.size(); ++i)
    handover.session.descriptors.push_back(std::move(descriptors[i]));
  return handover;
}

}  // namespace umdev::manage
