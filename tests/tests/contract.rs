//! Every contract case on the memory twins and on SQLite.

mod memory {
    use docmill_tests::contract::memory;

    docmill_tests::queue_cases!(memory());
    docmill_tests::ledger_cases!(memory());
    docmill_tests::sink_cases!(memory());
}

mod sqlite {
    use docmill_tests::contract::{sqlite, sqlite_books};

    docmill_tests::queue_cases!(sqlite());
    docmill_tests::ledger_cases!(sqlite());
    docmill_tests::sink_cases!(sqlite());
    docmill_tests::desk_cases!(sqlite_books());
}
