//! The picture in a terminal: dots of braille, as wide as there is room, printed once and left standing.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style},
    symbols::Marker,
    text::Line,
    widgets::{Axis, Chart, Dataset, GraphType, Widget},
};

use super::{Data, axis, scene};
use crate::command::history::{
    table::Tone,
    words::{thresholds, with_unit},
};

/// Wide enough for an hour in minutes, where nobody says how wide.
const USUAL_WIDTH: usize = 100;

/// Nothing can be seen in less, and wider is slower to read.
const WIDTHS: (usize, usize) = (40, 160);

const READINGS_HEIGHT: u16 = 14;
const PROCESSES_HEIGHT: u16 = 9;

/// All of it.
#[must_use]
pub fn text(data: &Data, width: Option<usize>, coloured: bool) -> String {
    let width = u16::try_from(width.unwrap_or(USUAL_WIDTH).clamp(WIDTHS.0, WIDTHS.1)).unwrap_or(100);
    let mut text = format!("{}  {}\n", Tone::Bold.paint(&data.process, coloured), scene::subtitle(data));
    for (index, signal) in data.signals.iter().enumerate() {
        let (_, low, high) = signal.thresholds.last().copied().unwrap_or((data.from, None, None));
        let held = thresholds((low, high)).map(|held| format!(", thresholds {held}")).unwrap_or_default();
        let unit = if signal.unit.is_empty() { String::new() } else { format!(" in {}", signal.unit) };
        text.push_str(&format!("\n{}{unit}{held}\n", signal.backend));
        let Some(lines) = data.series.signals.get(index) else { continue };
        let points = points(data, &lines.mean);
        let flat = |value: Option<f64>| value.map(|value| flat(data, value)).unwrap_or_default();
        let (low_line, high_line) = (flat(low), flat(high));
        let highest = points.iter().chain(&high_line).map(|point| point.1).fold(0.0, f64::max);
        let lowest = points.iter().map(|point| point.1).fold(0.0, f64::min);
        let sets = vec![
            dataset(&high_line, Color::Red, GraphType::Line, Marker::Dot),
            dataset(&low_line, Color::Green, GraphType::Line, Marker::Dot),
            dataset(&points, Color::Blue, GraphType::Scatter, Marker::Braille),
        ];
        let numbers = axis::numbers(lowest, if highest > lowest { highest } else { 1.0 }, 4, false);
        text.push_str(&chart(data, sets, &numbers, (width, READINGS_HEIGHT), coloured));
    }
    let real = |counts: &[Option<i64>]| -> Vec<Option<f64>> {
        #[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 processes")]
        let real = |count: i64| count as f64;
        counts.iter().map(|count| count.map(real)).collect()
    };
    let (running, max) = (points(data, &real(&data.series.running)), points(data, &real(&data.series.max)));
    let min = points(data, &real(&data.series.min));
    let highest = running.iter().chain(&max).map(|point| point.1).fold(1.0, f64::max);
    text.push_str("\nprocesses, with the least and the most allowed\n");
    let sets = vec![
        dataset(&max, Color::DarkGray, GraphType::Scatter, Marker::Dot),
        dataset(&min, Color::DarkGray, GraphType::Scatter, Marker::Dot),
        dataset(&running, Color::Magenta, GraphType::Scatter, Marker::Braille),
    ];
    let numbers = axis::numbers(0.0, highest, 4, true);
    text.push_str(&chart(data, sets, &numbers, (width, PROCESSES_HEIGHT), coloured));
    text
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds")]
fn points(data: &Data, values: &[Option<f64>]) -> Vec<(f64, f64)> {
    let pairs = data.series.at_ms.iter().zip(values);
    pairs.filter_map(|(at, value)| Some((*at as f64, (*value)?))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds")]
fn flat(data: &Data, value: f64) -> Vec<(f64, f64)> {
    vec![(data.from.as_millisecond() as f64, value), (data.to.as_millisecond() as f64, value)]
}

fn dataset<'a>(points: &'a [(f64, f64)], colour: Color, kind: GraphType, marker: Marker) -> Dataset<'a> {
    Dataset::default().data(points).marker(marker).graph_type(kind).style(Style::new().fg(colour))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds")]
fn chart(data: &Data, sets: Vec<Dataset<'_>>, numbers: &[f64], (width, height): (u16, u16), coloured: bool) -> String {
    let bounds = [numbers.first().copied().unwrap_or(0.0), numbers.last().copied().unwrap_or(1.0)];
    let labels: Vec<Line<'_>> = numbers.iter().map(|number| Line::from(with_unit(*number, ""))).collect();
    let clock = |at: jiff::Timestamp| at.to_zoned_datetime(data.zone.clone()).strftime("%H:%M").to_string();
    let middle = jiff::Timestamp::from_millisecond((data.from.as_millisecond() + data.to.as_millisecond()) / 2);
    let times = [data.from, middle.unwrap_or(data.from), data.to].map(clock);
    let chart = Chart::new(sets)
        .x_axis(
            Axis::default()
                .bounds([data.from.as_millisecond() as f64, data.to.as_millisecond() as f64])
                .labels(times.map(Line::from)),
        )
        .y_axis(Axis::default().bounds(bounds).labels(labels))
        .legend_position(None);
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    lines(&buffer, coloured)
}

/// What was drawn, as text with the colours of a terminal.
fn lines(buffer: &Buffer, coloured: bool) -> String {
    let code = |colour: Color| match colour {
        Color::Red => "31",
        Color::Green => "32",
        Color::Blue => "34",
        Color::Magenta => "35",
        Color::DarkGray => "90",
        _ => "",
    };
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let (mut line, mut now) = (String::new(), "");
        for x in 0..buffer.area.width {
            let Some(cell) = buffer.cell((x, y)) else { continue };
            let next = if coloured { code(cell.fg) } else { "" };
            if next != now {
                line.push_str(&format!("\u{1b}[{}m", if next.is_empty() { "0" } else { next }));
                now = next;
            }
            line.push_str(cell.symbol());
        }
        if !now.is_empty() {
            line.push_str("\u{1b}[0m");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
