//! The demo as a live picture in the terminal: load, readings with the two thresholds, processes, and every decision.
//!
//! It only looks at the story and draws; nothing that happens depends on it. `q`, Escape and Ctrl-C end the demo.

use std::{io, time::Duration};

use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph},
};

use super::{pace::Pace, plain, story::Story};

/// What is drawn beside the story.
pub struct Now {
    /// Since the demo began.
    pub at: Duration,
    /// Visitors that got their answer.
    pub served: u64,
    /// Visitors that did not.
    pub turned_away: u64,
    /// Where the app answers, for those who want to try it themselves.
    pub address: String,
    /// Where a browser sees the same.
    pub dashboard: String,
}

/// The terminal while it is ours; given back when dropped.
pub struct View {
    terminal: DefaultTerminal,
    coloured: bool,
}

impl View {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it cannot be drawn on.
    pub fn open(coloured: bool) -> io::Result<Self> {
        Ok(Self { terminal: ratatui::try_init()?, coloured })
    }

    /// Draws the present state.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, story: &Story, now: &Now, pace: &Pace) -> io::Result<()> {
        let coloured = self.coloured;
        self.terminal.draw(|frame| draw(frame, story, now, pace, coloured)).map(|_| ())
    }

    /// Whether somebody has asked for the end since the last time.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn is_left(&self) -> io::Result<bool> {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && ends(&key)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn ends(key: &KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

fn draw(frame: &mut Frame<'_>, story: &Story, now: &Now, pace: &Pace, coloured: bool) {
    let paint = |colour: Color| if coloured { Style::new().fg(colour) } else { Style::new() };
    // A terminal of 24 lines shows everything; in a taller one the readings get most of what there is more.
    let height = frame.area().height;
    let areas = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length((height / 6).clamp(4, 6)),
        Constraint::Min(7),
        Constraint::Length(3),
        Constraint::Length((height / 4).clamp(5, 12)),
    ]);
    let [head, load, readings, processes, decisions] = areas.areas(frame.area());
    draw_head(frame, head, now, pace);
    draw_load(frame, load, now, pace, &paint);
    draw_readings(frame, readings, story, now, pace, &paint);
    draw_processes(frame, processes, story, &paint);
    draw_decisions(frame, decisions, story, &paint);
}

type Paint<'a> = &'a dyn Fn(Color) -> Style;

fn draw_head(frame: &mut Frame<'_>, area: Rect, now: &Now, pace: &Pace) {
    let length = plain::clock(pace.length);
    let title = Line::from(vec![
        Span::from("autoscalebot demo").bold(),
        Span::from(format!("   {} of {}   q ends it", plain::clock(now.at).trim(), length.trim())),
    ]);
    let address = format!("a web app of real processes on this machine, behind a router at {}", now.address);
    let dashboard = Line::from(vec![Span::from("the dashboard is at "), Span::from(now.dashboard.as_str()).bold()]);
    frame.render_widget(Paragraph::new(vec![title, dashboard, Line::from(address).dim()]), area);
}

/// The whole curve, what is past of it bright.
fn draw_load(frame: &mut Frame<'_>, area: Rect, now: &Now, pace: &Pace, paint: Paint<'_>) {
    let end = pace.length.as_secs_f64().max(now.at.as_secs_f64());
    let curve: Vec<(f64, f64)> = (0..=200)
        .map(|step| {
            let second = end * f64::from(step) / 200.0;
            (second, pace.load_at(Duration::from_secs_f64(second)))
        })
        .collect();
    let past: Vec<(f64, f64)> = curve.iter().copied().filter(|(second, _)| *second <= now.at.as_secs_f64()).collect();
    let top = curve.iter().map(|(_, load)| *load).fold(1.0, f64::max) * 1.1;
    let title = format!(
        " load: {:.0} requests/s now, {} answered, {} turned away ",
        pace.load_at(now.at),
        now.served,
        now.turned_away
    );
    let line =
        |data, style| Dataset::default().data(data).marker(Marker::Braille).graph_type(GraphType::Line).style(style);
    let chart = Chart::new(vec![line(&curve, paint(Color::DarkGray)), line(&past, paint(Color::Blue))])
        .block(Block::bordered().title(title))
        .x_axis(Axis::default().bounds([0.0, end]))
        .y_axis(Axis::default().bounds([0.0, top]).labels(["0".to_owned(), format!("{top:.0}")]));
    frame.render_widget(chart, area);
}

fn draw_readings(frame: &mut Frame<'_>, area: Rect, story: &Story, now: &Now, pace: &Pace, paint: Paint<'_>) {
    let (low, high) = (pace.low_ms(), pace.high_ms());
    let top = (high * 3.0).max(story.slowest().unwrap_or(0.0)) * 1.05;
    let points: Vec<(f64, f64)> = story
        .readings
        .iter()
        .filter_map(|reading| match &reading.outcome {
            Ok(ms) => Some((reading.at.as_secs_f64(), *ms)),
            Err((_, true)) => Some((reading.at.as_secs_f64(), top)),
            Err((_, false)) => None,
        })
        .collect();
    let end = pace.length.as_secs_f64().max(now.at.as_secs_f64());
    let (low_line, high_line) = ([(0.0, low), (end, low)], [(0.0, high), (end, high)]);
    let line =
        |data, style| Dataset::default().data(data).marker(Marker::Braille).graph_type(GraphType::Line).style(style);
    let newest = match story.newest().map(|reading| &reading.outcome) {
        None => "no reading yet".to_owned(),
        Some(Ok(ms)) => format!("{ms:.0} ms"),
        Some(Err((why, _))) => why.clone(),
    };
    let title = Line::from(vec![
        Span::from(format!(" response time: {newest}   ")),
        Span::styled(format!("above {high:.0} ms is high"), paint(Color::Red)),
        Span::from(", "),
        Span::styled(format!("{low:.0} ms or less is low "), paint(Color::Green)),
    ]);
    let chart = Chart::new(vec![
        line(&low_line, paint(Color::Green)),
        line(&high_line, paint(Color::Red)),
        line(&points, paint(Color::Yellow)),
    ])
    .block(Block::bordered().title(title))
    .x_axis(Axis::default().bounds([0.0, end]))
    .y_axis(Axis::default().bounds([0.0, top]).labels([
        "0".to_owned(),
        format!("{:.0}", top / 2.0),
        format!("{top:.0}"),
    ]));
    frame.render_widget(chart, area);
}

fn draw_processes(frame: &mut Frame<'_>, area: Rect, story: &Story, paint: Paint<'_>) {
    let (min, max) = story.range.map_or((1, 1), |range| (range.min, range.max));
    let mut spans = vec![Span::from(" ")];
    for number in 1..=max.max(story.running) {
        let name = format!("web.{number}");
        spans.push(if number <= story.running {
            Span::styled(format!("■ {name}   "), paint(Color::Green)).bold()
        } else {
            Span::styled(format!("□ {name}   "), paint(Color::DarkGray))
        });
    }
    let title = format!(" processes: {} now, min {min}, max {max} ", story.running);
    frame.render_widget(Paragraph::new(Line::from(spans)).block(Block::bordered().title(title)), area);
}

fn draw_decisions(frame: &mut Frame<'_>, area: Rect, story: &Story, paint: Paint<'_>) {
    let room = usize::from(area.height.saturating_sub(3));
    let newest = story.happenings.iter().rev().take(room).rev().map(|happening| {
        let colour = match happening.change {
            Some((from, to)) if to > from => Color::Red,
            Some(_) => Color::Green,
            None => Color::Magenta,
        };
        Line::styled(plain::happening(happening), paint(colour))
    });
    let mut lines: Vec<Line<'_>> = newest.collect();
    if let Some(reading) = story.newest() {
        lines.push(Line::from(format!("{}    {}", plain::clock(reading.at), reading.thought)).dim());
    }
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" decisions ")), area);
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::bounds::Range;
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::command::demo::story::{Happening, Reading};

    #[test]
    fn the_picture_shows_load_readings_processes_and_decisions_at_any_size() {
        let reading = |second, ms| Reading {
            at: Duration::from_secs(second),
            outcome: Ok(ms),
            running: Some(2),
            thought: "1 reading in a row is above 500 ms, 3 needed".to_owned(),
        };
        let story = Story {
            readings: vec![reading(1, 130.0), reading(2, 700.0)],
            happenings: vec![Happening {
                at: Duration::from_secs(2),
                change: Some((1, 2)),
                why: "too slow".to_owned(),
            }],
            running: 2,
            range: Some(Range { min: 1, max: 5 }),
        };
        let now = Now {
            at: Duration::from_secs(3),
            served: 41,
            turned_away: 1,
            address: "http://here/".to_owned(),
            dashboard: "http://there/".to_owned(),
        };
        for (width, height) in [(100, 40), (80, 24), (20, 5), (1, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &story, &now, &Pace::new(120), true)).unwrap();
            if (width, height) == (100, 40) {
                let shown = terminal.backend().to_string();
                for part in [
                    "http://there/",
                    "700 ms",
                    "500 ms is high",
                    "■ web.2",
                    "□ web.3",
                    "web 1 → 2: too slow",
                    "3 needed",
                    "41 answered",
                ] {
                    assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
                }
            }
        }
    }
}
