//! Whether the platform would stop a loop by itself, and at which hop it would lose sight of it.
//!
//! AWS Lambda counts the invocations of a function along a chain of requests and drops the next one after about 16. It
//! follows a chain over direct invocations, SQS, SNS and S3 only; everything else, such as DynamoDB streams, EventBridge
//! or plain HTTP, starts the count anew. Cloudflare counts calls from Worker to Worker, and nothing else. A hop that is
//! covered may still escape: the count travels in a header that tracing can overwrite, and owners can switch it off.

use crate::snapshot::{NodeId, PlatformGuard};

/// Invocations of one function on one chain after which the platform drops the next.
const STOPS_AT: u32 = 16;

/// A node of a lap.
pub(crate) enum Stop<'a> {
    /// A function.
    Function {
        /// Which.
        id: NodeId,
        /// What runs it.
        platform: &'a str,
        /// True when it calls the next function of the lap rather than sends it something.
        calls_next: bool,
    },
    /// What carries the cause from one function to the next.
    Resource {
        /// Which.
        id: NodeId,
        /// The system that provides it.
        system: &'a str,
    },
}

/// What the platform's guard sees of a lap, the first node following the last; `None` where the first function's
/// platform has no guard.
pub(crate) fn guard(lap: &[Stop<'_>]) -> Option<PlatformGuard> {
    let name = lap.iter().find_map(|stop| match stop {
        Stop::Function { platform, .. } => Some(guard_of(platform)),
        Stop::Resource { .. } => None,
    })??;
    let following = (0..lap.len()).map(|place| (&lap[place], &lap[(place + 1) % lap.len()]));
    let uncovered =
        following.filter(|(from, to)| !is_covered(name, from, to)).map(|(from, to)| (from.id(), to.id())).next();
    let stops_at = uncovered.is_none().then_some(STOPS_AT);
    Some(PlatformGuard { name, stops_at, uncovered })
}

fn guard_of(platform: &str) -> Option<&'static str> {
    match platform {
        "aws_lambda" => Some("aws_lambda"),
        "cloudflare_workers" | "cloudflare.workers" | "cloudflare" => Some("cloudflare_workers"),
        _ => None,
    }
}

fn is_covered(guard: &str, from: &Stop<'_>, to: &Stop<'_>) -> bool {
    let same_platform = |platform: &str| guard_of(platform) == Some(guard);
    match (from, to) {
        (Stop::Function { platform: from, calls_next, .. }, Stop::Function { platform: to, .. }) => {
            same_platform(from) && same_platform(to) && *calls_next
        }
        (Stop::Function { platform, .. }, Stop::Resource { system, .. })
        | (Stop::Resource { system, .. }, Stop::Function { platform, .. }) => {
            same_platform(platform) && guard == "aws_lambda" && is_covered_service(system)
        }
        (Stop::Resource { .. }, Stop::Resource { .. }) => false,
    }
}

fn is_covered_service(system: &str) -> bool {
    let system = system.to_ascii_lowercase();
    ["sqs", "sns", "s3"]
        .iter()
        .any(|service| system.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word.ends_with(service)))
}

impl Stop<'_> {
    fn id(&self) -> NodeId {
        match self {
            Self::Function { id, .. } | Self::Resource { id, .. } => *id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(id: u64, platform: &str, calls_next: bool) -> Stop<'_> {
        Stop::Function { id: NodeId(id), platform, calls_next }
    }

    fn resource(id: u64, system: &str) -> Stop<'_> {
        Stop::Resource { id: NodeId(id), system }
    }

    #[track_caller]
    fn check(lap: &[Stop<'_>], uncovered: Option<(u64, u64)>) {
        let found = guard(lap).unwrap();
        assert_eq!(found.uncovered, uncovered.map(|(from, to)| (NodeId(from), NodeId(to))));
        assert_eq!(found.stops_at, uncovered.is_none().then_some(16));
    }

    #[test]
    fn aws_follows_invocations_sqs_sns_and_s3() {
        check(&[function(1, "aws_lambda", true)], None);
        check(&[function(1, "aws_lambda", true), function(2, "aws_lambda", true)], None);
        for system in ["aws_sqs", "aws.s3", "aws.sns", "AmazonSQS"] {
            check(&[function(1, "aws_lambda", false), resource(2, system)], None);
        }
    }

    #[test]
    fn the_first_hop_that_is_not_followed_is_named() {
        check(&[function(1, "aws_lambda", false), resource(2, "aws.dynamodb")], Some((1, 2)));
        check(&[function(1, "aws_lambda", false)], Some((1, 1)));
        let mixed = [
            function(1, "aws_lambda", false),
            resource(2, "aws_sqs"),
            function(3, "aws_lambda", true),
            function(4, "gcp_cloud_run", true),
        ];
        check(&mixed, Some((3, 4)));
        check(&[function(1, "cloudflare_workers", false), resource(2, "cloudflare_queues")], Some((1, 2)));
        check(&[function(1, "cloudflare_workers", true)], None);
    }

    #[test]
    fn platforms_without_a_guard_have_none() {
        assert_eq!(guard(&[function(1, "gcp_cloud_run", true)]), None);
        assert_eq!(guard(&[]), None);
    }
}
