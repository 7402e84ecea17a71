//! The arguments of the commands that look back, and the help that teaches them.

use std::time::Duration;

use clap::Args;

use super::StoreArguments;
use crate::command::{journal, plot, replay, status};

/// How often `status --watch` draws when nobody says otherwise.
const WATCH_SECONDS: &str = "2";

const TIMES: &str = "\
Times: how long ago (90s, 30min, 2h, 1d), a time (03:00: the last one), a day (today, yesterday, monday, 2026-11-27),
both (\"yesterday 03:00\"), or RFC 3339. They are those of this machine's time zone, or of --time-zone.";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  autoscalebot status                  all processes, now
  autoscalebot status --watch          the same, again every two seconds; q ends it
  autoscalebot status --process web --json | jq '.processes[0].running'

It reads what the program has written down, so it answers in a second terminal and also when the program is down; then it
says for how long nothing was decided. RUNNING is what runs, with its bounds; READING the last reading, with the two
thresholds that it is held against; WHY the reason of the last decision.")]
pub struct StatusArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Only this process; may be given several times
    #[arg(long, short, value_name = "NAME")]
    process: Vec<String>,
    /// Draw it again and again, every so many seconds
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = WATCH_SECONDS, value_parser = seconds)]
    watch: Option<Duration>,
    /// Print JSON, as the API has it; with --watch a line each time
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected 0.1 to 3600 seconds".to_owned())
}

impl StatusArguments {
    pub(super) fn wish(self) -> status::Wish {
        let Self { store, process, watch, json } = self;
        status::Wish { store: store.store, processes: process, json, watch }
    }
}

#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  autoscalebot journal                               the newest fifty things that changed anything
  autoscalebot journal --process web --around 03:00  why did it scale at 3 a.m.?
  autoscalebot journal --since 2h --all              every decision, those that say the same folded
  autoscalebot journal --since yesterday --severity warning
  autoscalebot journal --since 1d --json | jq -r 'select(.order) | [.at, .order.to] | @tsv'

{TIMES}"))]
pub struct JournalArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Only this process; may be given several times
    #[arg(long, short, value_name = "NAME")]
    process: Vec<String>,
    /// From this time on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Half an hour before and after this time
    #[arg(long, value_name = "TIME", conflicts_with_all = ["since", "until"])]
    around: Option<String>,
    /// The zone of all times, such as Europe/Berlin; without it this machine's
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Decisions with an order, and events; this is what is shown anyway
    #[arg(long, conflicts_with = "all")]
    changes: bool,
    /// Every decision, also those that changed nothing
    #[arg(long)]
    all: bool,
    /// Only this kind: decision, scaled_up, scale_failed, …; may be given several times
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only events that are at least this severe: info, warning, error
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<String>,
    /// At most so many, the newest
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

impl JournalArguments {
    pub(super) fn wish(self) -> journal::Wish {
        journal::Wish {
            store: self.store.store,
            processes: self.process,
            since: self.since,
            until: self.until,
            around: self.around,
            time_zone: self.time_zone,
            all: self.all,
            kinds: self.kind,
            severity: self.severity,
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            json: self.json,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  autoscalebot replay                                     prove everything that is kept
  autoscalebot replay --process web --since yesterday     a day of one process
  autoscalebot replay --since 1d --settings other.toml    what other settings would have done

Without --settings each tick is decided once more, by the settings that were in force then, and must come to the same to
the last digit; else the first difference is shown and the exit code is 1. With --settings the other settings decide on
the readings that were recorded, and both are shown side by side; nothing is connected to, and nothing is scaled.

{TIMES}"))]
pub struct ReplayArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Only this process; may be given several times
    #[arg(long, short, value_name = "NAME")]
    process: Vec<String>,
    /// From this time on
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The zone of all times, such as Europe/Berlin; without it this machine's
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Other settings: what would have happened with them
    #[arg(long, short, value_name = "FILE")]
    settings: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ReplayArguments {
    pub(super) fn wish(self) -> replay::Wish {
        replay::Wish {
            store: self.store.store,
            processes: self.process,
            since: self.since,
            until: self.until,
            time_zone: self.time_zone,
            settings: self.settings,
            json: self.json,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  autoscalebot plot --process web                              the last day, here in the terminal
  autoscalebot plot --process web --since 1w -o week.svg       a picture for documents and browsers
  autoscalebot plot --process web --since 03:00 -o night.png   a picture for chats and mails

Ranges of some days and more are drawn in steps of five minutes, which are kept for longer than single decisions.

{TIMES}"))]
pub struct PlotArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// The process; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    process: Option<String>,
    /// From this time on; without it, the last day
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The zone of all times, such as Europe/Berlin; without it this machine's
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Where to write the picture: a name that ends in .svg or .png; without it, it is drawn in the terminal
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
}

impl PlotArguments {
    pub(super) fn wish(self) -> plot::Wish {
        let Self { store, process, since, until, time_zone, output } = self;
        plot::Wish { store: store.store, process, since, until, time_zone, output }
    }
}
