//! What each platform says of its functions, and which function that is: the table of `docs/identity.md`.
//!
//! The ways of one group tell of one function, and no two groups of the same one. Who says what was read off the
//! exporters, layers and resource detectors in 2026. Names that change while the engine runs are `engine/names.rs`'s.

use std::{fmt::Write as _, fs, path::Path};

use super::{Function, Resource, function_named_by, tests::attributes};
use crate::span::SpanKind;

type Pairs = &'static [(&'static str, &'static str)];

/// One function, as it may be told of.
struct Group {
    /// What it is.
    title: &'static str,
    /// Its name.
    name: &'static str,
    ways: &'static [Way],
}

/// One way to tell of it.
struct Way {
    who: &'static str,
    resource: Pairs,
    kind: SpanKind,
    span_name: &'static str,
    span: Pairs,
    platform: &'static str,
}

const fn resource(who: &'static str, platform: &'static str, resource: Pairs) -> Way {
    Way { who, resource, kind: SpanKind::Server, span_name: "run", span: &[], platform }
}

const fn span(who: &'static str, platform: &'static str, resource: Pairs, span_name: &'static str, span: Pairs) -> Way {
    Way { who, resource, kind: SpanKind::Server, span_name, span, platform }
}

const SITE: &str = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Web/sites/shop";

const GROUPS: &[Group] = &[
    Group {
        title: "AWS Lambda",
        name: "resize",
        ways: &[
            resource(
                "ARN of the function",
                "aws_lambda",
                &[("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:resize")],
            ),
            resource(
                "ARN with a version or an alias",
                "aws.lambda",
                &[
                    ("cloud.platform", "aws.lambda"),
                    ("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:resize:live"),
                ],
            ),
            resource(
                "ARN under its old key",
                "aws_lambda",
                &[("faas.id", "arn:aws:lambda:eu-west-1:123456789012:function:resize:7"), ("service.name", "images")],
            ),
            span(
                "ARN on the span of the run, as the instrumentations do",
                "aws_lambda",
                &[("service.name", "images"), ("cloud.platform", "aws_lambda")],
                "resize",
                &[("aws.lambda.invoked_arn", "arn:aws:lambda:eu-west-1:123456789012:function:resize:live")],
            ),
            resource(
                "name, region and account",
                "aws_lambda",
                &[
                    ("faas.name", "resize"),
                    ("cloud.provider", "aws"),
                    ("cloud.platform", "aws_lambda"),
                    ("cloud.region", "eu-west-1"),
                    ("cloud.account.id", "123456789012"),
                    ("service.name", "images"),
                ],
            ),
            resource(
                "name and region, as the resource detectors do",
                "aws_lambda",
                &[
                    ("faas.name", "resize"),
                    ("cloud.provider", "aws"),
                    ("cloud.platform", "aws_lambda"),
                    ("cloud.region", "eu-west-1"),
                    ("faas.version", "$LATEST"),
                    ("faas.instance", "2026/08/01/[$LATEST]abc"),
                ],
            ),
            resource(
                "log group",
                "aws_lambda",
                &[
                    ("aws.log.group.names", "/aws/lambda/resize"),
                    ("cloud.platform", "aws_lambda"),
                    ("cloud.region", "eu-west-1"),
                ],
            ),
            resource(
                "service name on the platform",
                "aws_lambda",
                &[("service.name", "resize"), ("cloud.platform", "aws_lambda"), ("cloud.region", "eu-west-1")],
            ),
            span(
                "server span on the platform, where nothing else has a name",
                "aws_lambda",
                &[("service.name", "unknown_service:node"), ("cloud.platform", "aws_lambda")],
                "resize",
                &[],
            ),
        ],
    },
    Group {
        title: "AWS Lambda, the same name in another region",
        name: "resize",
        ways: &[
            resource(
                "ARN of the function",
                "aws_lambda",
                &[("cloud.resource_id", "arn:aws:lambda:us-east-1:123456789012:function:resize")],
            ),
            resource(
                "name, region and account",
                "function",
                &[
                    ("faas.name", "resize"),
                    ("cloud.provider", "aws"),
                    ("cloud.region", "us-east-1"),
                    ("cloud.account.id", "123456789012"),
                ],
            ),
        ],
    },
    Group {
        title: "AWS, a container that is no function",
        name: "checkout",
        ways: &[resource(
            "ECS: an ARN, and none of Lambda's",
            "aws_ecs",
            &[
                ("cloud.platform", "aws_ecs"),
                ("cloud.resource_id", "arn:aws:ecs:eu-west-1:123456789012:task/1"),
                ("service.name", "checkout"),
            ],
        )],
    },
    Group {
        title: "Azure Functions: a function of an app",
        name: "Order",
        ways: &[
            span(
                "worker: id of the function",
                "azure_functions",
                &[("service.name", "shop"), ("cloud.platform", "azure_functions")],
                "function Order",
                &[(
                    "cloud.resource_id",
                    "/subscriptions/1/resourceGroups/g/providers/Microsoft.Web/sites/shop/functions/Order",
                )],
            ),
            span(
                "worker: name of the function, behind the app's",
                "azure_functions",
                &[("service.name", "Shop"), ("cloud.platform", "azure_functions")],
                "x",
                &[("faas.name", "Shop/Order")],
            ),
            span(
                "worker: bare name of the function",
                "azure.functions",
                &[("service.name", "shop"), ("cloud.platform", "azure.functions"), ("cloud.resource_id", SITE)],
                "x",
                &[("faas.name", "Order")],
            ),
            span(
                "worker: name of the span",
                "azure_functions",
                &[("service.name", "shop"), ("cloud.platform", "azure_functions")],
                "function Order",
                &[],
            ),
            span(
                "host: route of the request",
                "azure_functions",
                &[("service.name", "shop"), ("cloud.platform", "azure_functions"), ("cloud.resource_id", SITE)],
                "POST",
                &[("http.route", "/api/Order"), ("faas.trigger", "http")],
            ),
        ],
    },
    Group {
        title: "Azure Functions: another function of the app",
        name: "Refund",
        ways: &[span(
            "worker: name of the span",
            "azure_functions",
            &[("service.name", "shop"), ("cloud.platform", "azure_functions")],
            "function Refund",
            &[],
        )],
    },
    Group {
        title: "Azure Functions: an app, where nothing names the function",
        name: "shop",
        ways: &[
            resource(
                "host: site",
                "azure_functions",
                &[("service.name", "shop"), ("cloud.platform", "azure_functions"), ("cloud.resource_id", SITE)],
            ),
            resource(
                "host: service name",
                "azure_functions",
                &[("service.name", "shop"), ("cloud.platform", "azure_functions")],
            ),
        ],
    },
    Group {
        title: "Azure, a service that is no function",
        name: "shop",
        ways: &[
            span(
                "AKS: a route is no function there",
                "azure_aks",
                &[("service.name", "shop"), ("cloud.platform", "azure_aks")],
                "POST",
                &[("http.route", "/api/Order")],
            ),
            span(
                "App Service: a site without functions",
                "azure_app_service",
                &[("service.name", "shop"), ("cloud.platform", "azure_app_service"), ("cloud.resource_id", SITE)],
                "POST",
                &[("http.route", "/api/Order")],
            ),
        ],
    },
    Group {
        title: "Google Cloud Run, and its functions",
        name: "thumbnail",
        ways: &[
            resource(
                "URI",
                "gcp_cloud_run",
                &[("cloud.resource_id", "//run.googleapis.com/projects/p1/locations/europe-west1/services/thumbnail")],
            ),
            resource(
                "URI of a function",
                "gcp_cloud_functions",
                &[
                    (
                        "cloud.resource_id",
                        "//cloudfunctions.googleapis.com/projects/p1/locations/europe-west1/functions/thumbnail",
                    ),
                    ("cloud.platform", "gcp_cloud_functions"),
                ],
            ),
            resource(
                "name, project and region, as the resource detector does",
                "gcp_cloud_run",
                &[
                    ("faas.name", "thumbnail"),
                    ("faas.version", "thumbnail-00002"),
                    ("cloud.provider", "gcp"),
                    ("cloud.platform", "gcp_cloud_run"),
                    ("cloud.account.id", "p1"),
                    ("cloud.region", "europe-west1"),
                    ("service.name", "images"),
                ],
            ),
            resource(
                "service name on the platform",
                "gcp_cloud_run",
                &[
                    ("service.name", "thumbnail"),
                    ("cloud.platform", "gcp_cloud_run"),
                    ("cloud.account.id", "p1"),
                    ("cloud.region", "europe-west1"),
                ],
            ),
        ],
    },
    Group {
        title: "Cloudflare Workers",
        name: "edge",
        ways: &[
            resource(
                "script",
                "cloudflare.workers",
                &[
                    ("cloudflare.script_name", "edge"),
                    ("cloud.provider", "cloudflare"),
                    ("cloud.platform", "cloudflare.workers"),
                    ("faas.name", "edge"),
                    ("cloud.region", "AMS"),
                ],
            ),
            resource(
                "name, wherever it runs",
                "cloudflare.workers",
                &[("faas.name", "edge"), ("cloud.provider", "cloudflare"), ("cloud.region", "FRA")],
            ),
            resource(
                "service name, of Cloudflare's own exporter",
                "cloudflare.workers",
                &[("service.name", "edge"), ("telemetry.sdk.name", "cloudflare")],
            ),
            span(
                "script on the span",
                "cloudflare.workers",
                &[("service.name", "gateway")],
                "fetch",
                &[("cloudflare.script_name", "edge")],
            ),
        ],
    },
    Group {
        title: "Knative, OpenFaaS, Fission: a function of a namespace",
        name: "invoice",
        ways: &[
            resource("name and namespace", "function", &[("faas.name", "invoice"), ("k8s.namespace.name", "billing")]),
            resource(
                "name and namespace, with a service name beside",
                "function",
                &[("faas.name", "invoice"), ("k8s.namespace.name", "billing"), ("service.name", "user-container")],
            ),
        ],
    },
    Group {
        title: "Knative: the same name in another namespace",
        name: "invoice",
        ways: &[resource(
            "name and namespace",
            "function",
            &[("faas.name", "invoice"), ("k8s.namespace.name", "staging")],
        )],
    },
    Group {
        title: "Knative in Google's cluster: the project does not stand for the namespace",
        name: "invoice",
        ways: &[resource(
            "name, project, region and namespace",
            "gcp_kubernetes_engine",
            &[
                ("faas.name", "invoice"),
                ("cloud.platform", "gcp_kubernetes_engine"),
                ("cloud.provider", "gcp"),
                ("cloud.account.id", "p1"),
                ("cloud.region", "europe-west1"),
                ("k8s.namespace.name", "billing"),
            ],
        )],
    },
    Group {
        title: "A plain SDK",
        name: "checkout",
        ways: &[
            resource(
                "namespace and service",
                "service",
                &[("service.name", "checkout"), ("service.namespace", "shop")],
            ),
            resource(
                "whichever instance, version and host",
                "service",
                &[
                    ("service.name", "checkout"),
                    ("service.namespace", "shop"),
                    ("service.instance.id", "7f"),
                    ("service.version", "2"),
                    ("host.name", "a"),
                ],
            ),
            resource(
                "namespace of Kubernetes, where the service has none",
                "service",
                &[("service.name", "checkout"), ("k8s.namespace.name", "shop")],
            ),
        ],
    },
    Group {
        title: "A plain SDK in another environment",
        name: "checkout",
        ways: &[
            resource(
                "environment",
                "service",
                &[
                    ("service.name", "checkout"),
                    ("service.namespace", "shop"),
                    ("deployment.environment.name", "staging"),
                ],
            ),
            resource(
                "environment under its old key",
                "service",
                &[("service.name", "checkout"), ("service.namespace", "shop"), ("deployment.environment", "staging")],
            ),
        ],
    },
    Group {
        title: "A plain SDK without a name",
        name: "unknown_service:node",
        ways: &[
            resource(
                "instance",
                "service",
                &[("service.name", "unknown_service:node"), ("service.instance.id", "7f"), ("host.name", "a")],
            ),
            resource(
                "instance, on any host",
                "service",
                &[("service.name", "unknown_service:node"), ("service.instance.id", "7f"), ("host.name", "b")],
            ),
        ],
    },
    Group {
        title: "A plain SDK without a name, elsewhere",
        name: "unknown_service:node",
        ways: &[resource(
            "host, where no instance is given",
            "service",
            &[("service.name", "unknown_service:node"), ("host.name", "b")],
        )],
    },
    Group {
        title: "Nothing at all",
        name: "unknown_service",
        ways: &[
            resource("an empty resource", "service", &[]),
            resource("an empty name", "service", &[("service.name", "")]),
        ],
    },
    Group {
        title: "A browser",
        name: "storefront",
        ways: &[
            resource(
                "service name and language",
                "browser",
                &[("service.name", "storefront"), ("telemetry.sdk.language", "webjs")],
            ),
            resource(
                "service name and what the browser says of itself",
                "browser",
                &[("service.name", "storefront"), ("browser.platform", "Linux")],
            ),
        ],
    },
];

impl Way {
    fn function(&self) -> Function {
        let resource = Resource::new(attributes(self.resource));
        (*function_named_by(&resource, self.kind, self.span_name, &attributes(self.span))).clone()
    }
}

/// True where the linker may take them for one: one is known by what is told of the other.
fn are_one(a: &Function, b: &Function) -> bool {
    a.id == b.id || a.also.contains(&b.id) || b.also.contains(&a.id)
}

#[test]
fn each_way_names_its_function_and_no_other() {
    let told: Vec<Vec<Function>> = GROUPS.iter().map(|group| group.ways.iter().map(Way::function).collect()).collect();
    for (group, functions) in GROUPS.iter().zip(&told) {
        for (way, function) in group.ways.iter().zip(functions) {
            let said = (&*function.name, &*function.platform);
            assert_eq!(said, (group.name, way.platform), "{}: {}", group.title, way.who);
            // What tells most comes first.
            assert!(are_one(&functions[0], function), "{}: {}: {function:?}", group.title, way.who);
        }
    }
    for (at, one) in told.iter().enumerate() {
        for (other_at, other) in told.iter().enumerate().skip(at + 1) {
            let titles = (GROUPS[at].title, GROUPS[other_at].title);
            assert!(!are_one(&one[0], &other[0]), "{titles:?} are one");
        }
    }
}

const HEAD: &str = "# Which function a span is of

Generated by `UPDATE_GENERATED=1 cargo test -p loopscope-analyzer cases`, which tries every row; do not edit.

A function is known by what its exporter says of it, in the order of these tables: the most telling comes first. All ways of
one table are one function on the map, in whichever order they come; its other ids are its `aliases`. Version, alias and
instance are never part of what it is, and the environment (`deployment.environment.name`) always is. Inner spans of a
process that do not name their function take the name of the span above or below them that does. The host and the worker of
an Azure function write a span each of one run; they count as one.
";

fn table() -> String {
    let mut text = HEAD.to_owned();
    let list = |pairs: Pairs| {
        let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("`{key}={value}`")).collect();
        pairs.join(" ")
    };
    for Group { title, name, ways } in GROUPS {
        write!(text, "\n## {title}: `{name}`\n\n| told by | resource | span | platform |\n|---|---|---|---|\n")
            .unwrap();
        for Way { who, resource, span_name, span, platform, .. } in *ways {
            let name = if *span_name == "run" { String::new() } else { format!("\"{span_name}\" ") };
            let span = format!("{name}{}", list(span));
            writeln!(text, "| {who} | {} | {} | `{platform}` |", list(resource), span.trim()).unwrap();
        }
    }
    text
}

#[test]
fn the_table_of_the_docs_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/identity.md");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, table()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == table(), "docs/identity.md is old: UPDATE_GENERATED=1 cargo test -p loopscope-analyzer cases");
}
