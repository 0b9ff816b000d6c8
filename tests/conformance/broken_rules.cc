#include "tests/conformance/broken_rules.h"

#include <vector>

namespace umdev::conformance {
namespace {

// Each of these tests runs, and has to fail (unless it depends on luck): what a new release of a sample has
// mended must be taken out.
const std::vector<BrokenRule> broken_rules = {
    {"gauge", "the_first_and_the_last_byte_of_a_region_can_be_accessed", "has registers of four bytes"},
    {"gauge", "an_access_does_all_of_what_was_asked", "has registers of four bytes"},
    {"mtty-linux", "every_region_has_an_answer",
     "says of regions without a size that they can be read and written"},
    {"mtty-linux", "config_space_reads_the_same_at_every_offset_and_size",
     "allocates 255 bytes for its configuration space"},
    {"mtty-linux", "requests_that_make_no_sense_are_refused",
     "looks at single bits of the flags and ignores the rest"},
    {"mtty-linux", "an_index_that_is_not_enabled_cannot_be_triggered_or_disabled",
     "takes each trigger, whatever is enabled"},
    {"mtty-linux", "every_index_can_be_enabled_used_and_disabled_again",
     "takes each trigger, whatever is enabled"},
    {"mtty-linux", "only_a_maskable_index_can_be_masked", "takes each mask and does nothing"},
    {"mtty-linux", "a_pci_device_has_one_kind_of_interrupt_at_a_time", "sets up INTx beside MSI"},
    {"mtty-linux", "what_is_set_up_signals_its_eventfd", "ends an interrupt where it should signal it"},
    {"mtty-linux", "reset_works_if_the_device_says_so", "can be reset and does not say so"},
    {"mtty-linux", "a_close_with_everything_set_up_leaves_nothing_behind",
     "keeps registers and interrupts for the next user"},
    {"mtty-linux", "removal_waits_for_the_user_and_asks_it_to_let_go",
     "takes an eventfd for the request to let go, and has no request callback"},
    {"mdpy-linux-5.10", "removal_waits_for_the_user_and_asks_it_to_let_go",
     "is removed in use, as every driver of its interface that does not refuse", false},
    {"mdpy-linux", "every_region_has_an_answer",
     "puts its regions elsewhere in its file than PCI devices here do"},
    {"mdpy-linux", "config_space_reads_the_same_at_every_offset_and_size",
     "allocates 255 bytes for its configuration space"},
    {"mdpy-linux", "reset_works_if_the_device_says_so", "can be reset and does not say so"},
    {"mdpy-linux", "a_close_with_everything_set_up_leaves_nothing_behind",
     "keeps configuration space for the next user"},
    {"mbochs-linux", "the_first_and_the_last_byte_of_a_region_can_be_accessed",
     "takes offsets of its memory for others, beyond its table of pages, and finds there what happens to be "
     "there",
     false},
    {"mbochs-linux-5.10", "removal_waits_for_the_user_and_asks_it_to_let_go",
     "is removed in use, as every driver of its interface that does not refuse", false},
    {"mbochs-linux", "every_region_has_an_answer",
     "puts its regions elsewhere in its file than PCI devices here do"},
    {"mbochs-linux", "config_space_reads_the_same_at_every_offset_and_size",
     "allocates 255 bytes for its configuration space"},
    {"mbochs-linux", "reset_works_if_the_device_says_so", "can be reset and does not say so"},
    {"mbochs-linux", "a_close_with_everything_set_up_leaves_nothing_behind",
     "keeps configuration space for the next user"},
};

}  // namespace

const BrokenRule* find_broken_rule(std::string_view device, std::string_view rule) {
  for (const BrokenRule& broken : broken_rules)
    if (device.starts_with(broken.device) && rule == broken.rule) return &broken;
  return nullptr;
}

}  // namespace umdev::conformance
