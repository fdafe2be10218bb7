//! What scenarios are examples of: the ways in which functions run away, and what only looks like it.

/// What a scenario is an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A function invokes itself.
    SelfInvoke,
    /// A function sends to its own queue.
    SelfQueue,
    /// A function writes to the bucket that triggers it.
    SelfBucket,
    /// A function changes the table whose stream triggers it.
    SelfTable,
    /// Two to six functions call each other in a ring.
    CycleCall,
    /// Two to six functions over queues.
    CycleQueue,
    /// Two to six functions over buckets and tables.
    CycleStorage,
    /// Two to six functions over anything.
    CycleMixed,
    /// Twelve functions over anything.
    TwelveCycle,
    /// Each lap starts 1.2 others in the mean.
    FanOutSlow,
    /// Each lap starts 2 others in the mean.
    FanOutTwo,
    /// Each lap starts 5 others in the mean.
    FanOutFive,
    /// A chain goes on with probability 0.98.
    Leaky,
    /// A new endless chain each ten seconds.
    AccumulatingSlow,
    /// A new endless chain each second.
    AccumulatingFast,
    /// A lap of ten minutes.
    TenMinutes,
    /// A lap of an hour.
    Hour,
    /// A lap of a day.
    Day,
    /// One endless chain among much harmless traffic of the same functions.
    Hidden,
    /// Every chain runs away after a deployment; before, they ended.
    Deployed,
    /// A function calls itself and waits, until all time out.
    SyncRecursion,
    /// A message that cannot be handled is sent again to its own queue.
    Poison,
    /// A function schedules itself.
    SelfTimer,
    /// The same entity is worked on again and again, each time in a new trace.
    NoProgress,
    /// What exports telemetry exports telemetry of exporting.
    Telemetry,
    /// Pages, each followed by another with probability 0.5.
    PaginationHalf,
    /// Pages, each followed by another with probability 0.67.
    PaginationTwoThirds,
    /// Pages, each followed by another with probability 0.8.
    PaginationMany,
    /// Pages, each followed by another with probability 0.9.
    PaginationLong,
    /// A lognormal number of pages, median 3, sigma 1.
    PaginationLogNormal,
    /// A Pareto number of pages, exponent 2.
    PaginationPareto,
    /// 1 to 12 pages.
    PaginationUniform,
    /// Divide and conquer: two parts, four times.
    DivideSmall,
    /// Divide and conquer: two parts, ten times.
    DivideDeep,
    /// Divide and conquer: ten parts, two times.
    DivideWide,
    /// Two functions that answer each other two or three times.
    Saga,
    /// Two functions that answer each other until a counter is used up.
    PingPong,
    /// Clients that try again on three layers.
    SdkRetries,
    /// A queue that hands the same message over again.
    Redelivery,
    /// A platform that runs the same request again.
    AsyncRetries,
    /// A workflow that asks again until something is done.
    WorkflowPoll,
    /// A schedule.
    Cron,
    /// A pipeline from one part of a bucket to another part of it.
    PrefixFiltered,
    /// Messages sent again from a dead-letter queue.
    DeadLetterRedrive,
    /// Two functions that both call a third.
    Diamond,
    /// One function that all others call.
    SharedLogger,
}

/// What is to be said about a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// An incident is right, from the first runaway chain on.
    Runaway,
    /// It goes round and ends by itself: an incident is wrong.
    Bounded,
    /// It does not go round: even a suspicion is wrong.
    Control,
}

impl Class {
    /// All classes in the order of the tables.
    pub const ALL: [Self; 46] = [
        Self::SelfInvoke,
        Self::SelfQueue,
        Self::SelfBucket,
        Self::SelfTable,
        Self::CycleCall,
        Self::CycleQueue,
        Self::CycleStorage,
        Self::CycleMixed,
        Self::TwelveCycle,
        Self::FanOutSlow,
        Self::FanOutTwo,
        Self::FanOutFive,
        Self::Leaky,
        Self::AccumulatingSlow,
        Self::AccumulatingFast,
        Self::TenMinutes,
        Self::Hour,
        Self::Day,
        Self::Hidden,
        Self::Deployed,
        Self::SyncRecursion,
        Self::Poison,
        Self::SelfTimer,
        Self::NoProgress,
        Self::Telemetry,
        Self::PaginationHalf,
        Self::PaginationTwoThirds,
        Self::PaginationMany,
        Self::PaginationLong,
        Self::PaginationLogNormal,
        Self::PaginationPareto,
        Self::PaginationUniform,
        Self::DivideSmall,
        Self::DivideDeep,
        Self::DivideWide,
        Self::Saga,
        Self::PingPong,
        Self::SdkRetries,
        Self::Redelivery,
        Self::AsyncRetries,
        Self::WorkflowPoll,
        Self::Cron,
        Self::PrefixFiltered,
        Self::DeadLetterRedrive,
        Self::Diamond,
        Self::SharedLogger,
    ];

    /// What is to be said about it.
    pub fn verdict(self) -> Verdict {
        if self <= Self::Telemetry {
            Verdict::Runaway
        } else if self < Self::SdkRetries {
            Verdict::Bounded
        } else {
            Verdict::Control
        }
    }

    /// True when its chains are not joined by causes, so that depth says nothing about it.
    pub fn is_without_chain(self) -> bool {
        matches!(self, Self::NoProgress | Self::Telemetry)
    }

    /// The name on the command line and in names of functions.
    pub fn word(self) -> &'static str {
        match self {
            Self::SelfInvoke => "self-invoke",
            Self::SelfQueue => "self-queue",
            Self::SelfBucket => "self-bucket",
            Self::SelfTable => "self-table",
            Self::CycleCall => "cycle-call",
            Self::CycleQueue => "cycle-queue",
            Self::CycleStorage => "cycle-storage",
            Self::CycleMixed => "cycle-mixed",
            Self::TwelveCycle => "twelve-cycle",
            Self::FanOutSlow => "fan-out-1.2",
            Self::FanOutTwo => "fan-out-2",
            Self::FanOutFive => "fan-out-5",
            Self::Leaky => "leaky-0.98",
            Self::AccumulatingSlow => "accumulating-0.1",
            Self::AccumulatingFast => "accumulating-1",
            Self::TenMinutes => "slow-10m",
            Self::Hour => "slow-1h",
            Self::Day => "slow-24h",
            Self::Hidden => "hidden",
            Self::Deployed => "deployed",
            Self::SyncRecursion => "sync-recursion",
            Self::Poison => "poison",
            Self::SelfTimer => "self-timer",
            Self::NoProgress => "no-progress",
            Self::Telemetry => "telemetry",
            Self::PaginationHalf => "pagination-0.5",
            Self::PaginationTwoThirds => "pagination-0.67",
            Self::PaginationMany => "pagination-0.8",
            Self::PaginationLong => "pagination-0.9",
            Self::PaginationLogNormal => "pagination-lognormal",
            Self::PaginationPareto => "pagination-pareto",
            Self::PaginationUniform => "pagination-uniform",
            Self::DivideSmall => "divide-2-4",
            Self::DivideDeep => "divide-2-10",
            Self::DivideWide => "divide-10-2",
            Self::Saga => "saga",
            Self::PingPong => "ping-pong",
            Self::SdkRetries => "sdk-retries",
            Self::Redelivery => "redelivery",
            Self::AsyncRetries => "async-retries",
            Self::WorkflowPoll => "workflow-poll",
            Self::Cron => "cron",
            Self::PrefixFiltered => "prefix-filtered",
            Self::DeadLetterRedrive => "dead-letter-redrive",
            Self::Diamond => "diamond",
            Self::SharedLogger => "shared-logger",
        }
    }

    /// The class with this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_stands_once_in_the_list_and_has_its_own_name() {
        assert!(Class::ALL.is_sorted_by(|a, b| a < b));
        assert!(Class::ALL.iter().all(|class| Class::named(class.word()) == Some(*class)));
    }
}
