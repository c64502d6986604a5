//! Known mistakes that can be switched on where the feature `planted-faults` is built, so that tests
//! show they would be found. Without the feature nothing here has any effect.

/// A mistake in delivery, ledger or stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PlantedFault {
    /// The entry is acked before anything is written.
    AckEarly,
    /// A commit does not look at the epoch.
    CommitWithoutEpoch,
    /// A write leaves rows alone that are there, their epoch too.
    SkipIfPresent,
    /// A write sets the epoch, also to a lower one.
    EpochLowered,
    /// A removal does not look at the epoch.
    DeleteWithoutEpoch,
    /// Child crashes are not counted.
    NoCrashCounter,
    /// The lease is extended without a look at progress.
    BlindHeartbeat,
    /// A heartbeat does not look at who has the entry, and takes it back from whoever does.
    HeartbeatWithoutOwner,
    /// A worker that is asked to end removes its consumer while that still has entries.
    ConsumerDeletedAtDrain,
    /// The manifest is committed before its rows are written.
    CommitBeforeWrite,
}

impl PlantedFault {
    /// All of them.
    pub const ALL: [PlantedFault; 10] = [
        Self::AckEarly,
        Self::CommitWithoutEpoch,
        Self::SkipIfPresent,
        Self::EpochLowered,
        Self::DeleteWithoutEpoch,
        Self::NoCrashCounter,
        Self::BlindHeartbeat,
        Self::HeartbeatWithoutOwner,
        Self::ConsumerDeletedAtDrain,
        Self::CommitBeforeWrite,
    ];

    /// Those that act in processes on real servers too; the others are mistakes of the stores and the ledger in memory.
    /// Not all of these do harm there: what was acked too early, the ledger's reconciliation brings back.
    pub const ON_SERVERS: [PlantedFault; 4] =
        [Self::AckEarly, Self::CommitWithoutEpoch, Self::BlindHeartbeat, Self::CommitBeforeWrite];

    /// Variable that plants one in a worker process.
    pub const VARIABLE: &'static str = "DOCMILL_TEST_PLANTED";

    /// The mistake that the environment asks for.
    pub fn from_environment() -> Option<Self> {
        Self::parse(&std::env::var(Self::VARIABLE).ok()?)
    }

    /// Whether the environment plants this one, in a process that was built for it.
    #[cfg(feature = "services")]
    pub(crate) fn is_planted(self) -> bool {
        cfg!(feature = "planted-faults") && Self::from_environment() == Some(self)
    }

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AckEarly => "ack-early",
            Self::CommitWithoutEpoch => "commit-without-epoch",
            Self::SkipIfPresent => "skip-if-present",
            Self::EpochLowered => "epoch-lowered",
            Self::DeleteWithoutEpoch => "delete-without-epoch",
            Self::NoCrashCounter => "no-crash-counter",
            Self::BlindHeartbeat => "blind-heartbeat",
            Self::HeartbeatWithoutOwner => "heartbeat-without-owner",
            Self::ConsumerDeletedAtDrain => "consumer-deleted-at-drain",
            Self::CommitBeforeWrite => "commit-before-write",
        }
    }

    /// The mistake with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == name)
    }
}
