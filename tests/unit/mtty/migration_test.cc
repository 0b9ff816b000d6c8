// A serial card that moves while it is used.
#include "drivers/mtty/migration.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <deque>

#include "drivers/mtty/mtty.h"
#include "tests/support/irq_client.h"
#include "tests/support/mdev_world.h"
#include "tests/support/migration_steps.h"

namespace umdev::mtty {
namespace {

using enum vfio::MigrationState;
using test::CoreWorld;
using test::error_of;

// Cards of one world, each open.
class Cards {
 public:
  struct Card {
    CoreWorld::Registered registered;
    CoreWorld::Session session;

    vfio::DeviceFile& file() { return *session.device; }
    std::uint8_t in(unsigned port, std::uint8_t offset) {
      return std::to_integer<std::uint8_t>(test::read_file(file(), port, offset, 1).value()[0]);
    }
    void out(unsigned port, std::uint8_t offset, unsigned value) {
      EXPECT_TRUE(test::write_file(file(), port, offset, std::vector(1, std::byte(value))));
    }
  };
  Card add(unsigned ports = 2) {
    Card card{.registered = {.parent = world.add_parent("card" + std::to_string(count_++))}};
    auto made = world.core->register_emulated_device(Mtty::create(ports), {.parent = card.registered.parent});
    card.registered.device = made->device;
    card.registered.registration = std::move(made->registration);
    card.registered.group = card.registered.device->group()->iommu_group().number();
    card.session = world.open(card.registered);
    return card;
  }
  // The state of one card in a fresh one.
  Card move(Card& from, unsigned ports = 2) {
    Card to = add(ports);
    EXPECT_TRUE(test::load(to.file(), test::save(from.file(), stop)));
    return to;
  }

  CoreWorld world;

 private:
  int count_ = 0;
};

TEST(MttyMigration, every_register_arrives) {
  Cards cards;
  auto source = cards.add();
  source.out(0, spec::lcr, spec::lcr_dlab);
  source.out(0, spec::dll, 0x34);
  source.out(0, spec::dlm, 0x12);
  source.out(0, spec::lcr, 0x03);
  source.out(0, spec::fcr, spec::fcr_enable_fifo | 0x80);
  source.out(0, spec::ier, 0x0f);
  source.out(0, spec::mcr, spec::mcr_loop | spec::mcr_rts);
  source.out(0, spec::scr, 0x77);
  source.out(1, spec::scr, 0x88);
  for (unsigned i = 0; i < 20; ++i) source.out(0, spec::thr, i);
  auto target = cards.move(source);
  ASSERT_TRUE(test::go(source.file(), running));
  for (unsigned port = 0; port < 2; ++port)
    for (const std::uint8_t offset :
         {spec::ier, spec::lcr, spec::mcr, spec::scr, spec::iir, spec::lsr, spec::msr})
      EXPECT_EQ(target.in(port, offset), source.in(port, offset)) << port << " " << int{offset};
  for (int i = 0; i < 17; ++i) EXPECT_EQ(target.in(0, spec::rbr), source.in(0, spec::rbr)) << i;
  source.out(0, spec::lcr, spec::lcr_dlab);
  target.out(0, spec::lcr, spec::lcr_dlab);
  EXPECT_EQ(target.in(0, spec::dll), 0x34);
  EXPECT_EQ(target.in(0, spec::dlm), 0x12);
}

TEST(MttyMigration, moved_at_any_moment_it_loses_no_byte) {
  const bool held = rc::check([](const std::vector<std::uint8_t>& text) {
    Cards cards;
    auto card = cards.add(1);
    if (*rc::gen::arbitrary<bool>()) card.out(0, spec::fcr, spec::fcr_enable_fifo);
    std::vector<std::uint8_t> received;
    std::size_t sent = 0;
    while (received.size() < text.size()) {
      switch (*rc::gen::weightedElement<int>({{4, 0}, {4, 1}, {1, 2}})) {
        case 0:
          if (sent < text.size() && (card.in(0, spec::lsr) & spec::lsr_thre) != 0)
            card.out(0, spec::thr, text[sent++]);
          break;
        case 1:
          if ((card.in(0, spec::lsr) & spec::lsr_dr) != 0) received.push_back(card.in(0, spec::rbr));
          break;
        default: {
          auto moved = cards.move(card, 1);
          card = std::move(moved);
        }
      }
    }
    RC_ASSERT(received == text);
  });
  EXPECT_TRUE(held);
}

TEST(MttyMigration, while_it_stands_still_its_ports_are_busy_and_its_config_space_is_not) {
  Cards cards;
  auto card = cards.add();
  for (const vfio::MigrationState state : {stop, stop_copy, stop, resuming}) {
    ASSERT_TRUE(test::go(card.file(), state));
    EXPECT_EQ(error_of(test::read_file(card.file(), 0, spec::scr, 1)), EBUSY);
    EXPECT_EQ(error_of(test::write_file(card.file(), 0, spec::scr, std::vector(1, std::byte{1}))), EBUSY);
    EXPECT_TRUE(test::read_file(card.file(), abi::vfio_pci_config_region_index, 0, 4));
  }
  test::Outcome<> reset;
  card.file().reset(reset.done());
  EXPECT_EQ(card.in(0, spec::scr), 0);
  for (const vfio::MigrationState state : {running_p2p, pre_copy, pre_copy_p2p, running}) {
    ASSERT_TRUE(test::go(card.file(), state));
    EXPECT_EQ(card.in(0, spec::scr), 0);
  }
}

TEST(MttyMigration, a_level_interrupt_is_high_at_the_target_once_it_runs_and_a_message_is_not_sent_again) {
  constexpr std::uint32_t enable = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger;
  for (const std::uint32_t index : {abi::vfio_pci_intx_irq_index, abi::vfio_pci_msi_irq_index}) {
    Cards cards;
    auto source = cards.add(1);
    source.out(0, spec::ier, spec::ier_rdi);
    source.out(0, spec::thr, 'x');
    auto target = cards.add(1);
    os::EventFd event = os::EventFd::create().value();
    std::vector<os::UniqueFd> eventfds;
    eventfds.push_back(event.dup().value());
    vfio::IrqRequest request{.flags = enable, .index = index, .count = 1, .eventfds = eventfds};
    ASSERT_TRUE(target.file().set_irqs(request));
    ASSERT_TRUE(test::load(target.file(), test::save(source.file(), stop), stop));
    EXPECT_EQ(event.take(), 0U) << "it stands still";
    ASSERT_TRUE(test::go(target.file(), running));
    EXPECT_EQ(event.take(), index == abi::vfio_pci_intx_irq_index ? 1U : 0U);
    EXPECT_EQ(target.in(0, spec::rbr), 'x');
  }
}

TEST(MttyMigration, a_card_of_one_port_is_no_card_of_two) {
  Cards cards;
  auto source = cards.add(1);
  auto target = cards.add(2);
  EXPECT_EQ(error_of(test::load(target.file(), test::save(source.file()))), EINVAL);
}

TEST(MttyMigration, registers_that_no_chip_has_are_refused_however_good_their_crc) {
  struct Case {
    const char* what;
    std::vector<unsigned> bytes;
    bool good;
  };
  // ier, fcr, lcr, mcr, scr, dll, dlm, last byte, modem inputs, deltas, overrun, thr interrupt, count, bytes
  const Case cases[] = {
      {"power-on", {0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0}, true},
      {"one byte without FIFO", {0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 1, 65}, true},
      {"two bytes without FIFO", {0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 2, 65, 66}, false},
      {"an enabled interrupt that is none", {0x10, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0}, false},
      {"a trigger level without FIFO", {0, 0x80, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0}, false},
      {"another bit of FCR", {0, 0x03, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0}, false},
      {"another bit of MCR", {0, 0, 0, 0x40, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0}, false},
      {"modem lines that nobody drives", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false},
      {"five deltas", {0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0x10, 0, 0, 0}, false},
      {"an overrun of two", {0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 2, 0, 0}, false},
      {"a byte too few", {0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 1}, false},
      {"a byte too many", {0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0, 65}, false},
      {"seventeen bytes",
       {0, 1, 0, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
       false},
  };
  for (const Case& c : cases) {
    std::vector<std::byte> bytes;
    for (const unsigned value : c.bytes) bytes.push_back(std::byte(value));
    EXPECT_EQ(error_of(Uart::load(SectionReader(bytes, 1))), c.good ? 0 : EINVAL) << c.what;
  }
}

}  // namespace
}  // namespace umdev::mtty
