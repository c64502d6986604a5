//! Every contract case on the memory twins and on SQLite.

macro_rules! cases {
    ($($suite:ident: $($case:ident),+;)+) => {
        $(mod $suite {
            mod memory {
                $(#[tokio::test]
                async fn $case() {
                    docmill_tests::contract::$suite::$case(docmill_tests::contract::memory()).await;
                })+
            }
            mod sqlite {
                $(#[tokio::test]
                async fn $case() {
                    docmill_tests::contract::$suite::$case(docmill_tests::contract::sqlite()).await;
                })+
            }
        })+
    };
}

cases! {
    ledger:
        registration_tells_news,
        a_dead_owners_claim_is_taken_over,
        commits_are_numbered_without_a_gap,
        removals_name_what_only_older_manifests_name,
        a_deletion_is_the_next_generation,
        requeueing_starts_final_documents_again,
        an_index_is_switched_when_it_is_whole,
        the_first_derived_value_wins;
    ledger_trials:
        the_own_worker_claims_anew,
        starts_without_an_end_lead_to_a_dead_letter,
        progress_forgives,
        child_crashes_lead_to_a_dead_letter,
        transient_failures_are_retried,
        kept_pages_have_no_gap;
    queue:
        enqueue_is_idempotent,
        settlement_is_owner_checked,
        a_release_waits_for_its_delay,
        an_expired_lease_is_promoted,
        large_files_have_their_share;
    sink:
        a_write_is_idempotent_and_never_lowers_an_epoch,
        a_write_counts_what_is_held,
        a_removal_looks_at_the_epoch,
        a_look_up_answers_in_order,
        pages_ascend,
        a_concept_goes_with_its_last_evidence,
        loose_ends_are_found_and_removed;
}
