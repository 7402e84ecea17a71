//! `autoscalebot plot`: a picture of one process: its readings with the thresholds, and below them how many ran.
//!
//! ```text
//!  store ─► Data ─► scene (shapes on a plane) ─┬─► svg: text, for browsers and documents
//!                                              ├─► png: pixels, for chats and mails
//!            └────► terminal: braille, at once └
//! ```
//!
//! The picture is made of five kinds of shapes that we draw ourselves, so both files show the very same, and neither
//! needs a font or a library of the machine.

mod axis;
mod png;
mod scene;
mod shapes;
mod svg;
mod terminal;

use std::path::Path;

use autoscalebot_core::event::Event;
use autoscalebot_engine::{
    host::Host,
    store::{EventsWish, Series, SeriesWish},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::history::{self, Ended, History, time};
use crate::{cli::Surroundings, command, exit::Exit};

/// Points of a line: about one for each pixel column of a picture.
const POINTS: u32 = 1_000;

/// Points of a line in the terminal: two for each column of a wide one.
const POINTS_IN_TERMINAL: u32 = 300;

/// More marks than this are no marks any more.
const MOST_SCALES: u32 = 1_000;

/// What is shown when nobody says since when.
const USUAL_RANGE: SignedDuration = SignedDuration::from_hours(24);

/// What exactly was asked for.
pub struct Wish {
    /// Where history is kept.
    pub store: Option<String>,
    /// The process.
    pub process: Option<String>,
    /// From then on.
    pub since: Option<String>,
    /// Until then.
    pub until: Option<String>,
    /// The zone of times.
    pub time_zone: Option<String>,
    /// The picture's file; without it, it is drawn in the terminal.
    pub output: Option<String>,
}

/// Everything that a picture shows.
pub struct Data {
    /// The process.
    pub process: String,
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// In which times are written.
    pub zone: TimeZone,
    /// The lines.
    pub series: Series,
    /// What the lines of readings are.
    pub signals: Vec<Signal>,
    /// Changes of the count.
    pub scales: Vec<Scale>,
    /// A line is not drawn across a longer time without anything. The dashboard has the same rule, in `history.js`.
    pub longest_gap_ms: i64,
}

/// What one signal measures, and what its readings are held against.
pub struct Signal {
    /// Name of the measurement backend.
    pub backend: String,
    /// The unit of its readings.
    pub unit: String,
    /// Since when which thresholds held, oldest first.
    pub thresholds: Vec<(Timestamp, Option<f64>, Option<f64>)>,
}

/// A change of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// When.
    pub at: Timestamp,
    /// Before.
    pub from: u32,
    /// After.
    pub to: u32,
    /// Whether it was only told, in a dry run.
    pub is_dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

/// Draws.
pub fn run(wish: &Wish, around: &Surroundings) -> Exit {
    let zone = match history::zone(wish.time_zone.as_deref()) {
        Ok(zone) => zone,
        Err(code) => return code,
    };
    let format = match wish.output.as_deref().map(format_of).transpose() {
        Ok(format) => format,
        Err(code) => return code,
    };
    history::with(wish.store.as_deref(), around, async |history| {
        let process = process(wish, &history)?;
        let (since, until) = history::range(wish.since.as_deref(), wish.until.as_deref(), history.now, &zone)?;
        let to = until.unwrap_or(history.now);
        let from = since.unwrap_or_else(|| to.saturating_sub(USUAL_RANGE).unwrap_or(Timestamp::UNIX_EPOCH));
        let points = if format.is_some() { POINTS } else { POINTS_IN_TERMINAL };
        let data = gather(&history, process, (from, to), zone, points, &around.host).await?;
        if data.series.at_ms.is_empty() {
            let shown = |at| time::with_date(at, &data.zone);
            let problem = format!("nothing is kept of {} from {} to {}", data.process, shown(from), shown(to));
            return Err(history::failed(&problem).into());
        }
        let (Some(format), Some(output)) = (format, wish.output.as_deref()) else {
            let coloured = history::width().is_some() && history::may_colour(around);
            return Ok(command::print(&terminal::text(&data, history::width(), coloured)));
        };
        let scene = scene::of(&data);
        let bytes = match format {
            Format::Svg => svg::text(&scene).into_bytes(),
            Format::Png => png::bytes(&scene).map_err(|problem| history::failed(&problem))?,
        };
        let path = around.folder.join(output);
        std::fs::write(&path, bytes)
            .map_err(|error| history::failed(&format!("{} cannot be written: {error}", path.display())))?;
        Ok(command::print(&format!("{output}: {}\n", scene::subtitle(&data))))
    })
}

fn format_of(output: &str) -> Result<Format, Exit> {
    let ending = Path::new(output).extension().map(|ending| ending.to_ascii_lowercase());
    match ending.as_ref().and_then(|ending| ending.to_str()) {
        Some("svg") => Ok(Format::Svg),
        Some("png") => Ok(Format::Png),
        _ => Err(history::refused(
            &format!("--output {output:?}: the ending says which kind of picture it is"),
            "a name that ends in .svg or .png",
        )),
    }
}

/// The only one, or the one that was named.
fn process(wish: &Wish, history: &History) -> Result<String, Exit> {
    let names: Vec<String> = wish.process.iter().cloned().collect();
    let mut chosen = history.chosen(&names)?;
    match (chosen.len(), chosen.pop()) {
        (1, Some(process)) => Ok(process),
        _ => Err(history::refused(
            "a picture shows one process",
            &format!("--process, one of: {}", history.processes.join(", ")),
        )),
    }
}

async fn gather(
    history: &History,
    process: String,
    (from, to): (Timestamp, Timestamp),
    zone: TimeZone,
    points: u32,
    host: &Host,
) -> Result<Data, Ended> {
    let reader = &history.reader;
    let versions = reader.versions(&process).await?;
    // Later settings may have more or fewer signals; what is shown is what the newest of this time measure.
    let newest = versions.iter().rev().find(|version| version.since < to).or(versions.first());
    let signals: Vec<Signal> = newest.map_or_else(Vec::new, |newest| {
        let signal = |(index, spec): (usize, &autoscalebot_engine::policy::SignalSpec)| {
            let same = versions.iter().filter_map(|version| Some((version.since, version.spec.signals.get(index)?)));
            let thresholds = same.map(|(since, spec)| {
                let (low, high) = spec.thresholds(host);
                (since, low, high)
            });
            let (backend, unit) = (spec.measurement.clone(), spec.unit.clone());
            Signal { backend, unit, thresholds: thresholds.collect() }
        };
        newest.spec.signals.iter().enumerate().map(signal).collect()
    });
    let interval = newest.into_iter().flat_map(|newest| &newest.spec.signals).map(|signal| signal.interval).max();
    let series = reader.series(&process, signals.len(), &SeriesWish { from, to, points }).await?;
    let step = series.step.max(interval.unwrap_or_default());
    let longest_gap_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX / 4).saturating_mul(3);
    let mut scales = Vec::new();
    for kind in ["scaled_up", "scaled_down", "would_scale"] {
        let question = EventsWish {
            process: Some(process.clone()),
            from: Some(from),
            to: Some(to),
            kind: Some(kind.to_owned()),
            limit: MOST_SCALES,
            ..EventsWish::default()
        };
        scales.extend(reader.events(&question).await?.items.into_iter().filter_map(|row| match row.event {
            Event::ScaledUp { from, to, .. } | Event::ScaledDown { from, to, .. } => {
                Some(Scale { at: row.at, from, to, is_dry_run: false })
            }
            Event::WouldScale { from, to, .. } => Some(Scale { at: row.at, from, to, is_dry_run: true }),
            _ => None,
        }));
    }
    scales.sort_by_key(|scale| scale.at);
    Ok(Data { process, from, to, zone, series, signals, scales, longest_gap_ms })
}
