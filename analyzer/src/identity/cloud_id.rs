//! Reads the ids by which clouds know functions: ARNs, URIs and paths of resources.
//!
//! Which attribute holds which id, and what is done where there is none, is `identity.rs`'s.

/// The site and the function in `/subscriptions/../sites/SITE/functions/NAME`.
pub(super) fn site_of(id: &str) -> (Option<&str>, Option<&str>) {
    let mut parts = id.split('/').skip_while(|part| !part.eq_ignore_ascii_case("sites")).skip(1);
    let site = parts.next().filter(|site| id.starts_with('/') && !site.is_empty());
    let has_function = parts.next().is_some_and(|part| part.eq_ignore_ascii_case("functions"));
    (site, parts.next().filter(|name| site.is_some() && has_function && !name.is_empty()))
}

/// Project, region and name in `//run.googleapis.com/projects/P/locations/L/services/NAME`.
pub(super) fn gcp_parts(id: &str) -> Option<(&str, &str, &str)> {
    let mut parts = id.strip_prefix("//")?.split('/');
    let is_gcp = parts.next()?.ends_with(".googleapis.com") && parts.next()? == "projects";
    let project = parts.next()?;
    let has_region = parts.next()? == "locations";
    let region = parts.next()?;
    let is_function = matches!(parts.next()?, "services" | "functions");
    let name = parts.next().filter(|name| !name.is_empty())?;
    (is_gcp && has_region && is_function).then_some((project, region, name))
}

/// The parts of `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME[:VERSION]` that identify the function.
pub(super) struct LambdaArn<'a> {
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) name: &'a str,
}

impl<'a> LambdaArn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(':');
        let is_arn = parts.next()? == "arn";
        let is_lambda = parts.nth(1)? == "lambda";
        let (region, account) = (parts.next()?, parts.next()?);
        let is_function = parts.next()? == "function";
        let name = parts.next()?;
        (is_arn && is_lambda && is_function && !name.is_empty()).then_some(Self { region, account, name })
    }
}

/// The bare name of a function that may be given as ARN or with an alias.
pub(super) fn lambda_name(text: &str) -> &str {
    if let Some(arn) = LambdaArn::parse(text) {
        return arn.name;
    }
    text.split(':').next().filter(|name| !name.is_empty()).unwrap_or(text)
}
