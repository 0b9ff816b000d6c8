#include "umdev/os/uevent_socket.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>

#include "umdev/os/system_error.h"
#include "umdev/os/thread.h"

namespace umdev::os {
namespace {

constexpr std::string_view sequence_key = "SEQNUM=";
constexpr std::size_t uevent_max = 2048;  // UEVENT_BUFFER_SIZE
// The kernel drops what bears a control message's type; every other is taken (kobject_uevent.c).
constexpr std::uint16_t message_type = NLMSG_MIN_TYPE;

std::string make_message(std::string_view action, std::string_view devpath,
                         std::span<const std::string> environment) {
  std::string message(NLMSG_HDRLEN, '\0');
  message.append(action).append("@").append(devpath).push_back('\0');
  for (const std::string& entry : environment)
    if (!entry.starts_with(sequence_key)) message.append(entry).push_back('\0');
  const nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(message.size()),
                        .nlmsg_type = message_type,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                        .nlmsg_seq = 0,
                        .nlmsg_pid = 0};
  std::memcpy(message.data(), &header, sizeof header);
  return message;
}

}  // namespace

Result<UeventSocket> UeventSocket::create() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
  if (!socket) return fail_errno("cannot open a socket for uevents");
  return UeventSocket(std::move(socket));
}

Result<UeventSocket> UeventSocket::create_in(const std::string& path) {
  const UniqueFd name_space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!name_space) return fail_errno("cannot open the network namespace");
  Result<UeventSocket> result = fail(EIO, "the network namespace was not entered");
  auto thread = UMDEV_TRY(start_thread("umdev-netns", [&] {
    if (::setns(name_space.get(), CLONE_NEWNET) != 0)
      result = fail_errno("cannot enter the network namespace");
    else
      result = create();
  }));
  thread.join();
  return result;
}

Result<> UeventSocket::inject(std::string_view action, std::string_view devpath,
                              std::span<const std::string> environment) {
  const std::string message = make_message(action, devpath, environment);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto sent = retry_interrupted([&] {
    return ::sendto(socket_.get(), message.data(), message.size(), 0,
                    reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  });
  if (sent < 0) return fail_errno("cannot send an uevent");
  return read_acknowledgement();
}

// The kernel looks at the sender first, and then refuses what is too long.
Result<> UeventSocket::check() {
  const std::string too_long(uevent_max, 'x');
  auto answer = inject("check", "/", std::span(&too_long, 1));
  if (!answer && answer.error().code == EINVAL) return {};
  return answer;
}

// It is there when the sending returns: the kernel answers inside.
Result<> UeventSocket::read_acknowledgement() {
  alignas(nlmsghdr) char buffer[8192];
  const auto count =
      retry_interrupted([&] { return ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT); });
  if (count < 0) return fail_errno("the kernel does not answer for an uevent");
  nlmsghdr header{};
  nlmsgerr answer{};
  if (static_cast<std::size_t>(count) < NLMSG_HDRLEN + sizeof answer.error)
    return fail(EPROTO, "the kernel's answer for an uevent is not understood");
  std::memcpy(&header, buffer, sizeof header);
  std::memcpy(&answer.error, buffer + NLMSG_HDRLEN, sizeof answer.error);
  if (header.nlmsg_type != NLMSG_ERROR)
    return fail(EPROTO, "the kernel's answer for an uevent is not understood");
  if (answer.error == -EPERM)
    return fail(EPERM, "uevents need CAP_SYS_ADMIN over the network namespace that they go to");
  if (answer.error != 0) return fail(-answer.error, "the kernel refuses an uevent");
  return {};
}

}  // namespace umdev::os
