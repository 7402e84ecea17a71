//! Posts each notice to a Slack channel through an incoming webhook.
//!
//! Whoever knows such a URL can write into the channel it was made for, so the URL is a secret and the channel is not a
//! setting. Slack gives a meaning to `&`, `<` and `>` in texts (mentions, links); they are escaped, so nobody can be
//! paged by the words of an error. Source of the rules and of the error words: Slack's documentation of incoming
//! webhooks and of text formatting.

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Context, Notice, Notify, NotifyError,
    text::{Severity, Text},
    webhook::{Post, parse_url, timeout_problem},
};
use crate::{secret::Secret, shared::Shared};

/// The longest text, in letters. Slack cuts messages at 40 000 and recommends 4 000; escaping may lengthen ours a little.
const LONGEST_TEXT: usize = 3_500;

/// The longest word of Slack's that we repeat; its longest today has 25 letters.
const LONGEST_ERROR_WORD: usize = 40;

/// Settings of `Slack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The incoming webhook's URL: `https://hooks.slack.com/services/…`. It is a secret, and it decides the channel.
    pub url: Secret,
    /// How long one attempt may take, in seconds; 60 at most.
    pub timeout: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: Secret::default(), timeout: Seconds::new(10) }
    }
}

/// The backend.
pub struct Slack {
    post: Post,
    shared: std::sync::Arc<Shared>,
}

impl Backend for Slack {
    type Stage = dyn Notify;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Slack";

    fn validate(settings: &Settings) -> Vec<Problem> {
        parse_url(&settings.url).err().into_iter().chain(timeout_problem(settings.timeout)).collect()
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Notify>, Problem> {
        let post = Post::new(&settings.url, settings.timeout, &context.shared)?;
        Ok(Box::new(Self { post, shared: context.shared.clone() }))
    }
}

#[async_trait]
impl Notify for Slack {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let body = json!({"text": message(notice)}).to_string();
        let answer = self.post.send(self.post.request(), body).await?;
        self.post.judge(&answer, &self.shared.clock.now()).map_err(|mut error| {
            if let Some(word) = error_word(&answer.body) {
                error.message = format!("{} (Slack says {word})", error.message);
            }
            error
        })
    }

    fn remarks(&self) -> Vec<String> {
        self.post.remarks()
    }
}

/// Subject in bold, the facts below.
fn message(notice: &Notice) -> String {
    let text = Text::of(notice);
    let sign = match text.severity {
        Severity::Info => "",
        Severity::Warning => ":warning: ",
        Severity::Error => ":rotating_light: ",
    };
    let mut message = format!("{sign}*{}*", escaped(&text.subject));
    let mut letters = message.chars().count();
    for (label, fact) in &text.facts {
        let line = format!("\n{label}: {}", escaped(fact));
        letters += line.chars().count();
        if letters > LONGEST_TEXT {
            message.push_str("\n…");
            break;
        }
        message.push_str(&line);
    }
    message
}

/// The three letters that mean something to Slack, as it wants them written.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Slack answers errors with one word, such as `channel_is_archived`. Anything else is not repeated.
fn error_word(body: &[u8]) -> Option<&str> {
    let word = std::str::from_utf8(body).ok()?.trim();
    let plain = !word.is_empty()
        && word.len() <= LONGEST_ERROR_WORD
        && word.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    plain.then_some(word)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use autoscalebot_core::event::Event;

    use super::*;
    use crate::notification::testing::notice;

    #[test]
    fn nobody_is_paged_by_the_words_of_an_error() {
        let event = Event::BotPanicked { message: "<!channel> a & b".to_owned(), restart_in: Duration::from_secs(1) };
        let message = message(&notice(event));
        assert!(
            message.starts_with(
                ":rotating_light: *web: its bot crashed and starts again in 1 s*\nCrash: &lt;!channel&gt; a &amp; b\n"
            ),
            "{message}"
        );
        assert!(!message.contains(['<', '>']));
    }

    #[test]
    fn a_long_message_is_cut_between_facts() {
        let message = message(&notice(Event::SettingsRejected { problems: vec!["x".repeat(900); 20] }));
        assert!(message.chars().count() <= LONGEST_TEXT + 2);
        assert!(message.ends_with("x\n…"), "{message}");
    }

    #[test]
    fn only_a_plain_word_of_slacks_is_repeated() {
        assert_eq!(error_word(b"channel_is_archived\n"), Some("channel_is_archived"));
        assert_eq!(error_word(b"<html>https://hooks.slack.com/services/T0/B0/X</html>"), None);
        assert_eq!(error_word(b""), None);
    }
}
