#include "umdev/vfio/irq_request.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <string_view>

#include "umdev/abi/vfio.h"

namespace umdev::vfio {
namespace {

constexpr std::uint32_t none = abi::vfio_irq_set_data_none;
constexpr std::uint32_t bools = abi::vfio_irq_set_data_bool;
constexpr std::uint32_t eventfds = abi::vfio_irq_set_data_eventfd;
constexpr std::uint32_t mask = abi::vfio_irq_set_action_mask;
constexpr std::uint32_t trigger = abi::vfio_irq_set_action_trigger;
constexpr std::uint32_t num_irqs = 5;
constexpr IrqInfo eight_vectors{.flags = abi::vfio_irq_info_eventfd, .count = 8};

struct Case {
  std::string_view rule;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
  std::size_t data_given;  // vectors' worth of data of the type that is named
  bool valid;
  std::uint32_t vectors = 8;
};

constexpr std::array cases{
    Case{"whole index", none | trigger, 2, 0, 8, 0, true},
    Case{"last vector", none | trigger, 2, 7, 1, 0, true},
    Case{"count 0", none | trigger, 2, 0, 0, 0, true},
    Case{"last index", none | trigger, 4, 0, 1, 0, true},
    Case{"index out of range", none | trigger, 5, 0, 1, 0, false},
    Case{"index far out of range", none | trigger, UINT32_MAX, 0, 1, 0, false},
    Case{"start + count wraps to 0", none | trigger, 2, 7, UINT32_MAX - 6, 0, false},
    Case{"start + count wraps into the index", none | trigger, 2, UINT32_MAX, 4, 0, false},
    Case{"start + count is the largest number", none | trigger, 2, 4, UINT32_MAX - 4, 0, false},
    Case{"count is the largest number", none | trigger, 2, 0, UINT32_MAX, 0, false},
    Case{"start is the largest number", none | trigger, 2, UINT32_MAX, 0, 0, false},
    Case{"unknown flag 6", none | trigger | 1U << 6, 2, 0, 1, 0, false},
    Case{"unknown flag 31", none | trigger | 1U << 31, 2, 0, 1, 0, false},
    Case{"start beyond the vectors", none | trigger, 2, 8, 0, 0, false},
    Case{"start + count beyond the vectors", none | trigger, 2, 4, 5, 0, false},
    Case{"no vectors", none | trigger, 2, 0, 1, 0, false, 0},
    Case{"no vectors and count 0", none | trigger, 2, 0, 0, 0, false, 0},
    Case{"no data type", trigger, 2, 0, 1, 0, false},
    Case{"two data types", none | bools | trigger, 2, 0, 1, 1, false},
    Case{"three data types", none | bools | eventfds | trigger, 2, 0, 1, 1, false},
    Case{"enough bytes", bools | trigger, 2, 2, 3, 3, true},
    Case{"more bytes than needed", bools | trigger, 2, 2, 3, 8, true},
    Case{"too few bytes", bools | trigger, 2, 2, 3, 2, false},
    Case{"no bytes and count 0", bools | trigger, 2, 2, 0, 0, true},
    Case{"enough descriptors", eventfds | trigger, 2, 0, 8, 8, true},
    Case{"too few descriptors", eventfds | trigger, 2, 0, 8, 7, false},
    Case{"no descriptors", eventfds | trigger, 2, 0, 1, 0, false},
    // Which actions there are is the IrqSet's rule, with its own errno.
    Case{"no action", none, 2, 0, 1, 0, true},
    Case{"two actions", none | trigger | mask, 2, 0, 1, 0, true},
};

TEST(IrqRequest, C36_each_rule_of_the_header) {
  for (const Case& test_case : cases) {
    const std::array<std::byte, 8> bytes{};
    std::array<os::UniqueFd, 8> fds;
    IrqRequest request{.flags = test_case.flags,
                       .index = test_case.index,
                       .start = test_case.start,
                       .count = test_case.count};
    if (test_case.flags & bools) request.bools = std::span(bytes).first(test_case.data_given);
    if (test_case.flags & eventfds) request.eventfds = std::span(fds).first(test_case.data_given);
    const auto result = validate_irq_request(request, num_irqs, IrqInfo{.count = test_case.vectors});
    EXPECT_EQ(result.has_value(), test_case.valid) << test_case.rule;
    if (!result) {
      EXPECT_EQ(result.error().code, EINVAL) << test_case.rule;
    }
  }
}

TEST(IrqRequest, C36_data_of_the_other_type_does_not_count) {
  const std::array<std::byte, 8> bytes{};
  const IrqRequest request{.flags = eventfds | trigger, .index = 2, .count = 8, .bools = bytes};
  EXPECT_EQ(validate_irq_request(request, num_irqs, eight_vectors).error().code, EINVAL);
}

TEST(IrqRequest, names_its_action_and_its_data_type) {
  const IrqRequest request{.flags = bools | mask | trigger};
  EXPECT_EQ(request.data_type(), bools);
  EXPECT_EQ(request.action(), mask | trigger);
}

RC_GTEST_PROP(IrqRequestProperty, C36_what_passes_lies_inside_the_index, (std::uint32_t vectors)) {
  const auto anything =
      rc::gen::oneOf(rc::gen::inRange<std::uint32_t>(0, 12), rc::gen::arbitrary<std::uint32_t>(),
                     rc::gen::inRange<std::uint32_t>(UINT32_MAX - 12, UINT32_MAX));
  const IrqRequest request{.flags = *rc::gen::inRange<std::uint32_t>(0, 128),
                           .index = *rc::gen::inRange<std::uint32_t>(0, 8),
                           .start = *anything,
                           .count = *anything};
  const bool valid = validate_irq_request(request, num_irqs, IrqInfo{.count = vectors}).has_value();
  // No data is given here, so a data type that needs some passes with a count of 0 only.
  const bool model =
      request.index < num_irqs && std::uint64_t{request.start} + request.count <= vectors &&
      request.start < vectors && std::uint64_t{request.start} + request.count < UINT32_MAX &&
      request.flags < 64 &&
      ((request.flags & 7) == none ||
       (request.count == 0 && ((request.flags & 7) == bools || (request.flags & 7) == eventfds)));
  RC_ASSERT(valid == model);
}

}  // namespace
}  // namespace umdev::vfio
