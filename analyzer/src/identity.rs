//! Which function a span belongs to, and its persistent id; what it touches is `identity/touch.rs`'s.
//!
//! A function is known by what its OTLP resource says, because all spans of an invocation share it. Where that is a
//! service or an app of several functions, the entry span may name the function; the other spans of the process do not,
//! and take the name from it (`shard/naming.rs`). Where less is told of a function at one time than at another, the ids
//! under which it may be known are kept with it, so that the linker can tell that they are one. Version, alias and
//! instance are never part of identity; the environment always is, so that the same name in two environments stays two
//! functions. What each platform says is the table of `identity/cases.rs`.

#[cfg(test)]
mod cases;
mod cloud_id;
mod touch;

use std::sync::Arc;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    attribute::{Attribute, Attributes, Value},
    facts::{InstanceId, memory_mb},
    snapshot::NodeId,
    span::{Span, SpanKind},
    state::state,
};

use cloud_id::{LambdaArn, gcp_parts, lambda_name, site_of};
pub use touch::{Touch, TouchedResource, touch_of};

/// The name of a function that gives none: the one that the OpenTelemetry SDKs fall back to.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// True for the name of a function that gives none.
pub fn is_unnamed(name: &str) -> bool {
    name.starts_with(UNKNOWN_SERVICE)
}

/// What ran a span: the known attributes of its OTLP resource, and the function they name.
#[derive(Debug)]
pub struct Resource {
    /// The known attributes.
    pub attributes: Attributes,
    /// Memory of its instances, MiB, where it says so.
    pub(crate) memory_mb: Option<u32>,
    function: Arc<Function>,
    is_named: bool,
    habitat: Habitat,
}

/// A node people deploy, in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Persistent id.
    pub id: NodeId,
    /// The name people know it by.
    pub name: Arc<str>,
    /// The environment, or an empty text.
    pub environment: Arc<str>,
    /// What runs it: the cloud platform, or `service` for a plain process.
    pub platform: Arc<str>,
    /// What the spans of the same process are known by that do not name the function themselves.
    pub app: Option<NodeId>,
    /// True for a process of several functions, none of which is named.
    pub is_app: bool,
    /// Ids under which the same function is known where less is told of it, the most telling first.
    pub also: SmallVec<[NodeId; 4]>,
}

impl Function {
    /// The id of [`Self::other`]. No span names it: the id of a function is a hash of its name.
    pub const OTHER: NodeId = NodeId(1);

    /// What functions are counted as which there is no room for.
    pub fn other() -> Self {
        Self {
            id: Self::OTHER,
            name: "other".into(),
            environment: "".into(),
            platform: "other".into(),
            app: None,
            is_app: false,
            also: SmallVec::new(),
        }
    }
}

impl Resource {
    /// Takes in the known attributes of an OTLP resource.
    pub fn new(attributes: Attributes) -> Arc<Self> {
        let function = Named { resource: &attributes, span: &Attributes::default(), span_name: "" }.function();
        let is_named = Named::has_function(&attributes) && !function.is_app;
        let memory_mb = attributes.number(Attribute::FaasMaxMemory).and_then(memory_mb);
        let habitat = Habitat::said_by(&attributes);
        Arc::new(Self { attributes, memory_mb, function: Arc::new(function), is_named, habitat })
    }

    /// Hash of the id of its instance, whose clock times its spans; 0 where none is named.
    pub(crate) fn instance(&self) -> u64 {
        self.habitat.instance.into()
    }

    /// The function that its own attributes name.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }
}

/// What a span or its resource says of the instance that ran it, and of what it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habitat {
    /// Hash of the instance; 0 when nothing is said of it.
    pub(crate) instance: u32,
    /// True where there are attributes that only functions have.
    pub(crate) is_faas: bool,
}

impl Habitat {
    /// What a span says, and its resource where the span says nothing.
    pub(crate) fn of(span: &Span) -> Self {
        let (own, all) = (Self::said_by(&span.attributes), span.resource.habitat);
        let instance = if all.instance != 0 { all.instance } else { own.instance };
        Self { instance, is_faas: own.is_faas || all.is_faas }
    }

    fn said_by(attributes: &Attributes) -> Self {
        let mut said = Self::default();
        for (attribute, value) in attributes.known() {
            match (attribute, value) {
                (Attribute::FaasInstance, Value::Text(id)) => {
                    said = Self { instance: InstanceId::of(id).0, is_faas: true };
                }
                (Attribute::ServiceInstanceId, Value::Text(id)) if said.instance == 0 => {
                    said.instance = InstanceId::of(id).0;
                }
                (
                    Attribute::FaasName
                    | Attribute::FaasInvocationId
                    | Attribute::FaasColdstart
                    | Attribute::FaasTrigger
                    | Attribute::LambdaInvokedArn
                    | Attribute::CloudflareScriptName,
                    _,
                ) => said.is_faas = true,
                _ => {}
            }
        }
        said
    }
}

/// The function that ran the span.
pub fn function_of(span: &Span) -> Arc<Function> {
    function_named_by(&span.resource, span.kind, &span.name, &span.attributes)
}

/// The function that a resource names together with the kind, the name and the attributes of one of its spans.
pub fn function_named_by(resource: &Resource, kind: SpanKind, span_name: &str, span: &Attributes) -> Arc<Function> {
    let own = &resource.function;
    let is_unnamed = is_unnamed(&own.name);
    // The conventions call the span of a run of Lambda by the function's name.
    let names_lambda = || is_unnamed && kind == SpanKind::Server && own.platform.ends_with("lambda");
    // What leaves a function may speak of the one that it calls.
    if resource.is_named || kind.is_outbound() && !is_unnamed {
        return Arc::clone(own);
    }
    let names_azure = || span_name.starts_with(AZURE_SPAN) || span.text(Attribute::HttpRoute).is_some();
    let span_has_name = Named::has_id(span)
        || (is_unnamed || own.is_app) && span.text(Attribute::FaasName).is_some()
        || own.is_app && names_azure()
        || names_lambda();
    if !span_has_name {
        return Arc::clone(own);
    }
    let mut function = Named { resource: &resource.attributes, span, span_name }.function();
    if function.id == own.id {
        return Arc::clone(own);
    }
    // Spans beside it that do not name the function are known by what the resource says.
    function.app = (!is_unnamed).then_some(own.id);
    Arc::new(function)
}

/// The function that a client span invokes, if it says so: by ARN, by name, or by name and alias.
pub fn invoked_by(span: &Span) -> Option<NodeId> {
    let name = span.attributes.text(Attribute::FaasInvokedName)?;
    let resource = &span.resource.attributes;
    let text = |own, callers| span.attributes.text(own).or_else(|| resource.text(callers)).unwrap_or_default();
    let environment = &span.resource.function.environment;
    let key = match LambdaArn::parse(name) {
        Some(arn) => cloud_key("aws", arn.account, arn.region, arn.name),
        None => {
            // A partial ARN is the account, the word "function" and the name.
            let (account, name) = match name.split_once(":function:") {
                Some((account, name)) => (account, lambda_name(name)),
                None => (resource.text(Attribute::CloudAccountId).unwrap_or_default(), lambda_name(name)),
            };
            let provider = text(Attribute::FaasInvokedProvider, Attribute::CloudProvider);
            let region = text(Attribute::FaasInvokedRegion, Attribute::CloudRegion);
            cloud_key(provider, account, region, name)
        }
    };
    Some(function_id(environment, &key))
}

/// How Azure's worker calls the span that runs a function.
const AZURE_SPAN: &str = "function ";

/// What may name a function: a resource, and one of its spans.
struct Named<'a> {
    resource: &'a Attributes,
    span: &'a Attributes,
    span_name: &'a str,
}

/// A function's key, which is hashed, and its name.
struct Identity<'a> {
    key: String,
    name: &'a str,
    platform: &'a str,
    is_app: bool,
    /// Keys under which it is known where less is told.
    also: Vec<String>,
}

impl<'a> Named<'a> {
    /// True when these attributes have an id that no two functions share.
    fn has_id(attributes: &Attributes) -> bool {
        let is_id = |id: &str| LambdaArn::parse(id).is_some() || site_of(id).1.is_some() || gcp_parts(id).is_some();
        let mut ids = [Attribute::CloudResourceId, Attribute::LambdaInvokedArn].into_iter();
        ids.any(|id| attributes.text(id).is_some_and(is_id))
            || attributes.text(Attribute::CloudflareScriptName).is_some()
    }

    /// True when these attributes say which function it is, and not only which service.
    fn has_function(attributes: &Attributes) -> bool {
        Self::has_id(attributes)
            || attributes.text(Attribute::FaasName).is_some()
            || attributes.text(Attribute::LogGroupNames).is_some_and(|group| group.starts_with(LOG_GROUP))
    }

    fn text(&self, attribute: Attribute) -> Option<&'a str> {
        self.resource.text(attribute).or_else(|| self.span.text(attribute))
    }

    fn function(&self) -> Function {
        let environment = self.text(Attribute::Environment).unwrap_or_default();
        let identity = self.identity();
        Function {
            id: function_id(environment, &identity.key),
            name: identity.name.into(),
            environment: environment.into(),
            platform: identity.platform.into(),
            app: None,
            is_app: identity.is_app,
            also: identity.also.iter().map(|key| function_id(environment, key)).collect(),
        }
    }

    fn identity(&self) -> Identity<'a> {
        let platform = self.text(Attribute::CloudPlatform);
        let ids = [Attribute::CloudResourceId, Attribute::LambdaInvokedArn];
        let mut ids = ids.into_iter().flat_map(|id| [self.span.text(id), self.resource.text(id)]).flatten();
        if let Some(arn) = ids.clone().find_map(LambdaArn::parse) {
            return Identity::of_cloud(platform.unwrap_or("aws_lambda"), "aws", arn.account, arn.region, arn.name);
        }
        // An id may be that of a site which holds no functions.
        let is_azure = platform.is_none_or(|platform| matches!(platform, "azure.functions" | "azure_functions"));
        let is_site = platform.is_some() || ids.clone().any(|id| site_of(id).0.is_some());
        if is_azure && is_site || ids.clone().any(|id| site_of(id).1.is_some()) {
            return self.azure(platform.unwrap_or("azure.functions"), ids.clone().map(site_of));
        }
        let is_cloudflare = self.text(Attribute::CloudProvider) == Some("cloudflare")
            || self.text(Attribute::SdkName) == Some("cloudflare")
            || self.text(Attribute::CloudflareScriptName).is_some();
        if is_cloudflare {
            // It runs at the edge: where is no part of what it is.
            let names = [Attribute::CloudflareScriptName, Attribute::FaasName, Attribute::ServiceName];
            let name = names.into_iter().find_map(|name| self.text(name)).unwrap_or(UNKNOWN_SERVICE);
            return Identity::of_cloud(platform.unwrap_or("cloudflare.workers"), "cloudflare", "", "", name);
        }
        if let Some((project, region, name)) = ids.find_map(gcp_parts) {
            return Identity::of_cloud(platform.unwrap_or("gcp_cloud_run"), "gcp", project, region, name);
        }
        let log_group = || self.text(Attribute::LogGroupNames)?.strip_prefix(LOG_GROUP);
        // A platform of functions that names none has a service for each, mostly.
        let service = || self.text(Attribute::ServiceName).filter(|name| !is_unnamed(name));
        let lambda_span = || Some(self.span_name).filter(|name| self.is_lambda() && !name.is_empty());
        let of_platform = || service().or_else(lambda_span).filter(|_| self.provider_of_functions().is_some());
        match self.text(Attribute::FaasName).map(lambda_name).or_else(log_group).or_else(of_platform) {
            Some(name) => self.named(platform.unwrap_or("function"), name),
            None => self.service(platform),
        }
    }

    /// Whose platform of functions it is, where the platform is one on which every service is a function.
    fn provider_of_functions(&self) -> Option<&'static str> {
        match self.text(Attribute::CloudPlatform)? {
            "aws_lambda" | "aws.lambda" => Some("aws"),
            "gcp_cloud_functions" | "gcp.cloud_functions" | "gcp_cloud_run" | "gcp.cloud_run" => Some("gcp"),
            "alibaba_cloud_fc" | "alibaba_cloud.fc" => Some("alibaba_cloud"),
            "tencent_cloud_scf" | "tencent_cloud.scf" => Some("tencent_cloud"),
            _ => None,
        }
    }

    fn is_lambda(&self) -> bool {
        self.text(Attribute::CloudPlatform).is_some_and(|platform| platform.ends_with("lambda"))
    }

    /// A function of which the cloud says the name, and perhaps where it is.
    fn named(&self, platform: &'a str, name: &'a str) -> Identity<'a> {
        let of = |attribute| self.text(attribute).unwrap_or_default();
        let account = of(Attribute::CloudAccountId);
        let provider = self.text(Attribute::CloudProvider).or_else(|| self.provider_of_functions());
        let region = of(Attribute::CloudRegion);
        let mut identity = Identity::of_cloud(platform, provider.unwrap_or_default(), account, region, name);
        if let Some(namespace) = self.text(Attribute::KubernetesNamespace) {
            identity.key = [&identity.key, namespace].join(SEPARATOR);
            identity.also.clear();
        }
        identity
    }

    /// An app of Azure holds several functions, which only some of its spans name.
    fn azure(&self, platform: &'a str, ids: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Identity<'a> {
        let (sites, functions): (Vec<_>, Vec<_>) = ids.unzip();
        let service = self.text(Attribute::ServiceName);
        let site = sites.into_iter().flatten().next().or(service).unwrap_or(UNKNOWN_SERVICE);
        let bare = |name: &'a str| name.rsplit('/').next().filter(|name| !name.is_empty());
        // The host knows the route alone, which is `api/` and the name unless it was changed.
        let by_route = || {
            let route = self.span.text(Attribute::HttpRoute)?.trim_start_matches('/');
            route.strip_prefix("api/").filter(|name| !name.contains(['/', '{']))
        };
        let name = functions.into_iter().flatten().next();
        let name = name.or_else(|| self.text(Attribute::FaasName).and_then(bare));
        let name = name.or_else(|| self.span_name.strip_prefix(AZURE_SPAN)).or_else(by_route);
        // Names are those of a host on the internet, whose case says nothing.
        let keys = ["azure".to_owned(), site.to_ascii_lowercase(), name.unwrap_or_default().to_ascii_lowercase()];
        Identity {
            key: keys.join(SEPARATOR),
            name: name.unwrap_or(site),
            platform,
            is_app: name.is_none(),
            also: Vec::new(),
        }
    }

    fn service(&self, platform: Option<&'a str>) -> Identity<'a> {
        let name = self.text(Attribute::ServiceName).unwrap_or(UNKNOWN_SERVICE);
        // Processes without a name have nothing in common; one of them must not be taken for another.
        let instance = [Attribute::ServiceInstanceId, Attribute::HostName].into_iter().find_map(|id| self.text(id));
        let instance = instance.filter(|_| is_unnamed(name));
        let namespace = self.text(Attribute::ServiceNamespace).or_else(|| self.text(Attribute::KubernetesNamespace));
        let key = ["service", namespace.unwrap_or_default(), name, instance.unwrap_or_default()].join(SEPARATOR);
        let is_browser = self.text(Attribute::BrowserPlatform).is_some()
            || self.text(Attribute::SdkLanguage).is_some_and(|language| language == "webjs");
        let kind = if is_browser { "browser" } else { "service" };
        Identity { key, name, platform: platform.unwrap_or(kind), is_app: false, also: Vec::new() }
    }
}

impl<'a> Identity<'a> {
    fn of_cloud(platform: &'a str, provider: &str, account: &str, region: &str, name: &'a str) -> Self {
        let key = cloud_key(provider, account, region, name);
        let mut also = Vec::new();
        for (provider, account, region) in
            [(provider, "", region), (provider, account, ""), (provider, "", ""), ("", "", "")]
        {
            let less = cloud_key(provider, account, region, name);
            if less != key && !also.contains(&less) {
                also.push(less);
            }
        }
        Self { key, name, platform, is_app: false, also }
    }
}

/// Between the parts of a key.
const SEPARATOR: &str = "\u{1f}";

/// How the log groups of Lambda functions begin.
const LOG_GROUP: &str = "/aws/lambda/";

fn cloud_key(provider: &str, account: &str, region: &str, name: &str) -> String {
    [provider, account, region, name].join(SEPARATOR)
}

fn function_id(environment: &str, key: &str) -> NodeId {
    NodeId(xxh3_64(["function", environment, key].join(SEPARATOR).as_bytes()))
}

state!(Function { id, name, environment, platform, app, is_app, also });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::Value;

    /// Attributes that are texts.
    pub(super) fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        let mut attributes = Attributes::default();
        for (key, value) in pairs {
            attributes.insert(key, Value::Text((*value).into()));
        }
        attributes
    }

    fn id(pairs: &[(&str, &str)]) -> (NodeId, String) {
        let function = Resource::new(attributes(pairs)).function().clone();
        (function.id, function.name.to_string())
    }

    #[test]
    fn an_arn_is_cut_to_the_function() {
        let plain = id(&[("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:resize")]);
        let alias = id(&[("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:resize:live")]);
        let old_key = id(&[("faas.id", "arn:aws:lambda:eu-west-1:123456789012:function:resize:7")]);
        let parts = id(&[
            ("faas.name", "resize"),
            ("cloud.provider", "aws"),
            ("cloud.region", "eu-west-1"),
            ("cloud.account.id", "123456789012"),
            ("service.name", "images"),
        ]);
        assert_eq!(plain.1, "resize");
        assert_eq!(plain, alias);
        assert_eq!(plain, old_key);
        assert_eq!(plain, parts);
    }

    /// The function of a span, with the name of what runs it.
    fn of_span(resource: &[(&str, &str)], span_name: &str, span: &[(&str, &str)]) -> (NodeId, String, String) {
        let resource = Resource::new(attributes(resource));
        let function = function_named_by(&resource, SpanKind::Server, span_name, &attributes(span));
        (function.id, function.name.to_string(), function.platform.to_string())
    }

    #[test]
    fn an_app_of_azure_holds_functions_that_host_and_worker_name_alike() {
        let site = [("service.name", "Shop"), ("cloud.platform", "azure_functions")];
        let by_id = of_span(
            &site,
            "x",
            &[(
                "cloud.resource_id",
                "/subscriptions/1/resourceGroups/g/providers/Microsoft.Web/sites/shop/functions/Order",
            )],
        );
        let same = [
            of_span(&site, "x", &[("faas.name", "Order")]),
            of_span(&site, "x", &[("faas.name", "Shop/Order")]),
            of_span(&site, "function Order", &[]),
            of_span(&site, "POST", &[("http.route", "/api/Order")]),
            of_span(&[("service.name", "shop"), ("cloud.platform", "azure.functions")], "function order", &[]),
        ];
        assert_eq!((by_id.1.as_str(), by_id.2.as_str()), ("Order", "azure_functions"));
        assert!(same.iter().all(|one| one.0 == by_id.0), "{same:?}");
        let bare = of_span(&site, "POST", &[]);
        assert_ne!(bare.0, by_id.0);
        assert_ne!(of_span(&site, "function Refund", &[]).0, by_id.0);
        assert!(Resource::new(attributes(&site)).function().is_app);
    }

    #[test]
    fn clouds_name_functions_each_in_its_way() {
        let uri = "//run.googleapis.com/projects/p1/locations/europe-west1/services/resize";
        let parts = [
            ("faas.name", "resize"),
            ("cloud.provider", "gcp"),
            ("cloud.account.id", "p1"),
            ("cloud.region", "europe-west1"),
            ("faas.version", "resize-00002"),
        ];
        assert_eq!(id(&[("cloud.resource_id", uri), ("service.name", "images")]), id(&parts));
        // A worker runs at the edge: the region is that of the caller, and no part of what it is.
        let worker = |region| id(&[("cloud.provider", "cloudflare"), ("cloud.region", region), ("faas.name", "edge")]);
        assert_eq!(worker("AMS"), worker("FRA"));
        assert_eq!(worker("AMS"), id(&[("cloudflare.script_name", "edge"), ("service.name", "other")]));
        let knative = |namespace| id(&[("faas.name", "resize"), ("k8s.namespace.name", namespace)]);
        assert_ne!(knative("a").0, knative("b").0);
        let page = of_span(&[("service.name", "shop"), ("telemetry.sdk.language", "webjs")], "click", &[]);
        assert_eq!(page.2, "browser");
    }

    #[test]
    fn what_leaves_a_function_does_not_name_it() {
        let resource = Resource::new(attributes(&[("service.name", "front")]));
        let arn = attributes(&[("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:resize")]);
        assert_eq!(&*function_named_by(&resource, SpanKind::Client, "Invoke", &arn).name, "front");
        let named = function_named_by(&resource, SpanKind::Server, "resize", &arn);
        assert_eq!((&*named.name, named.app), ("resize", Some(resource.function().id)));
    }

    #[test]
    fn the_environment_keeps_functions_apart() {
        let production = id(&[("service.name", "api"), ("deployment.environment.name", "production")]);
        let old_key = id(&[("service.name", "api"), ("deployment.environment", "production")]);
        let staging = id(&[("service.name", "api"), ("deployment.environment.name", "staging")]);
        assert_eq!(production, old_key);
        assert_ne!(production.0, staging.0);
        assert_eq!(staging.1, "api");
    }

    #[test]
    fn an_unknown_service_is_known_by_its_instance() {
        let one = id(&[("service.name", "unknown_service:node"), ("service.instance.id", "1")]);
        let two = id(&[("service.name", "unknown_service:node"), ("service.instance.id", "2")]);
        assert_ne!(one.0, two.0);
        assert_eq!(id(&[]).1, UNKNOWN_SERVICE);
    }
}
