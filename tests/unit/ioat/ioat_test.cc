// The DMA engine as its drivers see it.
#include "drivers/ioat/ioat.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/unit/ioat/rig.h"

namespace umdev::ioat {
namespace {

using spec::State;
using test::FakeAccess;
using test::Outcome;

// Memory that is pinned, and memory that is reached by messages.
class IoatCopies : public testing::TestWithParam<bool> {
 public:
  IoatCopies() {
    for (std::size_t at = 0; at < rig.data_bytes.size(); ++at)
      rig.data_bytes[at] = static_cast<std::byte>(at * 31 + at / 251);
    before.assign(rig.data_bytes.begin(), rig.data_bytes.end());
    if (GetParam()) rig.user.use_messages();
  }
  void expect_memory() { EXPECT_TRUE(std::ranges::equal(rig.data_bytes, before)); }

  Rig rig;
  std::vector<std::byte> before;  // what the memory is to be
};

TEST_P(IoatCopies, one_descriptor_copies_completes_and_tells) {
  ASSERT_TRUE(rig.user.irq().listen(msix, 0, 4));
  rig.set<std::uint8_t>(spec::intrctrl, spec::intrctrl_msix_vector_control);
  rig.put(0, {.size = 5000,
              .control = spec::control_int | spec::control_completion,
              .source = data + 123,
              .destination = data + 100001});
  rig.arm();
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), 4U);
  rig.queue(1);
  EXPECT_EQ(rig.state(), State::active) << "before anything has run";
  rig.run();
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), ring | 1U);
  EXPECT_EQ(rig.written_status(), ring | 1U);
  EXPECT_EQ(rig.user.irq().take(msix, 0), 1U);
  EXPECT_EQ(rig.user.irq().take(msix, 1), 0U);
  std::copy_n(before.begin() + 123, 5000, before.begin() + 100001);
  expect_memory();
}

TEST_P(IoatCopies, every_size_and_alignment) {
  std::uint16_t count = 0;
  rig.arm();
  for (const std::uint32_t size : {1U, 7U, 8U, 63U, 4096U, 4097U, 65536U, 1000000U, spec::transfer_max})
    for (const std::uint32_t shift : {0U, 1U, 4095U}) {
      rig.put(count, {.size = size, .source = data + shift, .destination = data + (2U << 20) + 2 * shift});
      std::copy_n(before.begin() + shift, size, before.begin() + (2 << 20) + 2 * shift);
      rig.queue(++count);
      rig.run();
      ASSERT_EQ(rig.state(), State::done) << size;
      ASSERT_EQ(rig.error(), 0U);
    }
  expect_memory();
}

TEST_P(IoatCopies, ranges_that_overlap_are_read_before_they_are_written) {
  rig.arm();
  std::uint16_t count = 0;
  for (const auto& [from, to] : {std::pair(1000, 1010), std::pair(70000, 69000), std::pair(5, 5)}) {
    rig.put(count, {.size = 50000,
                    .source = data + static_cast<unsigned>(from),
                    .destination = data + static_cast<unsigned>(to)});
    const std::vector<std::byte> source(before.begin() + from, before.begin() + from + 50000);
    std::ranges::copy(source, before.begin() + to);
    rig.queue(++count);
    rig.run();
  }
  expect_memory();
}

TEST_P(IoatCopies, a_fill_repeats_its_eight_bytes) {
  rig.arm();
  std::uint16_t count = 0;
  constexpr std::uint64_t pattern = 0x8877665544332211;
  std::size_t at = 3;
  for (const std::uint32_t size : {1U, 8U, 89U, 4096U, 100003U}) {
    rig.put(count, {.size = size, .control = fill, .source = pattern, .destination = data + at});
    for (std::uint32_t byte = 0; byte < size; ++byte)
      before[at + byte] = static_cast<std::byte>(pattern >> (8 * (byte % 8)));
    at += size + 5;
    rig.queue(++count);
    rig.run();
    ASSERT_EQ(rig.state(), State::done);
  }
  expect_memory();
}

TEST_P(IoatCopies, a_null_descriptor_moves_nothing_and_completes) {
  rig.put(0, {.size = 1, .control = spec::control_null | spec::control_completion});
  rig.arm();
  rig.queue(1);
  rig.run();
  EXPECT_EQ(rig.written_status(), ring | 1U);
  expect_memory();
}

TEST_P(IoatCopies, a_descriptor_that_points_to_itself_is_carried_out_as_often_as_it_was_queued) {
  const std::uint16_t count = GetParam() ? 300 : 0xffff;
  rig.put(0, {.size = 8, .source = data, .destination = data + 64, .next = ring});
  rig.arm();
  rig.queue(count);
  const std::size_t turns = rig.host.run();
  if (!GetParam()) {
    EXPECT_EQ(turns, 0xffffU / Worker::descriptors_per_turn + 1) << "not all in one turn";
  }
  rig.run();
  EXPECT_EQ(rig.state(), State::done);
}

TEST_P(IoatCopies, a_register_reset_in_the_middle_leaves_nothing_behind) {
  rig.put(0, {.size = 4096, .control = spec::control_completion, .source = data, .destination = data + 8192});
  rig.arm();
  rig.queue(1);
  rig.set<std::uint8_t>(Rig::of(0, spec::chancmd), spec::chancmd_reset);
  EXPECT_EQ(rig.state(), State::halted);
  rig.run();
  EXPECT_EQ(rig.get<std::uint8_t>(Rig::of(0, spec::chancmd)), 0);
  EXPECT_EQ(rig.written_status(), 0U);
  rig.arm();
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), 4U);
  rig.queue(1);
  rig.run();
  EXPECT_EQ(rig.written_status(), ring | 1U);
}

INSTANTIATE_TEST_SUITE_P(memory, IoatCopies, testing::Bool(),
                         [](const auto& row) { return row.param ? "by_messages" : "pinned"; });

TEST(Ioat, says_what_it_is) {
  for (const unsigned channels : {1U, 4U}) {
    Rig rig(channels);
    EXPECT_EQ(rig.get<std::uint8_t>(spec::chancnt), channels);
    EXPECT_EQ(rig.get<std::uint8_t>(spec::xfercap), 20);
    EXPECT_EQ(rig.get<std::uint8_t>(spec::cbver), 0x33);
    EXPECT_EQ(rig.get<std::uint32_t>(spec::dmacap), 0x40U);
    EXPECT_EQ(rig.config_read<std::uint32_t>(0), 0x20218086U);
    EXPECT_EQ(rig.config_read<std::uint32_t>(8), 0x08800004U);
    EXPECT_EQ(rig.device->irq_info(msix)->count, 4U);
    EXPECT_EQ(rig.device->region_info(0)->size, 0x4000U);
    EXPECT_EQ(rig.device->region_info(config)->size, 4096U);
    EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(channels, spec::chansts)), 0U) << "no such channel";
  }
}

TEST(Ioat, an_error_of_memory_is_that_of_its_side) {
  constexpr std::uint64_t nowhere = 0x70000000;
  constexpr std::uint64_t read_only = 0x60000000;
  const struct {
    Descriptor descriptor;
    std::uint32_t error;
  } rows[] = {
      {{.size = 8, .source = nowhere, .destination = data}, spec::chanerr_src_addr},
      {{.size = 8, .source = data, .destination = nowhere}, spec::chanerr_dest_addr},
      {{.size = 8, .source = data, .destination = read_only}, spec::chanerr_dest_addr},
      {{.size = 16, .source = data + data_size - 8, .destination = data}, spec::chanerr_src_addr},
      {{.size = 16, .source = data, .destination = data + data_size - 8}, spec::chanerr_dest_addr},
      {{.size = 8, .control = fill, .destination = nowhere}, spec::chanerr_dest_addr},
      {{.size = 0}, spec::chanerr_length},
      {{.size = 8, .control = 0xff000000}, spec::chanerr_control},
  };
  for (const bool by_messages : {false, true}) {
    Rig rig;
    rig.user.map(read_only, 4096, iommu::Access::read);
    if (by_messages) rig.user.use_messages();
    for (const auto& row : rows) {
      rig.reset();
      rig.config_write<std::uint16_t>(abi::pci_command, abi::pci_command_master);
      rig.put(0, {.size = 8, .source = data, .destination = data + 64});
      rig.put(1, row.descriptor);
      rig.arm();
      rig.queue(3);
      rig.run();
      EXPECT_EQ(rig.error(), row.error);
      EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), ring | 3U);
      EXPECT_EQ(rig.written_status(), ring | 3U) << "the last that is done, and halted";
      EXPECT_EQ(rig.config_read<std::uint32_t>(spec::chanerr_int), row.error);
      rig.config_write(spec::chanerr_int, row.error);
      EXPECT_EQ(rig.config_read<std::uint32_t>(spec::chanerr_int), 0U);
    }
  }
}

// A program's own memory on one side: no byte goes by a buffer of the engine's.
TEST(Ioat, memory_that_is_copied_at_once_is_copied_to_and_from_the_other_side) {
  constexpr std::uint64_t own = 0x60000000;
  constexpr std::uint64_t more = 0x68000000;
  constexpr std::uint32_t size = 100000;
  Rig rig;
  const Bytes own_bytes = rig.user.map(own, 2 * size);
  rig.user.use_copies(own);
  rig.user.map(more, size, iommu::Access::read);
  rig.user.use_copies(more);
  std::iota(reinterpret_cast<unsigned char*>(rig.data_bytes.data()),
            reinterpret_cast<unsigned char*>(rig.data_bytes.data()) + size, 3);
  rig.arm();
  std::uint16_t count = 0;
  const auto copy = [&](std::uint64_t source, std::uint64_t destination) {
    rig.put(count, {.size = size, .source = source, .destination = destination});
    rig.queue(++count);
    rig.run();
    EXPECT_EQ(rig.user.pin_count(), 0U);
    return rig.error();
  };
  EXPECT_EQ(copy(data, own), 0U);
  EXPECT_EQ(rig.user.last_buffer(), rig.data_bytes.data());
  EXPECT_EQ(copy(own, own + size), 0U) << "both sides: by a buffer";
  EXPECT_EQ(copy(own + size, data + size), 0U);
  EXPECT_EQ(rig.user.last_buffer(), rig.data_bytes.data() + size);
  EXPECT_TRUE(std::ranges::equal(rig.data_bytes.first(size), rig.data_bytes.subspan(size, size)));
  EXPECT_TRUE(std::ranges::equal(rig.data_bytes.first(size), own_bytes.first(size)));
  EXPECT_EQ(copy(data, more), spec::chanerr_dest_addr);
}

TEST(Ioat, a_descriptor_that_cannot_be_read_is_an_error) {
  const struct {
    std::uint64_t next;
    std::uint32_t error;
  } rows[] = {{0x70000000, spec::chanerr_read_data},
              {ring + ring_size * spec::descriptor_size - 32, spec::chanerr_next_desc_align},
              {~0ULL - 63, spec::chanerr_read_data},
              {~0ULL, spec::chanerr_next_desc_align}};
  for (const auto& row : rows) {
    Rig rig;
    rig.put(0, {.size = 1, .control = spec::control_null, .next = row.next});
    rig.arm();
    rig.queue(1);
    rig.run();
    EXPECT_EQ(rig.state(), State::done) << "the next one is looked at when it is needed";
    rig.queue(2);
    rig.run();
    EXPECT_EQ(rig.error(), row.error);
    EXPECT_EQ(rig.last(), ring);
  }
}

TEST(Ioat, a_completion_that_cannot_be_written_is_an_error) {
  Rig rig;
  rig.put(0, {.size = 1, .control = spec::control_null | spec::control_completion});
  rig.arm();
  rig.set<std::uint64_t>(Rig::of(0, spec::chancmp), 0x70000000);
  rig.queue(1);
  rig.run();
  EXPECT_EQ(rig.error(), spec::chanerr_completion_addr);
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), 3U);
}

TEST(Ioat, reaches_no_memory_unless_it_is_bus_master) {
  Rig rig;
  rig.config_write<std::uint16_t>(abi::pci_command, abi::pci_command_memory);
  rig.put(0, {.size = 1, .control = spec::control_null | spec::control_completion});
  rig.arm();
  rig.queue(1);
  rig.run();
  EXPECT_EQ(rig.error(), spec::chanerr_read_data);
  EXPECT_EQ(rig.written_status(), 0U);
}

TEST(Ioat, suspended_channels_go_on_where_they_were) {
  Rig rig;
  rig.user.use_messages();
  for (std::size_t index = 0; index < 3; ++index)
    rig.put(index, {.size = 64, .source = data, .destination = data + 4096 + 64 * index});
  rig.arm();
  rig.queue(3);
  rig.host.run();  // the first descriptor is being read
  rig.set<std::uint8_t>(Rig::of(0, spec::chancmd), spec::chancmd_suspend);
  EXPECT_EQ(rig.state(), State::active);
  rig.run();
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), ring | 2U);
  rig.set<std::uint8_t>(Rig::of(0, spec::chancmd), spec::chancmd_resume);
  rig.run();
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), Rig::descriptor(2) | 1U);
}

TEST(Ioat, channels_work_side_by_side_and_tell_by_their_own_vector) {
  Rig rig(4);
  ASSERT_TRUE(rig.user.irq().listen(msix, 0, 4));
  rig.set<std::uint8_t>(spec::intrctrl, spec::intrctrl_msix_vector_control | spec::intrctrl_master_int_en);
  for (unsigned channel = 0; channel < 4; ++channel) {
    rig.put(8 * channel, {.size = 16,
                          .control = spec::control_int | spec::control_completion,
                          .source = data + channel,
                          .destination = data + 4096U * (channel + 1)});
    rig.arm(channel, Rig::descriptor(8 * channel));
  }
  for (unsigned channel = 0; channel < 4; ++channel) rig.queue(channel == 2 ? 0 : 1, channel);
  rig.run();
  for (unsigned channel = 0; channel < 4; ++channel) {
    EXPECT_EQ(rig.user.irq().take(msix, channel), channel == 2 ? 0U : 1U) << channel;
    EXPECT_EQ(rig.written_status(channel), channel == 2 ? 0U : Rig::descriptor(8 * channel) | 1U);
  }
}

TEST(Ioat, the_shared_interrupt_is_a_line_that_its_handler_lowers) {
  Rig rig(4);
  ASSERT_TRUE(rig.user.irq().listen(intx));
  rig.set<std::uint8_t>(spec::intrctrl, spec::intrctrl_master_int_en);
  rig.put(0, {.size = 1, .control = spec::control_null | spec::control_int});
  rig.arm(3);
  rig.queue(1, 3);
  rig.run();
  EXPECT_EQ(rig.user.irq().take(intx), 1U);
  const auto control = rig.get<std::uint8_t>(spec::intrctrl);
  EXPECT_EQ(control, spec::intrctrl_master_int_en | spec::intrctrl_int_status | spec::intrctrl_int);
  EXPECT_EQ(rig.get<std::uint8_t>(spec::intrctrl), spec::intrctrl_int_status) << "reading has disabled it";
  EXPECT_EQ(rig.get<std::uint32_t>(spec::attnstatus), 1U << 3);
  EXPECT_EQ(rig.get<std::uint32_t>(spec::attnstatus), 0U) << "reading has cleared it";
  rig.set<std::uint8_t>(spec::intrctrl, control);
  ASSERT_TRUE(rig.user.irq().none(abi::vfio_irq_set_action_unmask, intx));
  EXPECT_EQ(rig.user.irq().take(intx), 0U) << "the line is low";
}

TEST(Ioat, a_message_of_all_channels_is_sent_when_the_line_would_rise) {
  for (const std::uint32_t index : {msi, msix}) {
    Rig rig(4);
    ASSERT_TRUE(rig.user.irq().listen(index));
    rig.set<std::uint8_t>(spec::intrctrl, spec::intrctrl_master_int_en);
    rig.put(0, {.size = 1, .control = spec::control_null | spec::control_int});
    for (unsigned channel = 0; channel < 4; ++channel) {
      rig.arm(channel);
      rig.queue(1, channel);
      rig.run();
    }
    EXPECT_EQ(rig.user.irq().take(index), 1U);
    EXPECT_EQ(rig.get<std::uint32_t>(spec::attnstatus), 0xfU);
  }
}

TEST(Ioat, without_the_master_enable_nobody_is_told) {
  Rig rig;
  ASSERT_TRUE(rig.user.irq().listen(msi));
  rig.put(0, {.size = 1, .control = spec::control_null | spec::control_int});
  rig.arm();
  rig.queue(1);
  rig.run();
  EXPECT_EQ(rig.user.irq().take(msi), 0U);
  rig.set<std::uint8_t>(spec::intrctrl, spec::intrctrl_master_int_en);
  EXPECT_EQ(rig.user.irq().take(msi), 1U) << "it is told late";
}

// --- Reset and end at any moment.

TEST(IoatReset, waits_for_the_access_under_way_and_is_power_on) {
  Rig rig;
  rig.user.use_messages();
  rig.put(0, {.size = 4096, .control = spec::control_completion, .source = data, .destination = data + 8192});
  rig.arm();
  rig.queue(1);
  rig.host.run();
  Outcome<> outcome;
  rig.device->reset(rig.user, outcome.done());
  rig.host.run();
  EXPECT_FALSE(outcome.is_done());
  rig.run();
  EXPECT_TRUE(outcome.succeeded());
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), 3U);
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chancmp)), 0U);
}

TEST(IoatReset, ends_a_chain_without_end_between_two_descriptors) {
  Rig rig;
  rig.put(0, {.size = 8, .source = data, .destination = data + 64, .next = ring});
  rig.arm();
  rig.queue(0xffff);
  rig.reset();
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), 3U);
  rig.config_write<std::uint16_t>(abi::pci_command, abi::pci_command_master);
  rig.arm();
  rig.queue(1);
  rig.run();
  EXPECT_EQ(rig.state(), State::done);
}

TEST(IoatReset, of_the_function_by_its_capability_waits_as_well) {
  Rig rig;
  rig.user.use_messages();
  rig.put(0, {.size = 8, .source = data, .destination = data + 64});
  rig.arm();
  rig.queue(1);
  rig.host.run();
  auto at = rig.config_read<std::uint8_t>(abi::pci_capability_list);
  while (rig.config_read<std::uint8_t>(at) != abi::pci_cap_id_exp)
    at = rig.config_read<std::uint8_t>(at + 1U);
  FakeAccess access(rig.user, config, at + abi::pci_exp_devctl, std::vector{std::byte{0}, std::byte{0x80}});
  rig.device->write(access.write_request());
  EXPECT_FALSE(access.completed());
  rig.run();
  EXPECT_TRUE(access.completed());
  EXPECT_EQ(rig.state(), State::halted);
  EXPECT_NE(rig.config_read<std::uint16_t>(abi::pci_command) & abi::pci_command_master, 0)
      << "as DPDK counts on";
}

TEST(IoatReset, the_end_of_the_user_waits_and_the_next_one_finds_power_on) {
  Rig rig;
  rig.user.use_messages();
  rig.put(0, {.size = 1, .control = spec::control_null, .next = ring});
  rig.arm();
  rig.queue(5);
  rig.host.run();
  rig.close();
  rig.open();
  EXPECT_EQ(rig.get<std::uint64_t>(Rig::of(0, spec::chansts)), 3U);
  EXPECT_EQ(rig.get<std::uint16_t>(Rig::of(0, spec::dmacount)), 0);
}

TEST(IoatReset, several_at_once_end_one_after_another) {
  Rig rig;
  rig.user.use_messages();
  rig.put(0, {.size = 8, .source = data, .destination = data + 64, .next = ring});
  rig.arm();
  rig.queue(100);
  rig.host.run();
  std::vector<Outcome<>> outcomes(3);
  for (Outcome<>& outcome : outcomes) rig.device->reset(rig.user, outcome.done());
  rig.run();
  for (Outcome<>& outcome : outcomes) EXPECT_TRUE(outcome.succeeded());
}

}  // namespace
}  // namespace umdev::ioat
