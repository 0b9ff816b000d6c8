// A capture that Wireshark and tcpdump read: pcap with times in nanoseconds, link type USER0 (147). In front
// of each message stand 8 bytes, little-endian: u8 version (1), u8 direction (0 from the client, 1 from the
// server), u16 descriptors that came along, u32 session. tools/wireshark/vfio-user.lua takes them apart.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::cli {

struct CapturedMessage {
  std::uint64_t time = 0;  // nanoseconds since 1970
  std::uint32_t session = 0;
  bool from_client = false;
  std::uint16_t descriptors = 0;
  std::uint32_t size = 0;  // of the whole message; `bytes` are its first ones
  ConstBytes bytes;
};

class CaptureFile {
 public:
  // Makes the file, or empties it; "-" is stdout. Nothing is in it yet. The errno of opening it.
  static Result<CaptureFile> create(const std::string& path);

  // What was given is in the file when this returns, so that a reader of it (or of a pipe) is up to date.
  Result<> begin();
  Result<> add(const CapturedMessage& message);

 private:
  using Stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  explicit CaptureFile(Stream stream) : stream_(std::move(stream)) {}

  Result<> write(ConstBytes bytes);
  Result<> flush();

  Stream stream_;
};

}  // namespace umdev::cli
