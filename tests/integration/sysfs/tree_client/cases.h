// Every case. ALL_CASES(CASE) is CASE(name) for each.
#pragma once

#define ALL_CASES(CASE)                                     \
  CASE(modes_sizes_and_owners)                              \
  CASE(links_are_relative)                                  \
  CASE(a_directory_has_a_link_from_each_subdirectory)       \
  CASE(a_listing_can_be_rewound_and_taken_up_again)         \
  CASE(create_cannot_be_opened_for_reading)                 \
  CASE(name_cannot_be_opened_for_writing)                   \
  CASE(creating_and_truncating_what_is_there_does_nothing)  \
  CASE(a_file_that_is_not_there_cannot_be_made)             \
  CASE(nothing_is_made_moved_or_taken_away)                 \
  CASE(chmod_and_chown_are_kept_until_the_object_dies)      \
  CASE(a_write_where_there_is_no_store_is_eio)              \
  CASE(who_owns_create_can_create_and_not_remove)           \
  CASE(others_may_what_the_mode_says)                       \
  CASE(an_empty_write_stores_nothing)                       \
  CASE(the_offset_of_a_write_does_not_matter)               \
  CASE(a_store_gets_a_page_at_most)                         \
  CASE(a_descriptor_whose_object_is_gone_is_enodev)         \
  CASE(a_read_past_the_end_is_nothing_and_at_0_shows_again) \
  CASE(a_show_is_a_page_less_one_at_most)                   \
  CASE(binary_attributes_have_offsets_and_no_limit)         \
  CASE(a_uuid_has_36_or_37_characters)                      \
  CASE(the_37th_character_is_not_looked_at)                 \
  CASE(a_device_has_a_lower_case_name)                      \
  CASE(a_uuid_is_there_once_on_the_host)                    \
  CASE(a_parent_that_counts_says_eusers)                    \
  CASE(mtty_says_enospc_when_its_ports_are_out)             \
  CASE(one_type_takes_what_another_counts)                  \
  CASE(the_drivers_error_is_the_writers)                    \
  CASE(a_device_is_complete_when_the_write_returns)         \
  CASE(no_create_of_a_parent_that_goes)                     \
  CASE(one_create_runs_beside_another)                      \
  CASE(a_number_that_is_not_0_removes)                      \
  CASE(everything_of_a_device_goes)                         \
  CASE(the_second_of_two_removers_is_told_so)               \
  CASE(a_remove_before_the_create_has_ended_is_eagain)      \
  CASE(a_remove_waits_for_the_devices_user)                 \
  CASE(a_signal_ends_the_wait_and_the_removal_goes_on)      \
  CASE(who_waits_for_a_removal_can_be_killed)               \
  CASE(a_driver_that_refuses_keeps_its_device)              \
  CASE(a_device_can_be_unbound_and_then_removed)            \
  CASE(a_parent_shows_its_types_and_a_class_link)           \
  CASE(a_type_that_cannot_be_undoes_all)                    \
  CASE(an_unregistration_takes_the_devices_along)           \
  CASE(an_unregistration_waits_for_a_device_in_use)         \
  CASE(a_reader_of_a_directory_holds_up_nobody)             \
  CASE(go_on_beside_a_stuck_driver)                         \
  CASE(races_of_create_and_remove_leave_nothing_unremovable)

#define DECLARE(name) void name(void);
ALL_CASES(DECLARE)
#undef DECLARE
