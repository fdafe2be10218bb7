//! What functions share: queues, topics, buckets, tables, schedules.

use std::sync::Arc;

use crate::{snapshot::NodeId, state::state};

/// A queue, topic, bucket, table or schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceNode {
    /// Persistent identity.
    pub id: NodeId,
    /// The name people know it by.
    pub name: Arc<str>,
    /// What it is.
    pub kind: ResourceKind,
    /// The system that provides it, or an empty text.
    pub system: Arc<str>,
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// Messages for one reader.
    Queue,
    /// Messages for many readers.
    Topic,
    /// Objects.
    Bucket,
    /// Rows of one collection.
    Table,
    /// A database whose collections are not named.
    Database,
    /// A clock that triggers.
    Schedule,
}

impl ResourceKind {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
            Self::Bucket => "bucket",
            Self::Table => "table",
            Self::Database => "database",
            Self::Schedule => "schedule",
        }
    }
}

state!(ResourceNode { id, name, kind, system });
state!(
    enum ResourceKind {
        Queue,
        Topic,
        Bucket,
        Table,
        Database,
        Schedule,
    }
);
