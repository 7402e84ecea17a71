//! Everything worth telling a person, one case each.
//!
//! An event is data. Log line, metric, notification text and dashboard row are renderings of it and live elsewhere, so
//! that the four can never disagree about what happened.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    bounds::Limit,
    condition::Phase,
    control::{Commanded, Mode},
    decision::{Direction, Reason},
    sample::{MeasureFailure, Sample},
    step::ScaleFailure,
};

/// Something a person may want to know about one process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A measurement was made, whatever came of it.
    Measured {
        /// Name of the measurement backend.
        backend: Arc<str>,
        /// What came of it.
        sample: Sample,
    },
    /// A signal cannot be measured.
    MeasurementFailed {
        /// Name of the measurement backend.
        backend: Arc<str>,
        /// The newest failure.
        failure: MeasureFailure,
        /// Failures in a row so far.
        in_a_row: u32,
        /// Whether this is new.
        phase: Phase,
    },
    /// A signal can be measured again.
    MeasurementRecovered {
        /// Name of the measurement backend.
        backend: Arc<str>,
        /// Failures in a row that are now over.
        failures: u32,
        /// From the first failure to now.
        lasted: Duration,
    },
    /// The platform does not say how many processes run.
    CountFailed {
        /// Why.
        failure: ScaleFailure,
        /// Whether this is new.
        phase: Phase,
    },
    /// The platform says again how many processes run.
    CountRecovered {
        /// For how long it did not.
        lasted: Duration,
    },
    /// The count is not what we left: someone else scales this process too.
    CountChangedElsewhere {
        /// What it should be by what we know.
        from: u32,
        /// What it is.
        to: u32,
    },
    /// More processes were started.
    ScaledUp {
        /// Before.
        from: u32,
        /// Now.
        to: u32,
        /// Why.
        reason: Reason,
        /// The bound that cut the wish short.
        limit: Option<Limit>,
    },
    /// Processes were stopped.
    ScaledDown {
        /// Before.
        from: u32,
        /// Now.
        to: u32,
        /// Why.
        reason: Reason,
        /// The bound that cut the wish short.
        limit: Option<Limit>,
    },
    /// A dry run: this would have been ordered.
    WouldScale {
        /// What runs.
        from: u32,
        /// What would run.
        to: u32,
        /// Why.
        reason: Reason,
    },
    /// The platform did not take an order.
    ScaleFailed {
        /// What runs.
        from: u32,
        /// What should run.
        to: u32,
        /// Why it should.
        reason: Reason,
        /// Why it does not.
        failure: ScaleFailure,
        /// Failures in a row so far.
        in_a_row: u32,
        /// When it is tried again.
        retry_in: Duration,
        /// Whether this is new.
        phase: Phase,
    },
    /// The platform takes orders again.
    ScaleRecovered {
        /// From the first refusal to now.
        lasted: Duration,
    },
    /// More is called for, but the process is at its max.
    NeedsExceededMax {
        /// What was called for.
        wanted: u32,
        /// The most allowed now.
        max: u32,
        /// Why it was called for.
        reason: Reason,
        /// Whether this is new, or over.
        phase: Phase,
    },
    /// Less is called for, but the process is at its min.
    NeedsBelowMin {
        /// What was called for.
        wanted: u32,
        /// The least allowed now.
        min: u32,
        /// Why it was called for.
        reason: Reason,
        /// Whether this is new, or over.
        phase: Phase,
    },
    /// The process is scaled too often in one direction.
    ScalingTooRapid {
        /// Which way.
        direction: Direction,
        /// How often.
        scales: u32,
        /// Within this time.
        period: Duration,
        /// Whether this is new, or over.
        phase: Phase,
    },
    /// The bot of this process crashed, and starts again.
    BotPanicked {
        /// What it said.
        message: String,
        /// When it starts again.
        restart_in: Duration,
    },
    /// Somebody told the bot what to do.
    Commanded {
        /// What, and why.
        commanded: Commanded,
    },
    /// A pause or a hold is over by itself.
    ControlExpired {
        /// What is over.
        mode: Mode,
        /// What stands again.
        #[serde(default, skip_serializing_if = "Mode::is_automatic")]
        then: Mode,
    },
    /// New settings hold for this process from now on.
    SettingsReloaded {
        /// What that means: `added`, `changed`, `removed`.
        change: String,
        /// Each setting that has another value now, in words; none when that is not known.
        #[serde(default)]
        settings: Vec<String>,
    },
    /// The changed settings file is not valid; the old settings go on.
    SettingsRejected {
        /// Every problem, one each.
        problems: Vec<String>,
    },
}
