// What a client may expect of a session, by plain rules: a list, a loop, no cleverness. Tests that send
// anything in any order give it what was sent and what came back, and it says what is wrong.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/vfio_user/busy_device.h"
#include "umdev/abi/vfio_user.h"
#include "umdev/support/bytes.h"

namespace umdev::test {

// The session does something else than the rules say.
class ModelViolation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
[[noreturn]] void violated(const std::string& what);

// A descriptor that went along with a message.
struct SentDescriptor {
  enum class Kind : std::uint8_t { memory_file, eventfd, other };
  Kind kind = Kind::other;
  std::uint32_t file = 0;   // which memory file
  std::uint64_t pages = 0;  // that it has
  bool writable = true;
};

// One client of a BusyDevice. Commands are answered one after the other, so a request is judged when its
// answer comes: by then everything before it is known.
class ClientModel {
 public:
  struct Mapping {
    std::uint64_t iova = 0;
    std::uint64_t size = 0;
    std::uint32_t flags = 0;
    std::optional<std::uint32_t> file;
    std::uint64_t offset = 0;
  };
  // A defect planted here shows that the comparison finds one in the product.
  enum class Defect : std::uint8_t { none, unmap_forgets_nothing, write_is_lost };

  explicit ClientModel(Defect defect = Defect::none) : defect_(defect) {}

  // A whole message went out.
  void sent(ConstBytes message, std::vector<SentDescriptor> descriptors = {});
  // A whole message came in. True for an answer, which is taken for the oldest request that wants one; false
  // for a command of the server's. Throws ModelViolation.
  bool received(ConstBytes message, std::size_t descriptors);

  // From now on the device may refuse, be late, or be away: its errors say nothing, and what it has kept is
  // unknown.
  void disturb_device();
  // Something that only this machine runs out of may be missing from now on (or not any more).
  void set_shortage(bool shortage) { shortage_ = shortage; }
  // Sizes of memory files changed while requests were on their way.
  void forget_file_sizes() { files_known_ = false; }

  // Everything that was sent has been dealt with. Throws when something is unanswered.
  void settle();

  // Requests that have not been answered and want to be.
  std::size_t waiting() const;
  bool is_open() const { return open_; }
  // The session ends after what is on its way: VERSION was refused.
  bool is_refused() const { return refused_; }
  // Mappings as they are after the last answer; nothing when posted requests make it unknown.
  std::optional<std::size_t> mapping_count() const;
  const std::vector<Mapping>& mappings() const { return mappings_; }
  std::uint64_t answers() const { return answers_; }
  std::uint64_t successes(std::uint16_t command) const { return command < 32 ? successes_.at(command) : 0; }

 private:
  struct Request {
    abi::VfioUserHeader header{};
    std::vector<std::byte> payload;
    std::vector<SentDescriptor> descriptors;
  };
  // What the rules say of a request: each rule that it breaks, by its errno. `unsure`: they do not say.
  struct Verdict {
    std::vector<int> errors;
    bool unsure = false;
    void refuse_if(bool broken, int error) {
      if (broken) errors.push_back(error);
    }
  };

  Verdict judge(const Request& request) const;
  void judge_map(const Request& request, Verdict& verdict) const;
  void judge_unmap(const Request& request, Verdict& verdict) const;
  void judge_info(const Request& request, Verdict& verdict) const;
  void judge_access(const Request& request, Verdict& verdict) const;
  void judge_access_range(std::uint32_t region, std::uint64_t offset, std::uint64_t count, bool is_write,
                          Verdict& verdict) const;
  void judge_write_multi(const Request& request, Verdict& verdict) const;
  void check_answer(const Request& request, const Verdict& verdict, const abi::VfioUserHeader& answer) const;
  void apply(const Request& request, ConstBytes answer);
  void apply_posted(const Request& request);
  void apply_version(ConstBytes answer);
  void apply_unmap(const Request& request, ConstBytes answer);
  void check_read(const Request& request, ConstBytes answer) const;
  void apply_writes(const Request& request, ConstBytes answer);
  void apply_write(std::uint32_t region, std::uint64_t offset, ConstBytes data);
  void forget_registers() { registers_.fill(std::nullopt); }

  const Defect defect_;
  std::deque<Request> requests_;
  bool open_ = false;
  bool spoken_ = false;
  bool refused_ = false;
  bool lost_ = false;  // the rules say nothing any more, but for the order
  bool disturbed_ = false;
  bool shortage_ = false;
  bool files_known_ = true;
  bool mappings_known_ = true;
  // What VERSION agreed on.
  bool write_multiple_ = false;
  std::uint64_t data_max_ = 1U << 20;
  std::uint64_t maps_max_ = 65535;
  std::uint64_t page_size_ = 4096;
  std::vector<Mapping> mappings_;
  std::array<std::optional<std::byte>, BusyDeviceState::registers_size> registers_;
  std::uint64_t answers_ = 0;
  std::array<std::uint64_t, 32> successes_{};
};

}  // namespace umdev::test
