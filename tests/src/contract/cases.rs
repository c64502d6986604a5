//! The lists of cases, one macro a suite: a back end's test file names the suites it passes, so a case
//! that is added here runs on all of them.

/// Every queue case on the back end that the expression makes.
#[macro_export]
macro_rules! queue_cases {
    ($backend:expr) => {
        $crate::contract_cases! { $backend, queue:
            enqueue_is_idempotent,
            settlement_is_owner_checked,
            many_are_settled_each_for_itself,
            depth_counts_each_entry_once,
            a_release_waits_for_its_delay,
            what_comes_within_a_minute_is_due,
            an_expired_lease_is_promoted,
            what_comes_back_goes_first,
            large_files_have_their_share
        }
    };
}

/// Every ledger case on the back end that the expression makes.
#[macro_export]
macro_rules! ledger_cases {
    ($backend:expr) => {
        $crate::contract_cases! { $backend, ledger:
            registration_tells_news,
            a_dead_owners_claim_is_taken_over,
            commits_are_numbered_without_a_gap,
            removals_name_what_only_older_manifests_name,
            a_deletion_is_the_next_generation,
            deletions_are_forgotten_when_they_are_old,
            requeueing_starts_final_documents_again,
            an_index_is_switched_when_it_is_whole,
            a_failed_document_keeps_what_search_shows_in_the_next_index,
            the_first_derived_value_wins
        }
        $crate::contract_cases! { $backend, ledger_trials:
            the_own_worker_claims_anew,
            starts_without_an_end_lead_to_a_dead_letter,
            progress_forgives,
            child_crashes_lead_to_a_dead_letter,
            transient_failures_are_retried,
            kept_pages_have_no_gap
        }
    };
}

/// Every case of what an API asks, on the books that the expression makes.
#[macro_export]
macro_rules! desk_cases {
    ($books:expr) => {
        $crate::contract_cases! { $books, desk:
            an_admission_tells_what_it_changed,
            the_first_object_of_a_content_stays,
            objects_go_when_no_document_has_their_content,
            a_batch_counts_its_documents,
            a_cancelled_batch_ends_what_nobody_else_wants,
            lists_show_a_tenants_own,
            dead_letters_are_replayed_once,
            lanes_count_what_is_unsettled,
            the_first_answer_stays,
            usage_is_a_days,
            keys_are_good_until_they_are_not,
            commits_are_told_with_their_tenants,
            what_is_in_work_is_shown,
            an_export_goes_on_where_it_ended,
            what_was_told_last_is_told
        }
    };
}

/// Every sink case on the back end that the expression makes. With `one after another:` they are one test,
/// for a back end whose server is dear to start in every process.
#[macro_export]
macro_rules! sink_cases {
    (@ $run:ident, $backend:expr) => {
        $crate::$run! { $backend, sink:
            a_write_is_idempotent_and_never_lowers_an_epoch,
            a_write_counts_what_is_held,
            writes_of_several_claims_keep_their_epochs,
            a_removal_looks_at_the_epoch,
            a_look_up_answers_in_order,
            pages_ascend,
            a_concept_goes_with_its_last_evidence,
            loose_ends_are_found_and_removed
        }
    };
    (one after another: $backend:expr) => {
        $crate::sink_cases! { @ contract_cases_in_turn, $backend }
    };
    ($backend:expr) => {
        $crate::sink_cases! { @ contract_cases, $backend }
    };
}

/// Every case of objects in the place that the expression makes.
#[macro_export]
macro_rules! objects_cases {
    ($place:expr) => {
        $crate::contract_cases! { $place, objects:
            what_was_put_is_fetched,
            what_is_missing_is_told,
            a_put_that_fails_changes_nothing,
            pages_ascend,
            a_large_object_comes_in_parts,
            an_object_replaced_before_its_fetch_is_told,
            an_object_replaced_during_its_fetch_is_one_or_told,
            scratch_is_a_budget
        }
    };
}

/// One test a case; `$backend` is awaited for each, so every case has its own.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_cases {
    ($backend:expr, $suite:ident: $($case:ident),+) => {
        mod $suite {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                docmill_tests::contract::$suite::$case($backend.await).await;
            })+
        }
    };
}

/// One test that runs one case after another; `$backend` is awaited for each.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_cases_in_turn {
    ($backend:expr, $suite:ident: $($case:ident),+) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $suite() {
            $(
                println!(stringify!($case));
                docmill_tests::contract::$suite::$case($backend.await).await;
            )+
        }
    };
}
