//! Events for people and for webhooks: the only file of this stage that puts an event into words.
//!
//! A text is a subject of one line and a list of labelled facts, so that each channel can lay it out as it likes and none
//! has to invent words. Whatever came from outside (a server's words, a panic, a settings file) is made one line of
//! printable letters here, once: no channel needs to fear a line break in a header or an escape sequence on a terminal.

use std::time::Duration;

use autoscalebot_core::{
    bounds::Limit,
    condition::Phase,
    control::Mode,
    decision::{Direction, Reason},
    event::Event,
    moment::Moment,
    names::ProcessName,
    sample::{CountsAs, MeasureFailure, Reading, Sample},
    step::ScaleFailure,
    units::in_words,
};
use serde_json::{Value, json};

use super::Notice;

/// The longest subject, in letters: more does not fit a mail client's list or a phone.
const LONGEST_SUBJECT: usize = 150;
/// The longest single fact, in letters. Errors that quote whole pages must not fill a mailbox.
const LONGEST_FACT: usize = 1_000;
/// Problems of a settings file that are told one by one; `autoscalebot check` shows the rest.
const MOST_PROBLEMS: usize = 20;

/// Version of the JSON form; grows only when a key changes its meaning or goes away.
pub const JSON_VERSION: u32 = 1;

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// One line that names the process and what happened.
    pub subject: String,
    /// Why, the numbers, and what to do; each one line, with its label.
    pub facts: Vec<(&'static str, String)>,
    /// How much it matters.
    pub severity: Severity,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// All is as it should be.
    Info,
    /// Somebody should look at it some time.
    Warning,
    /// Something does not work.
    Error,
}

impl Severity {
    /// Stable word for it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Text {
    /// A notice in words.
    #[must_use]
    pub fn of(notice: &Notice) -> Self {
        let process = notice.process.as_str();
        let (happened, facts) = told(process, &notice.event);
        let mut facts: Vec<_> =
            facts.into_iter().map(|(label, fact)| (label, shortened(&one_line(&fact), LONGEST_FACT))).collect();
        facts.push(("When", when(&notice.at)));
        if notice.lost_before > 0 {
            facts.push(("Lost", lost(notice.lost_before)));
        }
        let subject = shortened(&one_line(&format!("{process}: {happened}")), LONGEST_SUBJECT);
        Self { subject, facts, severity: severity(&notice.event) }
    }

    /// An event that nobody is notified of, in the same words: subject and facts, without the time.
    #[must_use]
    pub fn about(process: &ProcessName, at: Moment, event: &Event) -> Self {
        let notice =
            Notice { process: process.clone(), at, event: event.clone(), id: uuid::Uuid::nil(), lost_before: 0 };
        let mut text = Self::of(&notice);
        text.facts.retain(|(label, _)| *label != "When");
        text
    }

    /// Subject and facts, a line each.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut lines = format!("{}\n", self.subject);
        for (label, fact) in &self.facts {
            lines.push_str(&format!("\n{label}: {fact}"));
        }
        lines.push('\n');
        lines
    }

    /// Everything but the time in one line, for logs that have a time of their own.
    #[must_use]
    pub fn one_line(&self) -> String {
        let facts = self.facts.iter().filter(|(label, _)| *label != "When");
        let facts: Vec<String> = facts.map(|(label, fact)| format!("{}: {fact}", label.to_lowercase())).collect();
        if facts.is_empty() { self.subject.clone() } else { format!("{} ({})", self.subject, facts.join("; ")) }
    }
}

/// The stable word of an event's kind, as in its JSON form.
#[must_use]
pub fn key(event: &Event) -> &'static str {
    match event {
        Event::Measured { .. } => "measured",
        Event::MeasurementFailed { .. } => "measurement_failed",
        Event::MeasurementRecovered { .. } => "measurement_recovered",
        Event::CountFailed { .. } => "count_failed",
        Event::CountRecovered { .. } => "count_recovered",
        Event::ScaleRecovered { .. } => "scale_recovered",
        Event::CountChangedElsewhere { .. } => "count_changed_elsewhere",
        Event::ScaledUp { .. } => "scaled_up",
        Event::ScaledDown { .. } => "scaled_down",
        Event::WouldScale { .. } => "would_scale",
        Event::ScaleFailed { .. } => "scale_failed",
        Event::NeedsExceededMax { .. } => "needs_exceeded_max",
        Event::NeedsBelowMin { .. } => "needs_below_min",
        Event::ScalingTooRapid { .. } => "scaling_too_rapid",
        Event::BotPanicked { .. } => "bot_panicked",
        Event::Commanded { .. } => "commanded",
        Event::ControlExpired { .. } => "control_expired",
        Event::SettingsReloaded { .. } => "settings_reloaded",
        Event::SettingsRejected { .. } => "settings_rejected",
    }
}

/// How much an event matters. What is over matters less than it did.
#[must_use]
pub fn severity(event: &Event) -> Severity {
    let unless_over =
        |phase: &Phase, severity| if matches!(phase, Phase::Ended(_)) { Severity::Info } else { severity };
    match event {
        Event::Measured { .. }
        | Event::MeasurementRecovered { .. }
        | Event::CountRecovered { .. }
        | Event::ScaleRecovered { .. }
        | Event::ScaledUp { .. }
        | Event::ScaledDown { .. }
        | Event::WouldScale { .. }
        | Event::Commanded { .. }
        | Event::ControlExpired { .. }
        // A quiet process at its min is as it should be.
        | Event::NeedsBelowMin { .. }
        | Event::SettingsReloaded { .. } => Severity::Info,
        Event::CountChangedElsewhere { .. } => Severity::Warning,
        Event::NeedsExceededMax { phase, .. }
        | Event::ScalingTooRapid { phase, .. }
        | Event::MeasurementFailed { phase, .. } => unless_over(phase, Severity::Warning),
        Event::CountFailed { phase, .. } | Event::ScaleFailed { phase, .. } => unless_over(phase, Severity::Error),
        Event::BotPanicked { .. } | Event::SettingsRejected { .. } => Severity::Error,
    }
}

/// A notice as JSON, for programs. Keys are stable; new ones may be added.
#[must_use]
pub fn as_json(notice: &Notice) -> Value {
    let text = Text::of(notice);
    json!({
        "version": JSON_VERSION,
        "id": notice.id.to_string(),
        "event": key(&notice.event),
        "process": notice.process.as_str(),
        "at": when(&notice.at),
        "severity": text.severity.key(),
        "subject": text.subject,
        "text": text.lines(),
        "lost_before": notice.lost_before,
        "data": data(&notice.event),
    })
}

/// A text on one line, without anything that a terminal or a mail header would take for a command.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        // Line and paragraph separators, and marks that turn the direction of writing, are not "control" for Rust.
        let harmless = !letter.is_control()
            && !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if harmless {
            line.push(letter);
        } else if !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line.trim().to_owned()
}

/// A moment for people and programs alike: `2026-03-01T07:30:00Z`.
#[must_use]
pub fn when(at: &Moment) -> String {
    at.civil.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

type Facts = Vec<(&'static str, String)>;

/// What happened, to follow the process's name, and the facts.
fn told(process: &str, event: &Event) -> (String, Facts) {
    match event {
        Event::Measured { backend, sample } => measured(backend, sample),
        Event::MeasurementFailed { backend, failure, in_a_row, phase } => {
            measurement_failed(process, backend, failure, *in_a_row, phase)
        }
        Event::MeasurementRecovered { backend, failures, lasted } => (
            format!("measurement works again, after {}", in_words(*lasted)),
            vec![("Measurement", backend.to_string()), ("Failures", failures.to_string())],
        ),
        Event::CountFailed { failure, phase } => count_failed(process, failure, phase),
        Event::CountRecovered { lasted } => {
            (format!("the platform says again how many processes run, after {}", in_words(*lasted)), Vec::new())
        }
        Event::ScaleRecovered { lasted } => {
            (format!("the platform takes orders again, after {}", in_words(*lasted)), Vec::new())
        }
        Event::CountChangedElsewhere { from, to } => (
            format!("the count was changed elsewhere, from {from} to {to}"),
            vec![
                ("Now", format!("{to} is what the next decision starts from")),
                ("To do", "if nobody did this on purpose, look for a second autoscaler of this process".to_owned()),
            ],
        ),
        Event::ScaledUp { from, to, reason, limit } => {
            (format!("scaled up from {from} to {to}"), why_scaled(reason, limit.as_ref()))
        }
        Event::ScaledDown { from, to, reason, limit } => {
            (format!("scaled down from {from} to {to}"), why_scaled(reason, limit.as_ref()))
        }
        Event::WouldScale { from, to, reason } => {
            (format!("would scale from {from} to {to} (dry run)"), vec![("Why", reason.sentence.clone())])
        }
        Event::ScaleFailed { from, to, reason, failure, in_a_row, retry_in, phase } => {
            let happened = lasting(
                phase,
                &format!("could not scale from {from} to {to}"),
                &format!("still cannot scale from {from} to {to}"),
                "can be scaled again",
            );
            let mut facts = vec![failed(phase, &failure.message)];
            if !is_over(phase) {
                facts.extend([
                    ("Why scale", reason.sentence.clone()),
                    ("Next", format!("the platform is asked again in {}; until then {from} run", in_words(*retry_in))),
                    ("Failures in a row", in_a_row.to_string()),
                ]);
            }
            (happened, facts)
        }
        Event::NeedsExceededMax { wanted, max, reason, phase } => needs(Limit::Max, *wanted, *max, reason, phase),
        Event::NeedsBelowMin { wanted, min, reason, phase } => needs(Limit::Min, *wanted, *min, reason, phase),
        Event::ScalingTooRapid { direction, scales, period, phase } => too_rapid(*direction, *scales, *period, phase),
        Event::BotPanicked { message, restart_in } => (
            format!("its bot crashed and starts again in {}", in_words(*restart_in)),
            vec![
                ("Crash", message.clone()),
                ("Meanwhile", format!("{process} is not scaled; other processes are not affected")),
                (
                    "To do",
                    "this is a bug in autoscalebot or in one of its backends; please report this text".to_owned(),
                ),
            ],
        ),
        Event::Commanded { commanded } => {
            (commanded.command.in_words(), vec![("Reason given", commanded.reason.clone())])
        }
        Event::ControlExpired { mode, then } => {
            let given = |mode: &Mode| mode.reason().unwrap_or_default().to_owned();
            let mut facts = vec![("It was for", given(mode))];
            let what = if then.is_automatic() {
                "decisions are carried out again".to_owned()
            } else {
                facts.push(("Reason given", given(then)));
                format!("{} stands again", then.in_words())
            };
            (format!("{} is over, {what}", mode.in_words()), facts)
        }
        Event::SettingsReloaded { change, settings } => {
            let changed = (!settings.is_empty()).then(|| ("Changed", settings.join("; ")));
            (format!("new settings hold ({change})"), changed.into_iter().collect())
        }
        Event::SettingsRejected { problems } => settings_rejected(problems),
    }
}

fn measured(backend: &str, sample: &Sample) -> (String, Facts) {
    let mut facts = vec![("Measurement", backend.to_owned())];
    let happened = match &sample.outcome {
        Ok(Reading::Number(number)) => format!("measured {number}"),
        Ok(Reading::Document(document)) => {
            facts.push(("Document", document.to_string()));
            "measured a document".to_owned()
        }
        Err(failure) => {
            facts.push(("Failure", failure.message.clone()));
            "could not be measured".to_owned()
        }
    };
    if let Some(detail) = &sample.detail {
        facts.push(("Detail", detail.to_string()));
    }
    (happened, facts)
}

fn measurement_failed(
    process: &str,
    backend: &str,
    failure: &MeasureFailure,
    in_a_row: u32,
    phase: &Phase,
) -> (String, Facts) {
    let meanwhile = match failure.counts_as {
        CountsAs::High => format!("a failure of this kind counts as a high reading, so {process} may grow"),
        CountsAs::Unknown => "nothing is known about the load, so this measurement scales nothing".to_owned(),
    };
    let mut facts = vec![("Measurement", backend.to_owned()), failed(phase, &failure.message)];
    if !is_over(phase) {
        facts.extend([("Meanwhile", meanwhile), ("Failures in a row", in_a_row.to_string())]);
    }
    (lasting(phase, "measurement fails", "measurement still fails", "measurement works again"), facts)
}

fn count_failed(process: &str, failure: &ScaleFailure, phase: &Phase) -> (String, Facts) {
    let happened = lasting(
        phase,
        "the platform does not say how many processes run",
        "the platform still does not say how many processes run",
        "the platform says again how many processes run",
    );
    let mut facts = vec![failed(phase, &failure.message)];
    if !is_over(phase) {
        facts.push(("Meanwhile", format!("{process} is not scaled")));
    }
    (happened, facts)
}

fn why_scaled(reason: &Reason, limit: Option<&Limit>) -> Facts {
    let mut facts = vec![("Why", reason.sentence.clone())];
    match limit {
        // Then the bound is the reason, and the sentence says so already.
        Some(_) if reason.key == "outside_bounds" => {}
        Some(Limit::Max) => facts.push(("Limit", "more was called for, but the max allows no more".to_owned())),
        Some(Limit::Min) => facts.push(("Limit", "fewer were called for, but the min allows no fewer".to_owned())),
        None => {}
    }
    facts
}

fn needs(limit: Limit, wanted: u32, bound: u32, reason: &Reason, phase: &Phase) -> (String, Facts) {
    let (more, setting, advice) = match limit {
        Limit::Max => ("more", "max", "if this lasts, raise MAX_PROCESSES or make the app faster"),
        Limit::Min => ("fewer", "min", "if this lasts, a lower MIN_PROCESSES would save money"),
    };
    let happened = lasting(
        phase,
        &format!("needs {more} than its {setting} of {bound}"),
        &format!("still needs {more} than its {setting} of {bound}"),
        &format!("no longer needs {more} than its {setting} of {bound}"),
    );
    let facts = match phase {
        Phase::Ended(_) => vec![("Now", reason.sentence.clone())],
        Phase::Began | Phase::Persists(_) => vec![
            ("Why", reason.sentence.clone()),
            ("Numbers", format!("{wanted} called for, {bound} allowed")),
            ("To do", advice.to_owned()),
        ],
    };
    (happened, facts)
}

fn too_rapid(direction: Direction, scales: u32, period: Duration, phase: &Phase) -> (String, Facts) {
    let times = format!("{scales} times within {}", in_words(period));
    let happened = lasting(
        phase,
        &format!("scaled {direction} too often: {times}"),
        &format!("still scaled {direction} too often: {times}"),
        "no longer scaled too often",
    );
    let facts = match phase {
        Phase::Ended(_) => Vec::new(),
        Phase::Began | Phase::Persists(_) => vec![(
            "To do",
            "the process may swing: move the thresholds apart, raise POST_SCALE_WAIT_TIME_SECONDS, or change INCREMENT"
                .to_owned(),
        )],
    };
    (happened, facts)
}

fn settings_rejected(problems: &[String]) -> (String, Facts) {
    let count = if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) };
    let mut facts: Facts = problems.iter().take(MOST_PROBLEMS).map(|problem| ("Problem", problem.clone())).collect();
    if problems.len() > MOST_PROBLEMS {
        facts.push(("More", format!("{} problems are not shown", problems.len() - MOST_PROBLEMS)));
    }
    facts.push(("To do", "mend the file; `autoscalebot check` shows all problems".to_owned()));
    (format!("the changed settings are not valid ({count}), the old ones go on"), facts)
}

/// Why something does not work, or last did not.
fn failed(phase: &Phase, message: &str) -> (&'static str, String) {
    (if is_over(phase) { "Last failure" } else { "Failure" }, message.to_owned())
}

fn is_over(phase: &Phase) -> bool {
    matches!(phase, Phase::Ended(_))
}

/// The words for where a condition stands, with how long it lasts.
fn lasting(phase: &Phase, began: &str, persists: &str, ended: &str) -> String {
    match phase {
        Phase::Began => began.to_owned(),
        Phase::Persists(lasts) => format!("{persists}, for {}", in_words(*lasts)),
        Phase::Ended(lasted) => format!("{ended}, after {}", in_words(*lasted)),
    }
}

fn lost(count: u64) -> String {
    let (notices, were) = if count == 1 { ("notice", "was") } else { ("notices", "were") };
    format!("{count} {notices} before this one {were} dropped: too many at once, or not deliverable")
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// An event's own fields. Spans are seconds, and a sample is the result as the original hands it out.
fn data(event: &Event) -> Value {
    match event {
        Event::Measured { backend, sample } => json!({"sample": sample.as_result(backend)}),
        Event::MeasurementFailed { backend, failure, in_a_row, phase } => with_phase(
            phase,
            json!({
                "backend": &**backend,
                "failure": {"key": failure.key, "message": failure.message, "counts_as": failure.counts_as},
                "in_a_row": in_a_row,
            }),
        ),
        Event::MeasurementRecovered { backend, failures, lasted } => {
            json!({"backend": &**backend, "failures": failures, "lasted_seconds": seconds(*lasted)})
        }
        Event::CountFailed { failure, phase } => with_phase(phase, json!({"failure": scale_failure(failure)})),
        Event::CountRecovered { lasted } | Event::ScaleRecovered { lasted } => {
            json!({"lasted_seconds": seconds(*lasted)})
        }
        Event::CountChangedElsewhere { from, to } => json!({"from": from, "to": to}),
        Event::ScaledUp { from, to, reason, limit } | Event::ScaledDown { from, to, reason, limit } => {
            json!({"from": from, "to": to, "reason": reason, "limit": limit.map(|limit| limit.to_string())})
        }
        Event::WouldScale { from, to, reason } => json!({"from": from, "to": to, "reason": reason}),
        Event::ScaleFailed { from, to, reason, failure, in_a_row, retry_in, phase } => with_phase(
            phase,
            json!({
                "from": from, "to": to, "reason": reason, "failure": scale_failure(failure),
                "in_a_row": in_a_row, "retry_in_seconds": seconds(*retry_in),
            }),
        ),
        Event::NeedsExceededMax { wanted, max, reason, phase } => {
            with_phase(phase, json!({"wanted": wanted, "max": max, "reason": reason}))
        }
        Event::NeedsBelowMin { wanted, min, reason, phase } => {
            with_phase(phase, json!({"wanted": wanted, "min": min, "reason": reason}))
        }
        Event::ScalingTooRapid { direction, scales, period, phase } => {
            with_phase(phase, json!({"direction": direction, "scales": scales, "period_seconds": seconds(*period)}))
        }
        Event::BotPanicked { message, restart_in } => {
            json!({"message": message, "restart_in_seconds": seconds(*restart_in)})
        }
        Event::Commanded { commanded } => json!({"command": commanded.command.in_words(), "reason": commanded.reason}),
        Event::ControlExpired { mode, then } => {
            let then = (!then.is_automatic()).then(|| then.in_words());
            json!({"what": mode.in_words(), "reason": mode.reason(), "then": then})
        }
        Event::SettingsReloaded { change, settings } => json!({"change": change, "settings": settings}),
        Event::SettingsRejected { problems } => json!({"problems": problems}),
    }
}

fn with_phase(phase: &Phase, mut data: Value) -> Value {
    let (word, lasts) = match phase {
        Phase::Began => ("began", Duration::ZERO),
        Phase::Persists(lasts) => ("persists", *lasts),
        Phase::Ended(lasted) => ("ended", *lasted),
    };
    data["phase"] = word.into();
    data["lasted_seconds"] = seconds(lasts);
    data
}

fn scale_failure(failure: &ScaleFailure) -> Value {
    json!({
        "key": failure.key, "message": failure.message,
        "retry_after_seconds": failure.retry_after.map(seconds),
    })
}

/// Whole seconds as a whole number, as the settings write them.
fn seconds(span: Duration) -> Value {
    if span.subsec_nanos() == 0 { span.as_secs().into() } else { span.as_secs_f64().into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::notification::testing::{every_event, notice};

    #[test]
    fn every_event_reads_as_shown() {
        let texts: Vec<String> = every_event()
            .into_iter()
            .map(|event| {
                let text = Text::of(&notice(event));
                format!("[{}] {}", text.severity.key(), text.lines())
            })
            .collect();
        insta::assert_snapshot!(texts.join("\n----\n"));
    }

    #[test]
    fn every_event_is_this_json() {
        let texts: Vec<String> = every_event()
            .into_iter()
            .map(|event| {
                let mut value = as_json(&notice(event));
                // The words have a snapshot of their own.
                value["text"] = "…".into();
                serde_json::to_string_pretty(&value).unwrap()
            })
            .collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn the_word_of_an_event_is_the_one_it_is_stored_under() {
        let words: BTreeSet<_> = every_event()
            .iter()
            .map(|event| {
                assert_eq!(serde_json::to_value(event).unwrap()["event"], key(event));
                key(event)
            })
            .collect();
        assert_eq!(words.len(), 19, "a case of Event is missing from the samples: {words:?}");
    }

    #[test]
    fn the_page_of_the_webhook_names_every_event_with_every_key_of_its_data() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/backends/notification/webhook.md");
        let page = std::fs::read_to_string(page).unwrap();
        for event in every_event() {
            let word = format!("`{}`", key(&event));
            let row = page.lines().find(|line| line.split('|').nth(1).is_some_and(|cell| cell.contains(&word)));
            let row = row.unwrap_or_else(|| panic!("no row for {word}"));
            for name in data(&event).as_object().unwrap().keys() {
                assert!(row.contains(&format!("`{name}`")), "{word} lacks `{name}`");
            }
        }
    }

    #[test]
    fn a_measurement_is_told_as_the_original_hands_it_out() {
        let event = every_event().remove(0);
        assert_eq!(
            as_json(&notice(event))["data"]["sample"],
            json!({"backend": "ResponseTime", "data": 350, "success": true})
        );
    }

    #[test]
    fn nothing_from_outside_can_break_a_line_or_command_a_terminal() {
        let event = Event::BotPanicked {
            message: "a\r\nBcc: all@example.org\u{1b}[2J\u{2028}\u{202e}end".to_owned(),
            restart_in: Duration::from_secs(1),
        };
        let text = Text::of(&notice(event));
        assert_eq!(text.facts[0], ("Crash", "a Bcc: all@example.org [2J end".to_owned()));
    }

    #[test]
    fn what_is_too_long_is_cut_between_letters_and_says_so() {
        let change = "ü".repeat(400);
        let text = Text::of(&notice(Event::SettingsReloaded { change, settings: Vec::new() }));
        assert_eq!(text.subject.chars().count(), LONGEST_SUBJECT + 1);
        assert!(text.subject.ends_with("ü…"), "{}", text.subject);
    }

    #[test]
    fn lost_notices_are_told_with_the_next_one() {
        let mut notice = notice(Event::CountRecovered { lasted: Duration::from_secs(90) });
        notice.lost_before = 12;
        let text = Text::of(&notice);
        assert!(text.lines().contains("\nLost: 12 notices before this one were dropped"), "{}", text.lines());
    }
}
