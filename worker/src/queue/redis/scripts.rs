//! The Lua scripts: every change is one of them, so that it happens as a whole or not at all.

use redis::Script;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// The scripts, ready to be called by their hash; one that the server forgot is sent again.
        pub struct Scripts {
            $($(#[$doc])* pub $name: Script,)+
        }

        impl Scripts {
            /// All of them.
            pub fn new() -> Self {
                Self {
                    $($name: Script::new(concat!(
                        include_str!("lua/common.lua"),
                        include_str!(concat!("lua/", stringify!($name), ".lua"))
                    )),)+
                }
            }
        }
    };
}

scripts! {
    /// Entries for messages that have none.
    enqueue,
    /// Waiting entries, under a lease.
    receive,
    /// New leases.
    extend,
    /// Removal.
    ack,
    /// Back, at once or later.
    release,
    /// Delayed entries that are due.
    promote,
    /// Entries whose lease ran out.
    sweep,
    /// Entries that no read and no lease gives back.
    unreachable,
    /// Consumers that are no more.
    consumers,
    /// Counts.
    depth,
    /// The next time at which something falls due.
    next_due,
}
