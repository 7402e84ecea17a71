//! What each refusal of Heroku's means, and what to do about it.
//!
//! One table from status, id and message to a stable key and a way out. Where Heroku's reference does not fix the status
//! (a formation that must not change during preboot), the message decides. Ids and messages come from the Platform API
//! reference, from recorded answers and from bug reports; caps per process type from Dev Center's limits page (2024).

use std::time::Duration;

use super::api::{ApiError, Refusal};
use crate::scaling::ScaleError;

/// When to try again while Heroku swaps old dynos for new ones: that takes about three minutes in all.
const PREBOOT_RETRY: Duration = Duration::from_secs(60);

/// Whose call failed, for sentences.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The app.
    pub app: &'a str,
    /// The process type; none when the call was not about one.
    pub process: Option<&'a str>,
    /// What was tried, to follow "could not": `read the formation`.
    pub tried: &'a str,
}

impl Subject<'_> {
    /// A sentence about it.
    #[must_use]
    pub fn sentence(&self, what: &str) -> String {
        let Self { app, process, tried } = self;
        let process = process.map(|process| format!(" (process {process})")).unwrap_or_default();
        format!("could not {tried} of Heroku app {app}{process}: {what}")
    }
}

/// The error as the bot and people get it.
#[must_use]
pub fn explain(error: &ApiError, subject: &Subject<'_>) -> ScaleError {
    match error {
        ApiError::Refused(refusal) => explain_refusal(refusal, subject),
        ApiError::NoAnswer(cause) => {
            let advice = match cause.key() {
                "dns" | "refused" | "connection" => "; is the network up, and is API_URL right?",
                "tls" => "; is API_URL right, and are this machine's root certificates and clock?",
                "not_http" | "too_long" => "; is API_URL the address of Heroku's Platform API?",
                _ => "; the bot tries again by itself",
            };
            ScaleError::new(cause.key(), subject.sentence(&format!("{cause}{advice}")))
        }
        ApiError::Strange { what, request_id } => {
            let what = format!(
                "Heroku's answer is not understood: {what}. Is API_URL the address of Heroku's Platform API? \
                 (Request-Id {request_id})"
            );
            ScaleError::new("bad_answer", subject.sentence(&what))
        }
        ApiError::Scarce(scarce) => {
            let seconds = scarce.wait.as_secs().max(1);
            let why = if scarce.told {
                "Heroku said that the account has reached its rate limit"
            } else {
                "the account has almost no API calls left of its 4500 an hour, and the rest is kept for changes"
            };
            let what = format!(
                "{why}; not asked again for {seconds} s. Measure less often, or find out who else uses the account's API"
            );
            ScaleError { retry_after: Some(scarce.wait), ..ScaleError::new("rate_budget", subject.sentence(&what)) }
        }
    }
}

fn explain_refusal(refusal: &Refusal, subject: &Subject<'_>) -> ScaleError {
    let meaning = meaning(refusal);
    let Refusal { status, id, message, request_id, .. } = refusal;
    let id = if id.is_empty() { String::new() } else { format!(" {id}") };
    let said = if message.is_empty() { String::new() } else { format!(", {message:?}") };
    let what = format!("Heroku answered {status}{id}{said}. {} (Request-Id {request_id})", meaning.way_out);
    ScaleError { retry_after: meaning.retry_after, ..ScaleError::new(meaning.key, subject.sentence(&what)) }
}

struct Meaning {
    key: &'static str,
    way_out: &'static str,
    retry_after: Option<Duration>,
}

/// The table.
fn meaning(refusal: &Refusal) -> Meaning {
    let message = refusal.message.to_lowercase();
    let (key, way_out) = match (refusal.status, refusal.id.as_str()) {
        (400..=499, _) if message.contains("preboot") => {
            let way_out = "New dynos are being started beside the old ones after a release; the formation cannot change until \
                           they have taken over, about three minutes. The bot tries again by itself.";
            return Meaning { key: "preboot", way_out, retry_after: Some(PREBOOT_RETRY) };
        }
        (401, _) => (
            "unauthorized",
            "The API key is wrong or was revoked: make one with `heroku authorizations:create`, and set API_KEY or \
             HEROKU_API_KEY.",
        ),
        (402, _) => {
            ("delinquent", "The account has unpaid bills, which blocks scaling: see Billing in Heroku's dashboard.")
        }
        (403, "suspended") => ("suspended", "The account or the app is suspended: ask Heroku's support."),
        (403, "two_factor") => (
            "two_factor",
            "This key needs a second factor for every call: make a long-lived one with `heroku authorizations:create`.",
        ),
        (403, _) => (
            "forbidden",
            "The key's account may not do this: it must be a collaborator of the app (with the permissions view and operate \
             in a team), and the key needs the scope `write` or `global`.",
        ),
        (404, _)
            if refusal.resource == "formation" || message.contains("process type") || message.contains("formation") =>
        {
            (
                "no_such_process",
                "The released version of the app declares no such process type: see its Procfile and PROCESS.",
            )
        }
        (404, _) => ("not_found", "There is no such app, or the key's account does not see it: check APP_NAME."),
        (406, _) => ("not_acceptable", "Heroku no longer speaks version 3 of its API: look for a newer autoscalebot."),
        (409, _) => ("conflict", "Another change of this app is under way; the bot tries again by itself."),
        (412, _) => ("precondition_failed", "The formation was changed in the same moment; the bot decides anew."),
        (422, "verification_needed") => {
            ("verification_needed", "The account must be verified first: enter billing data in Heroku's dashboard.")
        }
        (422, _) => invalid_params(&message),
        (429, _) => {
            let way_out = "The account has spent its 4500 API calls an hour. Measure less often, or find out who else uses \
                           the account's API.";
            return Meaning { key: "rate_limited", way_out, retry_after: refusal.retry_after };
        }
        (500..=599, _) => {
            let way_out = "Heroku itself has trouble (see status.heroku.com); dynos keep running, and the bot tries again by \
                           itself.";
            return Meaning { key: "platform_error", way_out, retry_after: refusal.retry_after };
        }
        _ => ("refused", "This refusal is not in Heroku's reference; its own words above are all there is."),
    };
    Meaning { key, way_out, retry_after: refusal.retry_after }
}

/// A 422 says which rule was broken only in its message.
fn invalid_params(message: &str) -> (&'static str, &'static str) {
    // "Cannot update to more than 1 Basic size dynos per process type." The number comes before the size's name.
    if message.contains("dynos per process type") {
        let is_one = message.contains("more than 1 ");
        return if is_one {
            (
                "quantity_limit",
                "Eco and Basic dynos allow one dyno per process type: set MAX_PROCESSES to 1, or change the process to \
                 Standard or Performance dynos.",
            )
        } else {
            (
                "quantity_limit",
                "Performance, Private and Shield dynos are limited to 10 per process type unless Heroku's support raises it: \
                 set MAX_PROCESSES accordingly.",
            )
        };
    }
    if message.contains("eco") && message.contains("dynos per app") {
        let way_out =
            "Eco dynos allow one per process type and two running per app: change to Standard or Performance dynos.";
        return ("quantity_limit", way_out);
    }
    if message.contains("in the same app") {
        let way_out = "Eco, Basic and the professional sizes cannot be mixed in one app: give all its process types sizes of \
                       one tier with `heroku ps:type`.";
        return ("mixed_sizes", way_out);
    }
    if message.contains("size") && message.contains("no such")
        || message.contains("dyno type")
        || message.contains("tier")
    {
        let way_out =
            "The app's dyno size is no longer valid: set another with `heroku ps:type`. The bot never changes sizes.";
        return ("invalid_size", way_out);
    }
    let way_out = "Heroku does not take this number. An app may have 100 dynos over all its process types unless support \
                   raises it: compare with MAX_PROCESSES.";
    ("invalid_params", way_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heroku::budget::Scarce;

    fn refused(status: u16, id: &str, message: &str, resource: &str) -> ApiError {
        let retry_after = (status == 429).then_some(Duration::from_secs(42));
        ApiError::Refused(Refusal {
            status,
            id: id.to_owned(),
            message: message.to_owned(),
            resource: resource.to_owned(),
            request_id: "r-1".to_owned(),
            retry_after,
        })
    }

    const SUBJECT: Subject<'static> =
        Subject { app: "dancing-forest-1234", process: Some("web"), tried: "set the quantity" };

    #[test]
    fn every_refusal_has_its_key_and_a_way_out() {
        let rows = [
            (401, "unauthorized", "Invalid credentials provided.", "", "unauthorized", "authorizations:create"),
            (402, "delinquent", "pay", "", "delinquent", "unpaid"),
            (403, "forbidden", "no", "", "forbidden", "collaborator"),
            (403, "suspended", "no", "", "suspended", "support"),
            (403, "two_factor", "no", "", "two_factor", "second factor"),
            (404, "not_found", "Couldn't find that app.", "app", "not_found", "APP_NAME"),
            (404, "not_found", "Couldn't find that process type (web).", "formation", "no_such_process", "Procfile"),
            (404, "not_found", "Couldn't find that formation.", "", "no_such_process", "PROCESS"),
            (406, "not_acceptable", "", "", "not_acceptable", "version 3"),
            (409, "conflict", "", "", "conflict", "under way"),
            (412, "", "", "", "precondition_failed", "anew"),
            (
                422,
                "invalid_params",
                "Cannot update to more than 1 Basic size dynos per process type.",
                "",
                "quantity_limit",
                "MAX_PROCESSES to 1",
            ),
            (
                422,
                "invalid_params",
                "Cannot update to more than 10 Performance-M size dynos per process type.",
                "",
                "quantity_limit",
                "limited to 10",
            ),
            (
                422,
                "invalid_params",
                "Cannot use the following dyno types in the same app: Basic and Standard-1X",
                "",
                "mixed_sizes",
                "mixed",
            ),
            (422, "invalid_params", "No such size as 1X. Available dyno sizes are Eco.", "", "invalid_size", "ps:type"),
            (
                422,
                "invalid_params",
                "Cannot change formation for a preboot app until preboot is complete",
                "",
                "preboot",
                "by itself",
            ),
            (409, "conflict", "until release phase and preboot complete", "", "preboot", "by itself"),
            (
                422,
                "invalid_params",
                "Cannot run more than 2 Eco size dynos per app.",
                "",
                "quantity_limit",
                "two running",
            ),
            (422, "verification_needed", "", "", "verification_needed", "billing"),
            (422, "invalid_params", "something new", "", "invalid_params", "100 dynos"),
            (429, "rate_limit", "Your account reached the API rate limit", "", "rate_limited", "4500"),
            (500, "", "", "", "platform_error", "status.heroku.com"),
            (503, "maintenance", "", "", "platform_error", "by itself"),
            (418, "teapot", "", "", "refused", "not in Heroku's reference"),
        ];
        for (status, id, message, resource, key, way_out) in rows {
            let error = explain(&refused(status, id, message, resource), &SUBJECT);
            assert_eq!(error.key, key, "{status} {id} {message}");
            let parts = ["dancing-forest-1234", "web", &status.to_string(), id, message, "r-1", way_out];
            for part in parts {
                assert!(error.message.contains(part), "{part:?} is missing in {:?}", error.message);
            }
        }
    }

    #[test]
    fn waits_are_passed_on() {
        assert_eq!(explain(&refused(429, "", "", ""), &SUBJECT).retry_after, Some(Duration::from_secs(42)));
        assert_eq!(explain(&refused(422, "", "a preboot app", ""), &SUBJECT).retry_after, Some(PREBOOT_RETRY));
        let scarce = explain(&ApiError::Scarce(Scarce { wait: Duration::from_secs(9), told: false }), &SUBJECT);
        assert_eq!((scarce.key.as_ref(), scarce.retry_after), ("rate_budget", Some(Duration::from_secs(9))));
    }
}
