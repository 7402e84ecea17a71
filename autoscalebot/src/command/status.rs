//! `autoscalebot status`: all processes as the store knows them, once or again and again.
//!
//! It asks no bot and no platform. So it also answers when the program is down, and then says that nothing was decided for
//! a while, which is the most important thing there is to say.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use autoscalebot_core::control::Mode;
use autoscalebot_engine::{
    clock::{Clock, SystemClock},
    host::Host,
    store::Overview,
};
use jiff::Timestamp;
use ratatui::crossterm::{
    cursor,
    event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    execute, queue,
    terminal::{self, ClearType},
};
use serde_json::{Value, json};

use super::history::{
    self, Ended, History,
    table::{Cell, Table, Tone},
    time, words,
};
use crate::{cli::Surroundings, command, exit::Exit, status::Status};

/// How often the keyboard is looked at while a picture stands.
const GLANCE: Duration = Duration::from_millis(100);

/// What exactly was asked for.
pub struct Wish {
    /// Where history is kept.
    pub store: Option<String>,
    /// Only these processes; all when empty.
    pub processes: Vec<String>,
    /// Print JSON.
    pub json: bool,
    /// Again and again, after so long.
    pub watch: Option<Duration>,
}

/// Shows all processes.
pub fn run(wish: &Wish, around: &Surroundings) -> Exit {
    history::with(wish.store.as_deref(), around, async |history| {
        history.chosen(&wish.processes)?;
        match wish.watch {
            None => {
                let rows = rows(&history, wish).await?;
                Ok(command::print(&shown(&rows, &history, wish, history.now, &Look::of(around), &around.host)))
            }
            Some(pause) if !wish.json && Look::of(around).is_terminal => in_place(&history, wish, pause, around).await,
            Some(pause) => appended(&history, wish, pause, around).await,
        }
    })
}

/// How the output is looked at.
struct Look {
    is_terminal: bool,
    coloured: bool,
    width: Option<usize>,
}

impl Look {
    fn of(around: &Surroundings) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let width = if is_terminal { terminal::size().ok().map(|(width, _)| usize::from(width)) } else { None };
        Self { is_terminal, coloured: is_terminal && history::may_colour(around), width }
    }
}

async fn rows(history: &History, wish: &Wish) -> Result<Vec<Overview>, Ended> {
    let chosen: BTreeSet<&String> = wish.processes.iter().collect();
    let all = history.reader.overview().await?;
    Ok(all.into_iter().filter(|row| chosen.is_empty() || chosen.contains(&row.process)).collect())
}

fn shown(rows: &[Overview], history: &History, wish: &Wish, now: Timestamp, look: &Look, host: &Host) -> String {
    if wish.json {
        let processes: Vec<Value> = rows.iter().map(|row| as_json(row, now, host)).collect();
        let all = json!({"now": words::json_time(now), "processes": processes});
        return match wish.watch {
            // A line each, for programs that read line by line.
            Some(_) => format!("{all}\n"),
            None => format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default()),
        };
    }
    let mut text = table(rows, now, host).lines(look.width, look.coloured).join("\n");
    text.push('\n');
    for line in footer(rows, history, now) {
        text.push_str(&format!("\n{}", Tone::Warning.paint(&line, look.coloured)));
    }
    if text.ends_with('\n') { text } else { format!("{text}\n") }
}

/// The table: one row per process.
fn table(rows: &[Overview], now: Timestamp, host: &Host) -> Table {
    let headings = vec!["PROCESS", "RUNNING", "WANTED", "READING", "STATUS", "LAST SCALE", "DECIDED", "WHY"];
    let mut table = Table::new(headings, 7);
    for row in rows {
        let range = row.outcome.range;
        let running = row.running();
        let count = running.map_or("?".to_owned(), |running| running.to_string());
        let wanted = row.outcome.decision.wanted;
        let is_other = running.is_some_and(|running| running != wanted) && row.outcome.running.is_some();
        let (status, tone) = status_words(row, now);
        let silent = row.is_silent(now);
        let decided = Cell::new(time::ago_in_words(row.at, now), if silent { Tone::Bad } else { Tone::Plain });
        let why = match row.outcome.limit {
            Some(limit) if running == Some(wanted) => {
                format!("{}; at the {limit}", row.outcome.decision.reason.sentence)
            }
            _ => row.outcome.decision.reason.sentence.clone(),
        };
        table.push(vec![
            Cell::new(&row.process, Tone::Bold),
            format!("{count} ({}–{})", range.min, range.max).into(),
            if is_other { wanted.to_string().into() } else { Cell::default() },
            reading(row, host).into(),
            Cell::new(status, tone),
            row.last_scale.as_ref().map_or_else(
                || Cell::new("none yet", Tone::Dim),
                |scale| format!("{} → {}, {}", scale.from, scale.to, time::ago_in_words(scale.at, now)).into(),
            ),
            decided,
            autoscalebot_engine::notification::text::one_line(&why).into(),
        ]);
    }
    table
}

/// The last reading of each signal with its thresholds: `350 ms (400 to 1200)`.
fn reading(row: &Overview, host: &Host) -> String {
    let signals = row.spec.signals.iter().zip(&row.samples).map(|(signal, sample)| {
        let reading = sample.as_ref().map_or("none yet".to_owned(), |sample| words::sample(sample, &signal.unit));
        match words::thresholds(signal.thresholds(host)) {
            Some(thresholds) => format!("{reading} ({thresholds})"),
            None => reading,
        }
    });
    signals.collect::<Vec<_>>().join(", ")
}

fn status(row: &Overview, now: Timestamp) -> Status {
    Status::by(row.is_silent(now), Some(&row.outcome), &row.control.mode, row.is_failing())
}

fn status_words(row: &Overview, now: Timestamp) -> (String, Tone) {
    let until = |until: Option<Duration>| {
        let at = until.and_then(|until| Timestamp::from_microsecond(i64::try_from(until.as_micros()).ok()?).ok());
        let left = at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        left.map(|left| format!(", {} more", time::length(left))).unwrap_or_default()
    };
    let (words, tone) = match status(row, now) {
        Status::Stalled => ("silent".to_owned(), Tone::Bad),
        Status::Paused => (format!("paused{}", until(row.control.mode.until())), Tone::Warning),
        Status::Held => {
            let count =
                if let Mode::Held { count, .. } = row.control.mode { format!(" at {count}") } else { String::new() };
            (format!("held{count}{}", until(row.control.mode.until())), Tone::Warning)
        }
        Status::CountUnknown => ("count unknown".to_owned(), Tone::Bad),
        Status::BackingOff => ("platform refused".to_owned(), Tone::Bad),
        Status::Waiting => ("waiting".to_owned(), Tone::Plain),
        Status::HeldBusy => ("busy, not stopped".to_owned(), Tone::Plain),
        Status::ScalingUp => ("scaling up".to_owned(), Tone::Good),
        Status::ScalingDown => ("scaling down".to_owned(), Tone::Good),
        Status::MeasurementFailing => ("not measured".to_owned(), Tone::Bad),
        Status::AtMax => ("at max".to_owned(), Tone::Warning),
        Status::AtMin => ("at min".to_owned(), Tone::Plain),
        Status::Steady | Status::Starting => ("steady".to_owned(), Tone::Plain),
    };
    let dry = if is_dry_run(row) { ", dry run" } else { "" };
    (format!("{words}{dry}"), tone)
}

fn is_dry_run(row: &Overview) -> bool {
    row.control.dry_run || row.spec.is_dry_run
}

/// What is missing, and what it may mean.
fn footer(rows: &[Overview], history: &History, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let silent: Vec<&Overview> = rows.iter().filter(|row| row.is_silent(now)).collect();
    if let Some(newest) = silent.iter().map(|row| row.at).max() {
        let age = time::ago_in_words(newest, now).replace(" ago", "");
        lines.push(if silent.len() == rows.len() {
            format!("no decision for {age}: is the program running?")
        } else {
            let names: Vec<&str> = silent.iter().take(5).map(|row| row.process.as_str()).collect();
            let more = if silent.len() > 5 { ", …" } else { "" };
            format!("no decision for {age} and more: {}{more}. Was it taken out of the settings?", names.join(", "))
        });
    }
    if rows.is_empty() {
        lines.push(format!("nothing was decided yet in {}", history.shown));
    }
    lines
}

/// A process as the API shows it, as far as the store knows it.
fn as_json(row: &Overview, now: Timestamp, host: &Host) -> Value {
    let (outcome, mode) = (&row.outcome, &row.control.mode);
    let at_once = |until: Duration| {
        let micros = i64::try_from(until.as_micros()).ok()?;
        Timestamp::from_microsecond(micros).ok().map(words::json_time)
    };
    let (kind, scope, count) = match mode {
        Mode::Automatic => ("automatic", None, None),
        Mode::Paused { scope, .. } => ("paused", Some(*scope), None),
        Mode::Held { count, .. } => ("held", None, Some(*count)),
    };
    let signals = row.spec.signals.iter().zip(&row.samples).enumerate().map(|(index, (signal, sample))| {
        let (low, high) = signal.thresholds(host);
        let (reading, failure) = sample.as_ref().map(words::sample_json).unwrap_or_default();
        json!({
            "index": index, "backend": signal.measurement, "unit": signal.unit, "reading": reading, "failure": failure,
            "at": sample.as_ref().map(|sample| words::json_time(sample.at.civil)), "low": low, "high": high,
            "interval_seconds": signal.interval.as_secs_f64(),
        })
    });
    let last_scale = row.last_scale.as_ref().map(|scale| {
        let at = words::json_time(scale.at);
        json!({"at": at, "from": scale.from, "to": scale.to, "sentence": scale.reason.sentence})
    });
    json!({
        "name": row.process,
        "running": row.running(), "wanted": outcome.running.map(|_| outcome.decision.wanted),
        "min": outcome.range.min, "max": outcome.range.max,
        "status": status(row, now),
        "mode": {
            "kind": kind, "scope": scope, "count": count,
            "until": mode.until().and_then(at_once), "reason": mode.reason(),
        },
        "dry_run": is_dry_run(row),
        "reason": outcome.decision.reason,
        "signals": signals.collect::<Vec<_>>(),
        "last_tick_at": words::json_time(row.at),
        "last_scale": last_scale,
        "settings_version": row.version,
    })
}

/// Tables one after the other, until the reader goes away or a signal ends the program.
async fn appended(history: &History, wish: &Wish, pause: Duration, around: &Surroundings) -> Result<Exit, Ended> {
    let clock = SystemClock::new();
    loop {
        let now = clock.now().civil;
        let mut text = shown(&rows(history, wish).await?, history, wish, now, &Look::of(around), &around.host);
        if !wish.json {
            text = format!("{}\n{text}\n", words::json_time(now));
        }
        let mut output = io::stdout().lock();
        if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
            return Ok(Exit::FINE);
        }
        drop(output);
        clock.sleep(pause).await;
    }
}

/// The terminal while it is ours; given back when dropped, also by a panic.
struct Screen;

impl Screen {
    fn open() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Writes over what stands there, line by line, so that nothing flickers.
    fn draw(&self, text: &str) -> io::Result<()> {
        let (_, height) = terminal::size()?;
        let mut output = io::BufWriter::new(io::stdout().lock());
        queue!(output, terminal::BeginSynchronizedUpdate, cursor::MoveTo(0, 0))?;
        let lines: Vec<&str> = text.lines().collect();
        let room = usize::from(height.max(2)) - 1;
        for line in lines.iter().take(room) {
            write!(output, "{line}")?;
            queue!(output, terminal::Clear(ClearType::UntilNewLine))?;
            write!(output, "\r\n")?;
        }
        queue!(output, terminal::Clear(ClearType::FromCursorDown))?;
        if lines.len() > room {
            write!(output, "… {} more lines; --process shows one alone", lines.len() - room)?;
        }
        queue!(output, terminal::EndSynchronizedUpdate)?;
        output.flush()
    }

    fn is_left() -> io::Result<bool> {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if key.kind == KeyEventKind::Press
                    && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to give back.
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// One table, drawn over again and again.
async fn in_place(history: &History, wish: &Wish, pause: Duration, around: &Surroundings) -> Result<Exit, Ended> {
    let gone = |error: io::Error| Ended::With(history::failed(&format!("the terminal cannot be drawn on: {error}")));
    let clock = SystemClock::new();
    let screen = Screen::open().map_err(gone)?;
    loop {
        let now = clock.now();
        let mut text = match rows(history, wish).await {
            Ok(rows) => shown(&rows, history, wish, now.civil, &Look::of(around), &around.host),
            // A database that is down for a moment is no reason to go away.
            Err(Ended::Read(error)) => format!("{error}\n"),
            Err(ended) => return Err(ended),
        };
        let head = format!("{}  every {}, q ends it", history.shown, time::length(pause));
        text = format!("{}\n\n{text}", Tone::Dim.paint(&head, history::may_colour(around)));
        screen.draw(&text).map_err(gone)?;
        let until = now.since_start.saturating_add(pause);
        while clock.now().since_start < until {
            if Screen::is_left().map_err(gone)? {
                return Ok(Exit::FINE);
            }
            clock.sleep(GLANCE.min(pause)).await;
        }
    }
}
