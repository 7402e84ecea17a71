//! What nobody outside Heroku knows for certain, one switch each.
//!
//! Every field here is **not verified**: the default is our best guess, and a client must work with either value. Tests
//! of a client should turn the switches both ways.

use std::time::Duration;

/// The guesses that this fake makes, each settable.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenQuestions {
    /// Not verified: the status of the refusal while preboot swaps dynos. We assume 422; tools match on the text.
    pub preboot_refusal_status: u16,
    /// Not verified: which of two observed texts that refusal has. `true` says "until release phase and preboot
    /// complete", `false` "until preboot is complete".
    pub preboot_refusal_mentions_release_phase: bool,
    /// Not verified: whether a batch PATCH answers with every process type of the app, or only with those it touched.
    pub batch_answers_all_types: bool,
    /// Not verified: whether the 429 of the rate limit says when to come back. None was seen.
    pub rate_limit_retry_after: Option<Duration>,
    /// Not verified: whether an answer 429 carries `RateLimit-Remaining` and `RateLimit-Multiplier`.
    pub rate_limit_headers_on_429: bool,
    /// Not verified: whether a 304 costs a token as any other call.
    pub not_modified_costs_a_token: bool,
    /// Not verified: the status of `actions/stop`. We assume 202.
    pub stop_action_status: u16,
    /// Not verified: whether sessions of Cedar apps answer with server-sent events when asked; the command line client
    /// implies it, a comment in the SDK denies it.
    pub cedar_log_sessions_answer_events: bool,
    /// Not verified: whether a dyno that is being stopped still shows in the list (as `down`), or vanishes at once.
    pub stopping_dynos_stay_listed: bool,
    /// Not verified: whether process types at quantity 0 count when dyno sizes must not be mixed.
    pub empty_types_count_for_mixing: bool,
    /// Not verified: the text for more than 100 dynos in an app. `{limit}` stands for the limit.
    pub too_many_dynos_message: String,
    /// Not verified: the text for more Eco dynos than may run at once. `{limit}` stands for the limit.
    pub too_many_eco_dynos_message: String,
    /// Not verified: the text for a quantity that is no number of dynos. `{quantity}` stands for what was sent.
    pub bad_quantity_message: String,
}

impl Default for OpenQuestions {
    fn default() -> Self {
        Self {
            preboot_refusal_status: 422,
            preboot_refusal_mentions_release_phase: false,
            batch_answers_all_types: false,
            rate_limit_retry_after: None,
            rate_limit_headers_on_429: true,
            not_modified_costs_a_token: true,
            stop_action_status: 202,
            cedar_log_sessions_answer_events: true,
            stopping_dynos_stay_listed: false,
            empty_types_count_for_mixing: true,
            too_many_dynos_message: "Cannot update to more than {limit} dynos per app.".to_owned(),
            too_many_eco_dynos_message: "Cannot run more than {limit} Eco size dynos per app.".to_owned(),
            bad_quantity_message: "Quantity must be a whole number of dynos, not {quantity}.".to_owned(),
        }
    }
}
