//! What a reader types about a loop, as messages for the server. Pure, so that it is tested natively; the forms are in
//! `pages/loop_detail/intent.rs`.

use loopscope_proto::v1::{Intended, Verdict};

use crate::client::{Change, INTENDED, verdict_url};

/// The form that declares a loop as intended, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// Laps of one chain.
    pub depth: String,
    /// Laps a minute.
    pub rate: String,
    /// Who is asked about it.
    pub owner: String,
    /// Why it is intended.
    pub reason: String,
    /// The day from which on it holds no more, as `2027-01-31`.
    pub expires: String,
}

/// Says that a loop is expected up to a number of laps.
///
/// # Errors
/// What is wrong with the number, in a sentence.
pub fn expected(loop_id: &str, depth: &str) -> Result<Change, String> {
    let max_depth = laps(depth)?.ok_or("Say how many laps of one chain are expected.")?;
    verdict(loop_id, "expected", Some(max_depth))
}

/// Says that a loop is a runaway.
///
/// # Errors
/// None in practice; the type is that of the others.
pub fn runaway(loop_id: &str) -> Result<Change, String> {
    verdict(loop_id, "runaway", None)
}

/// Takes back what was said of a loop.
///
/// # Errors
/// None in practice; the type is that of the others.
pub fn clear(loop_id: &str) -> Result<Change, String> {
    verdict(loop_id, "clear", None)
}

/// Declares a loop as intended.
///
/// # Errors
/// What is wrong with what was typed, in a sentence.
pub fn declare(loop_id: &str, typed: &Declaration) -> Result<Change, String> {
    let rate = typed.rate.trim();
    // The parser that messages need as well: that of the standard library would weigh as much as a page.
    let rate = match loopscope_proto::read::number(rate) {
        _ if rate.is_empty() => None,
        Some(rate) if rate.is_finite() && rate >= 0.0 => Some(rate),
        _ => return Err("Laps a minute is a number, such as 600.".into()),
    };
    let depth = laps(&typed.depth)?;
    if depth.is_none() && rate.is_none() {
        return Err("Give at least one bound: laps of one chain, or laps a minute.".into());
    }
    let expires = match typed.expires.trim() {
        "" => None,
        day => Some(format!("{day}T00:00:00Z").parse().map_err(|_| "Write the day as 2027-01-31.".to_owned())?),
    };
    let message = Intended {
        loop_id: loop_id.to_owned(),
        max_depth: depth,
        max_rate_per_minute: rate,
        owner: typed.owner.trim().to_owned(),
        reason: typed.reason.trim().to_owned(),
        expires,
        ..Intended::default()
    };
    post(INTENDED.to_owned(), &message)
}

fn verdict(loop_id: &str, verdict: &str, max_depth: Option<u32>) -> Result<Change, String> {
    let says = Verdict { loop_id: loop_id.to_owned(), verdict: verdict.to_owned(), max_depth, at: None };
    post(verdict_url(loop_id), &says)
}

fn laps(text: &str) -> Result<Option<u32>, String> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "Laps of one chain is a whole number, such as 40.".into()),
    }
}

fn post(url: String, message: &impl serde::Serialize) -> Result<Change, String> {
    let body = serde_json::to_string(message).map_err(|error| error.to_string())?;
    Ok(Change::Post(url, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent<T: for<'de> serde::Deserialize<'de>>(change: Change) -> T {
        let Change::Post(_, body) = change else { panic!("{change:?}") };
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn a_declaration_needs_one_bound_and_keeps_what_was_typed() {
        let typed = Declaration {
            depth: " 40 ".into(),
            owner: "media ".into(),
            expires: "2027-01-31".into(),
            ..Declaration::default()
        };
        let message: Intended = declare("0a", &typed).map(sent).unwrap_or_default();
        assert_eq!((message.loop_id.as_str(), message.max_depth, message.owner.as_str()), ("0a", Some(40), "media"));
        assert_eq!(crate::format::day(message.expires.as_ref()), "2027-01-31");
        assert_eq!(message.max_rate_per_minute, None);
        let by_rate = Declaration { rate: "600".into(), ..Declaration::default() };
        assert_eq!(declare("0a", &by_rate).map(sent::<Intended>).unwrap_or_default().max_rate_per_minute, Some(600.0));
    }

    #[test]
    fn what_cannot_be_read_is_said_before_it_is_sent() {
        let problem = |typed: Declaration| declare("0a", &typed).err().unwrap_or_default();
        assert!(problem(Declaration::default()).contains("at least one bound"));
        assert!(problem(Declaration { depth: "many".into(), ..Declaration::default() }).contains("whole number"));
        assert!(problem(Declaration { rate: "-1".into(), ..Declaration::default() }).contains("600"));
        let odd = Declaration { depth: "4".into(), expires: "soon".into(), ..Declaration::default() };
        assert!(problem(odd).contains("2027-01-31"));
        assert!(expected("0a", "").is_err());
    }

    #[test]
    fn verdicts_go_to_their_loop() {
        let change = expected("0a", "60");
        assert!(matches!(&change, Ok(Change::Post(url, _)) if url == "/api/v1/loops/0a/verdict"));
        let says: Verdict = change.map(sent).unwrap_or_default();
        assert_eq!((says.verdict.as_str(), says.max_depth), ("expected", Some(60)));
        assert_eq!(clear("0a").map(sent::<Verdict>).unwrap_or_default().verdict, "clear");
    }
}
