//! An event as a log line; the only file that names log fields.
//!
//! Text is lower case and without a full stop; whatever varies is a field. Levels: `warn` for what a person may have to
//! act on, `info` for what changed, `debug` for every measurement and decision.

use autoscalebot_core::{condition::Phase, event::Event, names::ProcessName, step::Outcome, units::in_words};
use tracing::{debug, info, warn};

/// Logs a decision.
pub fn decided(process: &ProcessName, outcome: &Outcome) {
    debug!(
        %process,
        running = outcome.running,
        wanted = outcome.decision.wanted,
        reason = outcome.decision.reason.key.as_ref(),
        "{}", outcome.decision.reason.sentence
    );
}

/// Logs an event.
pub fn happened(process: &ProcessName, event: &Event) {
    match event {
        Event::Measured { backend, sample } => match &sample.outcome {
            Ok(_) => debug!(%process, %backend, reading = sample.number().map(|number| number.get()), "measured"),
            Err(failure) => debug!(%process, %backend, key = failure.key.as_ref(), error = failure.message, "measured"),
        },
        Event::MeasurementFailed { backend, failure, in_a_row, phase } => {
            let key = failure.key.as_ref();
            warn!(%process, %backend, key, in_a_row, phase = word(phase), error = failure.message, "measurement failed");
        }
        Event::MeasurementRecovered { backend, failures, lasted } => {
            info!(%process, %backend, failures, lasted = in_words(*lasted), "measurement recovered");
        }
        Event::CountFailed { failure, phase } => {
            let key = failure.key.as_ref();
            warn!(%process, key, phase = word(phase), error = failure.message, "the number of running processes is unknown");
        }
        Event::CountRecovered { lasted } => {
            info!(%process, lasted = in_words(*lasted), "the number of running processes is known again");
        }
        Event::CountChangedElsewhere { from, to } => info!(%process, from, to, "count changed by someone else"),
        Event::ScaledUp { from, to, reason, .. } => {
            info!(%process, from, to, reason = reason.sentence, "scaled up");
        }
        Event::ScaledDown { from, to, reason, .. } => {
            info!(%process, from, to, reason = reason.sentence, "scaled down");
        }
        Event::WouldScale { from, to, reason } => {
            info!(%process, from, to, reason = reason.sentence, "would scale (dry run)");
        }
        Event::ScaleFailed { from, to, reason, failure, in_a_row, retry_in, phase } => warn!(
            %process, from, to, reason = reason.sentence, key = failure.key.as_ref(), in_a_row,
            retry_in = in_words(*retry_in), phase = word(phase), error = failure.message, "scale failed"
        ),
        Event::ScaleRecovered { lasted } => info!(%process, lasted = in_words(*lasted), "scaling works again"),
        Event::NeedsExceededMax { wanted, max, reason, phase } => {
            info!(%process, wanted, max, reason = reason.sentence, phase = word(phase), "needs exceed max");
        }
        Event::NeedsBelowMin { wanted, min, reason, phase } => {
            debug!(%process, wanted, min, reason = reason.sentence, phase = word(phase), "needs below min");
        }
        Event::ScalingTooRapid { direction, scales, period, phase } => {
            warn!(%process, %direction, scales, period = in_words(*period), phase = word(phase), "scaling is too rapid");
        }
        Event::BotPanicked { message, restart_in } => {
            tracing::error!(%process, error = message, restart_in = in_words(*restart_in), "bot crashed");
        }
        Event::Commanded { commanded } => {
            info!(%process, reason = commanded.reason, command = commanded.command.in_words(), "commanded");
        }
        Event::ControlExpired { mode, then } => {
            info!(%process, what = mode.in_words(), then = then.in_words(), "over by itself");
        }
        Event::SettingsReloaded { change, settings } => {
            info!(%process, change, settings = settings.join("; "), "settings reloaded");
        }
        Event::SettingsRejected { problems } => {
            warn!(%process, problems = problems.join("; "), "settings rejected, the old ones go on");
        }
    }
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Began => "began",
        Phase::Persists(_) => "persists",
        Phase::Ended(_) => "ended",
    }
}
