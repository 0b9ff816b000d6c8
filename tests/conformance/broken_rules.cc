#include "tests/conformance/broken_rules.h"

#include <algorithm>

namespace umdev::conformance {
namespace {

// Its interrupts were written anew after 6.1.
const std::vector<std::string_view> old_mtty = {"mtty-linux-5.10", "mtty-linux-6.1"};
// ... and what moves it was added.
const std::vector<std::string_view> new_mtty = {"mtty-linux-6.12", "mtty-linux-backports"};

// Each of these tests runs, and has to fail (unless it depends on luck): what a new release of a sample has
// mended must be taken out.
const std::vector<BrokenRule> broken_rules = {
    {{"gauge"}, "the_first_and_the_last_byte_of_a_region_can_be_accessed", "has registers of four bytes"},
    {{"gauge"}, "an_access_does_all_of_what_was_asked", "has registers of four bytes"},
    {{"mtty-linux"},
     "every_region_has_an_answer",
     "says of regions without a size that they can be read and written"},
    {{"mtty-linux"},
     "config_space_reads_the_same_at_every_offset_and_size",
     "allocates 255 bytes for its configuration space"},
    {{"mtty-linux"},
     "requests_that_make_no_sense_are_refused",
     "looks at single bits of the flags and ignores the rest"},
    {old_mtty, "an_index_that_is_not_enabled_cannot_be_triggered_or_disabled",
     "takes each trigger, whatever is enabled"},
    {old_mtty, "every_index_can_be_enabled_used_and_disabled_again",
     "takes each trigger, whatever is enabled"},
    {old_mtty, "only_a_maskable_index_can_be_masked", "takes each mask and does nothing"},
    {old_mtty, "a_pci_device_has_one_kind_of_interrupt_at_a_time", "sets up INTx beside MSI"},
    {old_mtty, "what_is_set_up_signals_its_eventfd", "ends an interrupt where it should signal it"},
    {{"mtty-linux"}, "reset_works_if_the_device_says_so", "can be reset and does not say so"},
    {{"mtty-linux"},
     "a_close_with_everything_set_up_leaves_nothing_behind",
     "keeps registers and interrupts for the next user"},
    {old_mtty, "removal_waits_for_the_user_and_asks_it_to_let_go",
     "takes an eventfd for the request to let go, and has no request callback"},
    {new_mtty, "A17_closing_in_any_state_ends_the_transfer",
     "keeps the state of its migration for the next user"},
    {new_mtty, "A17_a_stream_with_one_wrong_byte_fails_or_is_the_same_state",
     "takes whatever registers a stream says, and any configuration space"},
    {new_mtty, "A17_a_stream_that_never_ends_is_refused_in_time",
     "refuses what is more than its state with ENOMEM"},
    {{"mdpy-linux-5.10"},
     "removal_waits_for_the_user_and_asks_it_to_let_go",
     "is removed in use, as every driver of its interface that does not refuse",
     false},
    {{"mdpy-linux"},
     "every_region_has_an_answer",
     "puts its regions elsewhere in its file than PCI devices here do"},
    {{"mdpy-linux"},
     "config_space_reads_the_same_at_every_offset_and_size",
     "allocates 255 bytes for its configuration space"},
    {{"mdpy-linux"}, "reset_works_if_the_device_says_so", "can be reset and does not say so"},
    {{"mdpy-linux"},
     "a_close_with_everything_set_up_leaves_nothing_behind",
     "keeps configuration space for the next user"},
    {{"mbochs-linux"},
     "the_first_and_the_last_byte_of_a_region_can_be_accessed",
     "takes offsets of its memory for others, beyond its table of pages, and finds there what happens to be "
     "there",
     false},
    {{"mbochs-linux-5.10"},
     "removal_waits_for_the_user_and_asks_it_to_let_go",
     "is removed in use, as every driver of its interface that does not refuse",
     false},
    {{"mbochs-linux"},
     "every_region_has_an_answer",
     "puts its regions elsewhere in its file than PCI devices here do"},
    {{"mbochs-linux"},
     "config_space_reads_the_same_at_every_offset_and_size",
     "allocates 255 bytes for its configuration space"},
    {{"mbochs-linux"}, "reset_works_if_the_device_says_so", "can be reset and does not say so"},
    {{"mbochs-linux"},
     "a_close_with_everything_set_up_leaves_nothing_behind",
     "keeps configuration space for the next user"},
};

bool is_of(std::string_view device, std::string_view name) {
  return device.starts_with(name) && (device.size() == name.size() || device[name.size()] == '-');
}

}  // namespace

const BrokenRule* find_broken_rule(std::string_view device, std::string_view rule) {
  for (const BrokenRule& broken : broken_rules)
    if (rule == broken.rule &&
        std::ranges::any_of(broken.devices, [&](std::string_view name) { return is_of(device, name); }))
      return &broken;
  return nullptr;
}

}  // namespace umdev::conformance
