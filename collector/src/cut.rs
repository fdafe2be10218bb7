//! Where a loop is cut with the least harm, and how.
//!
//! A loop stops when any edge of its lap goes. Cheapest is the one whose loss harms least and is undone soonest: a
//! trigger that can be switched off and on again, before one that has to be removed, before a function that may not run
//! at all. Commands are texts for people; nothing here runs anything. Names come from telemetry, so each is quoted for
//! a shell and cannot become an option.

use loopscope_analyzer::snapshot::ResourceKind;
use loopscope_proto::v1;

/// A node of a lap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop<'a> {
    /// Its id.
    pub id: &'a str,
    /// The name people know it by.
    pub name: &'a str,
    /// What it is.
    pub kind: StopKind<'a>,
}

/// What a node of a lap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind<'a> {
    /// A function, with what runs it.
    Function(&'a str),
    /// A resource, with the system that provides it.
    Resource(ResourceKind, &'a str),
}

/// What has to be done to an edge, the least harmful first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    /// Switch off what lets a queue, a stream or a clock trigger a function.
    Disable,
    /// End a subscription, or remove a notification.
    Remove,
    /// Allow a function no instances.
    Forbid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    Aws,
    Gcp,
    Azure,
    Cloudflare,
}

/// The edge to cut in a lap whose first node follows its last; `None` for a lap without functions.
pub fn advise(lap: &[Stop<'_>]) -> Option<v1::CutAdvice> {
    let following = (0..lap.len()).map(|place| (&lap[place], &lap[(place + 1) % lap.len()]));
    let possible = following.filter_map(|(from, to)| Some((cut_of(from, to)?, from, to)));
    let (cut, from, to) = possible.min_by_key(|(cut, ..)| *cut)?;
    Some(v1::CutAdvice {
        source: from.id.to_owned(),
        target: to.id.to_owned(),
        why: why(cut, from, to),
        commands: clouds(from, to).into_iter().flat_map(|cloud| commands(cloud, cut, from, to)).collect(),
    })
}

/// How the edge is cut; what leads to a resource is not, because that would need a change of the program or of rights.
fn cut_of(from: &Stop<'_>, to: &Stop<'_>) -> Option<Cut> {
    match (from.kind, to.kind) {
        (_, StopKind::Resource(..)) => None,
        (StopKind::Resource(ResourceKind::Topic, system), _) if is_stream(system) => Some(Cut::Disable),
        (StopKind::Resource(ResourceKind::Topic | ResourceKind::Bucket, _), _) => Some(Cut::Remove),
        (StopKind::Resource(..), _) => Some(Cut::Disable),
        (StopKind::Function(_), StopKind::Function(_)) => Some(Cut::Forbid),
    }
}

/// Streams are read by their functions, so that reading them can be switched off.
fn is_stream(system: &str) -> bool {
    let system = system.to_ascii_lowercase();
    ["kinesis", "kafka", "eventhubs"].iter().any(|word| system.contains(word))
}

fn why(cut: Cut, from: &Stop<'_>, to: &Stop<'_>) -> String {
    let (source, target) = (plain(from.name), plain(to.name));
    match (cut, from.kind) {
        (Cut::Disable, StopKind::Resource(ResourceKind::Schedule, _)) => {
            format!("Switching off the schedule {source} stops the loop; {target} goes on with its other triggers.")
        }
        (Cut::Disable, _) => format!(
            "Switching off what lets {source} trigger {target} stops the loop; what {source} holds stays there, and \
             {target} goes on with its other triggers."
        ),
        (Cut::Remove, StopKind::Resource(ResourceKind::Bucket, _)) => format!(
            "Removing the notification from {source} to {target} stops the loop; objects that are written meanwhile \
             stay unhandled."
        ),
        (Cut::Remove, _) => format!(
            "Ending the subscription of {target} to {source} stops the loop; what is published meanwhile does not reach \
             {target}."
        ),
        (Cut::Forbid, _) => format!(
            "Nothing that could be switched off stands between {source} and {target}; allowing {target} no instances \
             stops the loop, and all else that {target} does."
        ),
    }
}

/// The clouds that the edge may be in: all of them when neither end says.
fn clouds(from: &Stop<'_>, to: &Stop<'_>) -> Vec<Cloud> {
    let word = |stop: &Stop<'_>| match stop.kind {
        StopKind::Function(platform) => platform.to_ascii_lowercase(),
        StopKind::Resource(_, system) => system.to_ascii_lowercase(),
    };
    let all = [Cloud::Aws, Cloud::Gcp, Cloud::Azure, Cloud::Cloudflare];
    for word in [word(to), word(from)] {
        if let Some(cloud) = all.into_iter().find(|cloud| cloud.signs().iter().any(|sign| word.contains(sign))) {
            return vec![cloud];
        }
    }
    all.to_vec()
}

fn commands(cloud: Cloud, cut: Cut, from: &Stop<'_>, to: &Stop<'_>) -> Vec<v1::CutCommand> {
    let texts = match cloud {
        Cloud::Aws => aws(cut, from, to),
        Cloud::Gcp => gcp(cut, from, to),
        Cloud::Azure => azure(to),
        Cloud::Cloudflare => cloudflare(cut, from, to),
    };
    texts.into_iter().map(|text| v1::CutCommand { cloud: cloud.word().to_owned(), text }).collect()
}

fn aws(cut: Cut, from: &Stop<'_>, to: &Stop<'_>) -> Vec<String> {
    let (source, function) = (quoted(from.name), quoted(to.name));
    match (cut, from.kind) {
        (Cut::Disable, StopKind::Resource(ResourceKind::Schedule, _)) => {
            vec!["aws events disable-rule --name='<rule>'".to_owned()]
        }
        (Cut::Disable, _) => vec![
            format!("aws lambda list-event-source-mappings --function-name={function}"),
            "aws lambda update-event-source-mapping --no-enabled --uuid='<uuid>'".to_owned(),
        ],
        (Cut::Remove, StopKind::Resource(ResourceKind::Bucket, _)) => vec![
            format!("aws s3api get-bucket-notification-configuration --bucket={source} > notifications.json"),
            format!(
                "aws s3api put-bucket-notification-configuration --bucket={source} --notification-configuration='{{}}' # removes all; the file keeps them"
            ),
        ],
        (Cut::Remove, _) => vec![
            format!(
                "aws sns list-subscriptions --query=\"Subscriptions[].[TopicArn,Endpoint,SubscriptionArn]\" --output=text | grep -F -e {function}"
            ),
            "aws sns unsubscribe --subscription-arn='<subscription-arn>'".to_owned(),
        ],
        (Cut::Forbid, _) => {
            vec![format!(
                "aws lambda put-function-concurrency --reserved-concurrent-executions=0 --function-name={function}"
            )]
        }
    }
}

fn gcp(cut: Cut, from: &Stop<'_>, to: &Stop<'_>) -> Vec<String> {
    let (source, function) = (quoted(from.name), quoted(to.name));
    match (cut, from.kind) {
        (Cut::Disable, StopKind::Resource(ResourceKind::Schedule, _)) => {
            vec!["gcloud scheduler jobs pause '<job>' --location='<region>'".to_owned()]
        }
        (Cut::Disable, StopKind::Resource(ResourceKind::Queue, _)) => {
            vec![format!("gcloud tasks queues pause --location='<region>' -- {source}")]
        }
        (Cut::Disable | Cut::Remove, _) => vec![
            format!("gcloud eventarc triggers list --format='value(name,destination)' | grep -F -e {function}"),
            "gcloud eventarc triggers delete '<trigger>' --location='<region>'".to_owned(),
        ],
        (Cut::Forbid, _) => vec![
            format!("gcloud run services get-iam-policy --region='<region>' -- {function}"),
            format!(
                "gcloud run services remove-iam-policy-binding --region='<region>' --role=roles/run.invoker \
                 --member='<caller>' -- {function}"
            ),
        ],
    }
}

/// A function of an app is switched off by a setting of the app, whatever triggers it.
fn azure(to: &Stop<'_>) -> Vec<String> {
    let setting = quoted(&format!("AzureWebJobs.{}.Disabled=true", to.name));
    vec![format!(
        "az functionapp config appsettings set --resource-group='<group>' --name='<app>' --settings {setting}"
    )]
}

fn cloudflare(cut: Cut, from: &Stop<'_>, to: &Stop<'_>) -> Vec<String> {
    let (source, function) = (quoted(from.name), quoted(to.name));
    match (cut, from.kind) {
        (Cut::Disable | Cut::Remove, StopKind::Resource(ResourceKind::Queue, _)) => {
            vec![format!("npx wrangler queues pause-delivery -- {source}")]
        }
        _ => vec![format!("npx wrangler rollback --name={function}")],
    }
}

impl Cloud {
    fn word(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
            Self::Cloudflare => "cloudflare",
        }
    }

    /// What stands in the names of its platforms and systems.
    fn signs(self) -> &'static [&'static str] {
        match self {
            Self::Aws => &["aws", "lambda", "sqs", "dynamodb"],
            Self::Gcp => &["gcp", "google", "firestore", "pubsub"],
            Self::Azure => &["azure", "servicebus", "cosmosdb", "eventgrid", "eventhubs"],
            Self::Cloudflare => &["cloudflare", "workers"],
        }
    }
}

/// A name without what could move a cursor or begin a new line.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// A name as one word of a shell.
fn quoted(name: &str) -> String {
    format!("'{}'", plain(name).replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn function<'a>(name: &'a str, platform: &'a str) -> Stop<'a> {
        Stop { id: name, name, kind: StopKind::Function(platform) }
    }

    fn resource<'a>(name: &'a str, kind: ResourceKind, system: &'a str) -> Stop<'a> {
        Stop { id: name, name, kind: StopKind::Resource(kind, system) }
    }

    #[track_caller]
    fn check(lap: &[Stop<'_>], expected: Expect) {
        let advice = advise(lap).unwrap();
        let mut text = format!("{} -> {}: {}\n", advice.source, advice.target, advice.why);
        for command in advice.commands {
            text += &format!("{}: {}\n", command.cloud, command.text);
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn a_trigger_that_can_be_switched_off_goes_first() {
        check(
            &[
                function("resize", "aws_lambda"),
                resource("images", ResourceKind::Bucket, "aws.s3"),
                function("index", "aws_lambda"),
                resource("jobs", ResourceKind::Queue, "aws_sqs"),
            ],
            expect![[r#"
                jobs -> resize: Switching off what lets jobs trigger resize stops the loop; what jobs holds stays there, and resize goes on with its other triggers.
                aws: aws lambda list-event-source-mappings --function-name='resize'
                aws: aws lambda update-event-source-mapping --no-enabled --uuid='<uuid>'
            "#]],
        );
    }

    #[test]
    fn a_bucket_loses_its_notification() {
        check(
            &[function("thumbnail", "aws_lambda"), resource("images", ResourceKind::Bucket, "aws.s3")],
            expect![[r#"
                images -> thumbnail: Removing the notification from images to thumbnail stops the loop; objects that are written meanwhile stay unhandled.
                aws: aws s3api get-bucket-notification-configuration --bucket='images' > notifications.json
                aws: aws s3api put-bucket-notification-configuration --bucket='images' --notification-configuration='{}' # removes all; the file keeps them
            "#]],
        );
    }

    #[test]
    fn a_topic_loses_its_subscription() {
        check(
            &[function("f", "aws_lambda"), resource("t", ResourceKind::Topic, "aws.sns")],
            expect![[r#"
            t -> f: Ending the subscription of f to t stops the loop; what is published meanwhile does not reach f.
            aws: aws sns list-subscriptions --query="Subscriptions[].[TopicArn,Endpoint,SubscriptionArn]" --output=text | grep -F -e 'f'
            aws: aws sns unsubscribe --subscription-arn='<subscription-arn>'
        "#]],
        );
        check(
            &[function("f", "gcp_cloud_run"), resource("t", ResourceKind::Topic, "gcp_pubsub")],
            expect![[r#"
            t -> f: Ending the subscription of f to t stops the loop; what is published meanwhile does not reach f.
            gcp: gcloud eventarc triggers list --format='value(name,destination)' | grep -F -e 'f'
            gcp: gcloud eventarc triggers delete '<trigger>' --location='<region>'
        "#]],
        );
    }

    #[test]
    fn without_a_trigger_the_function_may_not_run() {
        check(
            &[function("f", "aws_lambda")],
            expect![[r#"
            f -> f: Nothing that could be switched off stands between f and f; allowing f no instances stops the loop, and all else that f does.
            aws: aws lambda put-function-concurrency --reserved-concurrent-executions=0 --function-name='f'
        "#]],
        );
        check(
            &[function("a", "azure_functions"), function("b", "azure_functions")],
            expect![[r#"
            a -> b: Nothing that could be switched off stands between a and b; allowing b no instances stops the loop, and all else that b does.
            azure: az functionapp config appsettings set --resource-group='<group>' --name='<app>' --settings 'AzureWebJobs.b.Disabled=true'
        "#]],
        );
        check(
            &[function("w", "cloudflare_workers")],
            expect![[r#"
            w -> w: Nothing that could be switched off stands between w and w; allowing w no instances stops the loop, and all else that w does.
            cloudflare: npx wrangler rollback --name='w'
        "#]],
        );
    }

    #[test]
    fn where_the_cloud_is_not_known_all_are_told() {
        check(
            &[function("f", "service"), resource("q", ResourceKind::Queue, "rabbitmq")],
            expect![[r#"
                q -> f: Switching off what lets q trigger f stops the loop; what q holds stays there, and f goes on with its other triggers.
                aws: aws lambda list-event-source-mappings --function-name='f'
                aws: aws lambda update-event-source-mapping --no-enabled --uuid='<uuid>'
                gcp: gcloud tasks queues pause --location='<region>' -- 'q'
                azure: az functionapp config appsettings set --resource-group='<group>' --name='<app>' --settings 'AzureWebJobs.f.Disabled=true'
                cloudflare: npx wrangler queues pause-delivery -- 'q'
            "#]],
        );
    }

    #[test]
    fn names_from_outside_stay_words() {
        let advice = advise(&[function("f'; rm -rf ~ #\n\u{1b}[2J", "aws_lambda")]).unwrap();
        let text = &advice.commands[0].text;
        assert!(text.ends_with(r"--function-name='f'\''; rm -rf ~ #??[2J'"), "{text}");
        assert!(!advice.why.contains('\n'));
        let option = advise(&[function("--region", "aws_lambda")]).unwrap();
        assert!(option.commands[0].text.ends_with("--function-name='--region'"));
        assert_eq!(advise(&[]), None);
    }
}
