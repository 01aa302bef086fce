//! The cases every home is put under, against the interface alone.
//!
//! A test binary includes this module by its path, implements [`home::Home`], and calls [`contract!`] with the function
//! that makes an empty one; the macro makes one test per case.
//!
//! - `append`: what is appended is read back, in order, at its offset, from any position.
//! - `transactions`: a transaction shows all at once or never, and one holder at a time can make one.
//! - `topics`: topics are made whole or not at all, found again, trimmed, searched by time, removed.
//! - `groups`: every partition number has one owner, handed over without loss, and nobody else can commit.
//! - `schemas`: one id per schema, for ever, and no version that cannot read the older ones.
//! - `bounds`: what a worker does not take does not pile up.
//! - `processes`: several processes on one log are killed, stopped, crowded and woken.
//! - `child`: the other side of `processes`.
//! - `home`: what a case needs.

pub(crate) mod append;
pub(crate) mod bounds;
pub(crate) mod child;
pub(crate) mod groups;
pub(crate) mod home;
pub(crate) mod processes;
pub(crate) mod schemas;
pub(crate) mod topics;
pub(crate) mod transactions;

/// One `#[test]` per case, each on a home of its own from `$empty()`.
macro_rules! contract {
    ($empty:path) => {
        contract!(@module $empty, append:
            records_are_read_in_the_order_they_were_sent,
            every_part_of_a_record_comes_back,
            a_record_stays_in_the_partition_it_was_sent_to,
            reading_starts_at_any_position,
            a_large_append_is_one_transaction_whatever_its_size,
            a_seek_makes_what_was_fetched_before_void,
        );
        contract!(@module $empty, transactions:
            nothing_shows_before_the_commit_and_everything_after,
            an_aborted_transaction_never_shows,
            a_commit_of_nothing_is_no_error,
            opening_a_transactional_id_fences_its_older_holder,
            another_transactional_id_is_not_fenced,
            offsets_are_committed_with_the_records_or_not_at_all,
            an_unknown_topic_cannot_be_written,
            a_commit_wakes_a_reader_that_waits,
        );
        contract!(@module $empty, topics:
            what_is_made_is_found,
            another_shape_of_a_topic_is_refused_and_nothing_is_made,
            a_name_no_home_could_carry_is_refused,
            an_unknown_topic_is_named,
            watermarks_follow_the_records,
            a_trim_removes_what_lies_before_and_nothing_after,
            a_position_past_the_end_is_refused_with_both_ends,
            a_time_is_found_at_the_first_record_that_has_reached_it,
            a_deleted_topic_takes_its_records_and_offsets_along,
            a_topic_keeps_its_id_and_one_made_again_has_another,
        );
        contract!(@module $empty, groups:
            one_two_four_and_one_member_share_the_partitions,
            a_partition_wanted_elsewhere_is_kept_until_it_is_given_back,
            a_fenced_commit_writes_nothing_at_all,
            the_same_name_again_replaces_the_older_member_at_once,
            records_are_handed_over_without_loss_or_doubling,
            topics_read_together_have_the_same_number_of_partitions,
            a_group_with_members_keeps_its_offsets,
            a_member_can_fetch_what_it_owns,
            a_member_there_is_nothing_for_is_told_so,
        );
        contract!(@module $empty, schemas:
            the_same_schema_has_the_same_id_everywhere,
            a_schema_is_found_by_its_id,
            a_default_makes_another_schema,
            a_version_must_read_every_older_one,
            a_check_says_how_a_schema_stands_and_registers_nothing,
        );
        contract!(@module $empty, bounds:
            what_is_not_taken_does_not_pile_up,
            a_buffer_smaller_than_a_batch_still_reads,
            a_held_partition_does_not_hold_up_another,
            a_consumer_that_is_dropped_ends_at_once,
        );
        contract!(@module $empty, processes:
            a_writer_killed_at_any_moment_leaves_whole_transactions,
            two_writers_and_ten_readers_never_meet_a_lock,
            another_process_wakes_without_a_poll_being_felt,
            a_silent_member_is_evicted_and_its_commit_fenced,
            a_killed_members_partitions_go_to_the_others,
        );
    };
    (@module $empty:path, $module:ident: $($case:ident,)*) => {
        mod $module {
            $(
                #[test]
                fn $case() {
                    crate::cases::$module::$case(&$empty());
                }
            )*
        }
    };
}
pub(crate) use contract;
