//! The picture: a panel for each signal, one for the processes, and a title, a legend and axes around them.
//!
//! Colours are told apart also by those who do not see red and green as others do: what is above is red and dashed, and
//! is labelled; the marks of scales point up or down.

use autoscalebot_core::units::Finite;
use jiff::Timestamp;

use super::{
    Data, Scale, Signal, axis,
    shapes::{Anchor, Colour, Point, Scene, Shape, width_of},
};
use crate::command::history::time;

const WIDTH: f32 = 1200.0;
const LEFT: f32 = 76.0;
const RIGHT: f32 = 34.0;
const HEAD: f32 = 128.0;
const READINGS: f32 = 270.0;
const PROCESSES: f32 = 190.0;
/// Between panels: room for the heading of the next one.
const GAP: f32 = 46.0;
const FOOT: f32 = 52.0;

/// More scales than this are not drawn through the readings, nor labelled with counts: that would hide what it explains.
const MOST_LABELLED: usize = 30;

/// Marks that are closer than this get no number.
const LEAST_BETWEEN_LABELS: f32 = 14.0;

const INK: Colour = Colour(0x1f, 0x29, 0x33);
const QUIET: Colour = Colour(0x5b, 0x67, 0x74);
const GRID: Colour = Colour(0xe6, 0xea, 0xee);
const FRAME: Colour = Colour(0xb6, 0xc0, 0xca);
const READING: Colour = Colour(0x1b, 0x6e, 0xc2);
const SPREAD: Colour = Colour(0xcf, 0xe2, 0xf6);
const HIGH: Colour = Colour(0xc2, 0x2f, 0x2f);
const LOW: Colour = Colour(0x1c, 0x7c, 0x54);
const FAILED: Colour = Colour(0xd9, 0x6a, 0x00);
const RUNNING: Colour = Colour(0x3d, 0x2c, 0x8d);
const BOUNDS: Colour = Colour(0xee, 0xec, 0xf7);

/// A part of the picture with its own scale.
struct Panel {
    top: f32,
    bottom: f32,
    lowest: f64,
    highest: f64,
    from_ms: i64,
    to_ms: i64,
}

/// The picture of all that.
#[must_use]
pub fn of(data: &Data) -> Scene {
    let signals = f32::from(u16::try_from(data.signals.len()).unwrap_or(u16::MAX));
    let height = HEAD + signals * (READINGS + GAP) + PROCESSES + FOOT;
    let title = format!("{}: readings and processes", data.process);
    let mut scene = Scene { width: WIDTH, height, title, shapes: Vec::new() };
    head(data, &mut scene.shapes);
    let mut top = HEAD;
    for (index, signal) in data.signals.iter().enumerate() {
        readings(data, index, signal, top, &mut scene.shapes);
        top += READINGS + GAP;
    }
    processes(data, top, &mut scene.shapes);
    scene
}

/// What is shown, in a line.
#[must_use]
pub fn subtitle(data: &Data) -> String {
    let shown = |at| at_minute(at, data);
    let (from, to) = (shown(data.from), shown(data.to));
    let zone = time::zone_name(data.to, &data.zone);
    let scales = match data.scales.len() {
        0 => "no scale".to_owned(),
        1 => "1 scale".to_owned(),
        more => format!("{more} scales"),
    };
    let failures: i64 = data.series.signals.iter().flat_map(|signal| &signal.failures).sum();
    let failures = match failures {
        0 => String::new(),
        1 => ", 1 failed measurement".to_owned(),
        more => format!(", {more} failed measurements"),
    };
    format!("{from} to {to} ({zone}), {scales}{failures}")
}

fn at_minute(at: Timestamp, data: &Data) -> String {
    at.to_zoned_datetime(data.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

fn text(at: Point, anchor: Anchor, size: f32, colour: Colour, text: impl Into<String>) -> Shape {
    Shape::Text { at, anchor, size, colour, text: text.into() }
}

fn line(points: Vec<Point>, colour: Colour, width: f32) -> Shape {
    Shape::Line { points, colour, width, dashed: false }
}

fn head(data: &Data, shapes: &mut Vec<Shape>) {
    shapes.push(text((LEFT, 38.0), Anchor::Start, 22.0, INK, &data.process));
    shapes.push(text((LEFT, 60.0), Anchor::Start, 13.0, QUIET, subtitle(data)));
    let mut x = LEFT;
    let y = 82.0;
    let mut entry = |shapes: &mut Vec<Shape>, mark: Vec<Shape>, words: &str| {
        shapes.extend(mark);
        shapes.push(text((x + 30.0, y), Anchor::Start, 12.5, INK, words));
        x += 30.0 + width_of(words, 12.5) + 26.0;
        x
    };
    let stroke = |x: f32, colour, dashed| {
        let points = vec![(x, y - 4.5), (x + 24.0, y - 4.5)];
        vec![Shape::Line { points, colour, width: 2.0, dashed }]
    };
    let patch = |x: f32, colour| {
        let points = vec![(x, y - 11.0), (x + 24.0, y - 11.0), (x + 24.0, y + 1.0), (x, y + 1.0)];
        Shape::Area { points, colour }
    };
    let mut at = LEFT;
    if !data.signals.is_empty() {
        let mut mark = vec![patch(at, SPREAD)];
        mark.extend(stroke(at, READING, false));
        at = entry(shapes, mark, "reading: mean, lowest to highest");
        at = entry(shapes, stroke(at, HIGH, true), "above: high");
        at = entry(shapes, stroke(at, LOW, true), "at or below: low");
        at = entry(shapes, vec![failure(at + 12.0, y + 1.0, 12.0)], "failed");
    }
    let mut mark = vec![patch(at, BOUNDS)];
    mark.extend(stroke(at, RUNNING, false));
    at = entry(shapes, mark, "running, within its bounds");
    entry(
        shapes,
        vec![triangle(at + 6.0, y - 4.5, true, LOW), triangle(at + 19.0, y - 4.5, false, HIGH)],
        "scaled up, down",
    );
}

fn failure(x: f32, bottom: f32, height: f32) -> Shape {
    line(vec![(x, bottom), (x, bottom - height)], FAILED, 2.0)
}

fn triangle(x: f32, y: f32, up: bool, colour: Colour) -> Shape {
    let tip = if up { y - 6.0 } else { y + 6.0 };
    let base = if up { y + 4.0 } else { y - 4.0 };
    Shape::Area { points: vec![(x, tip), (x - 5.5, base), (x + 5.5, base)], colour }
}

impl Panel {
    fn new(data: &Data, top: f32, height: f32, grid: &[f64]) -> Self {
        Self {
            top,
            bottom: top + height,
            lowest: grid.first().copied().unwrap_or(0.0),
            highest: grid.last().copied().unwrap_or(1.0),
            from_ms: data.from.as_millisecond(),
            to_ms: data.to.as_millisecond().max(data.from.as_millisecond() + 1),
        }
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "pixels")]
    fn x(&self, at_ms: i64) -> f32 {
        let share = (at_ms - self.from_ms) as f64 / (self.to_ms - self.from_ms) as f64;
        LEFT + (WIDTH - LEFT - RIGHT) * (share.clamp(0.0, 1.0) as f32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    fn y(&self, value: f64) -> f32 {
        let share = (value - self.lowest) / (self.highest - self.lowest);
        self.bottom - (self.bottom - self.top) * (share.clamp(0.0, 1.0) as f32)
    }

    /// The grid, with numbers at the left.
    fn grid(&self, data: &Data, numbers: &[f64], heading: &str, shapes: &mut Vec<Shape>) {
        shapes.push(text((LEFT, self.top - 12.0), Anchor::Start, 13.0, INK, heading));
        for (at, _) in axis::times(data.from, data.to, &data.zone, 10) {
            let x = self.x(at.as_millisecond());
            shapes.push(line(vec![(x, self.top), (x, self.bottom)], GRID, 1.0));
        }
        for number in numbers {
            let y = self.y(*number);
            shapes.push(line(vec![(LEFT, y), (WIDTH - RIGHT, y)], GRID, 1.0));
            shapes.push(text((LEFT - 10.0, y + 4.5), Anchor::End, 12.0, QUIET, in_short(*number)));
        }
    }

    fn frame(&self, shapes: &mut Vec<Shape>) {
        let right = WIDTH - RIGHT;
        shapes.push(line(vec![(LEFT, self.top), (LEFT, self.bottom), (right, self.bottom)], FRAME, 1.2));
    }
}

fn in_short(number: f64) -> String {
    Finite::new(number).map(|number| number.to_string()).unwrap_or_default()
}

/// Parts of a line that belong together: indices of points without a long gap between them, and with a value.
fn pieces<Value: Copy>(data: &Data, values: &[Option<Value>]) -> Vec<Vec<(i64, Value)>> {
    let mut pieces: Vec<Vec<(i64, Value)>> = Vec::new();
    let mut last: Option<i64> = None;
    for (&at, value) in data.series.at_ms.iter().zip(values) {
        let Some(value) = value else { continue };
        match pieces.last_mut().filter(|_| last.is_some_and(|last| at - last <= data.longest_gap_ms)) {
            Some(piece) => piece.push((at, *value)),
            None => pieces.push(vec![(at, *value)]),
        }
        last = Some(at);
    }
    pieces
}

fn readings(data: &Data, index: usize, signal: &Signal, top: f32, shapes: &mut Vec<Shape>) {
    let Some(lines) = data.series.signals.get(index) else { return };
    let held: Vec<_> = in_force(data, signal);
    let limits = held.iter().flat_map(|(_, _, low, high)| [*low, *high]).flatten();
    let all = || lines.highest.iter().chain(&lines.lowest).flatten().copied();
    let highest = all().chain(limits).fold(0.0_f64, f64::max);
    let lowest = all().fold(0.0_f64, f64::min);
    let numbers = axis::numbers(lowest, if highest > lowest { highest * 1.02 } else { lowest + 1.0 }, 5, false);
    let panel = Panel::new(data, top, READINGS, &numbers);
    let unit = if signal.unit.is_empty() { "readings".to_owned() } else { signal.unit.clone() };
    panel.grid(data, &numbers, &format!("{unit}, by {}", signal.backend), shapes);
    for scale in data.scales.iter().filter(|_| data.scales.len() <= MOST_LABELLED) {
        let x = panel.x(scale.at.as_millisecond());
        shapes.push(line(vec![(x, panel.top), (x, panel.bottom)], FRAME, 1.0));
    }
    let spread: Vec<Option<(f64, f64)>> =
        lines.lowest.iter().zip(&lines.highest).map(|(low, high)| low.zip(*high)).collect();
    for piece in pieces(data, &spread).iter().filter(|piece| piece.len() > 1) {
        let upper = piece.iter().map(|(at, (_, high))| (panel.x(*at), panel.y(*high)));
        let lower = piece.iter().rev().map(|(at, (low, _))| (panel.x(*at), panel.y(*low)));
        shapes.push(Shape::Area { points: upper.chain(lower).collect(), colour: SPREAD });
    }
    for piece in pieces(data, &lines.mean) {
        let mut points: Vec<Point> = piece.iter().map(|(at, mean)| (panel.x(*at), panel.y(*mean))).collect();
        if let [(x, y)] = points[..] {
            // A single reading is a dot.
            points = vec![(x - 1.0, y), (x + 1.0, y)];
        }
        shapes.push(line(points, READING, 1.6));
    }
    for (at, failures) in data.series.at_ms.iter().zip(&lines.failures) {
        if *failures > 0 {
            shapes.push(failure(panel.x(*at), panel.bottom, 9.0));
        }
    }
    thresholds(&panel, &held, signal, shapes);
    panel.frame(shapes);
}

type InForce = (i64, i64, Option<f64>, Option<f64>);

/// From when to when which thresholds held, within the picture.
fn in_force(data: &Data, signal: &Signal) -> Vec<InForce> {
    let (from, to) = (data.from.as_millisecond(), data.to.as_millisecond());
    let mut all: Vec<InForce> = Vec::new();
    for (index, (since, low, high)) in signal.thresholds.iter().enumerate() {
        // What was in force first was so from the beginning, as far as anybody can tell.
        let begin = if index == 0 { from } else { since.as_millisecond().max(from) };
        let end = signal.thresholds.get(index + 1).map_or(to, |(next, _, _)| next.as_millisecond().min(to));
        match all.last_mut().filter(|last| (last.2, last.3) == (*low, *high)) {
            Some(last) => last.1 = end.max(last.1),
            None if begin < end => all.push((begin, end, *low, *high)),
            None => {}
        }
    }
    all
}

fn thresholds(panel: &Panel, held: &[InForce], signal: &Signal, shapes: &mut Vec<Shape>) {
    let unit = if signal.unit.is_empty() { String::new() } else { format!(" {}", signal.unit) };
    for (index, (from, to, low, high)) in held.iter().enumerate() {
        let is_newest = index + 1 == held.len();
        for (value, colour, is_high) in [(low, LOW, false), (high, HIGH, true)] {
            let Some(value) = value else { continue };
            let y = panel.y(*value);
            let points = vec![(panel.x(*from), y), (panel.x(*to), y)];
            shapes.push(Shape::Line { points, colour, width: 1.4, dashed: true });
            if is_newest {
                // Away from the other one, so that close ones do not cover each other; and on the paper.
                let above = is_high == (panel.bottom - y > 24.0 || !is_high) && y - panel.top > 18.0;
                let baseline = if above || panel.bottom - y < 20.0 { y - 5.0 } else { y + 14.0 };
                let label = format!("{}{unit}", in_short(*value));
                let (right, size) = (WIDTH - RIGHT - 4.0, 12.0);
                let left = right - width_of(&label, size) - 4.0;
                let box_ = vec![
                    (left, baseline - 11.0),
                    (right + 2.0, baseline - 11.0),
                    (right + 2.0, baseline + 3.0),
                    (left, baseline + 3.0),
                ];
                shapes.push(Shape::Area { points: box_, colour: Colour(255, 255, 255) });
                shapes.push(text((right, baseline), Anchor::End, size, colour, label));
            }
        }
    }
}

fn processes(data: &Data, top: f32, shapes: &mut Vec<Shape>) {
    let series = &data.series;
    let highest = series.running.iter().chain(&series.max).flatten().max().copied().unwrap_or(1).max(1);
    #[expect(clippy::cast_precision_loss, reason = "nobody runs 2^52 processes")]
    let real = |count: i64| count as f64;
    // Room for the marks above the highest count.
    let numbers = axis::numbers(0.0, real(highest) * 1.15 + 0.2, 5, true);
    let panel = Panel::new(data, top, PROCESSES, &numbers);
    let step = i64::try_from(series.step.as_millis()).unwrap_or(0);
    let bounds: Vec<Option<(i64, i64)>> = series.min.iter().zip(&series.max).map(|(min, max)| min.zip(*max)).collect();
    for piece in pieces(data, &bounds) {
        let steps = stepped(&piece, step);
        let upper = steps.iter().map(|(at, (_, max))| (panel.x(*at), panel.y(real(*max))));
        let lower = steps.iter().rev().map(|(at, (min, _))| (panel.x(*at), panel.y(real(*min))));
        shapes.push(Shape::Area { points: upper.chain(lower).collect(), colour: BOUNDS });
    }
    panel.grid(data, &numbers, "processes", shapes);
    for piece in pieces(data, &series.running) {
        let points = stepped(&piece, step).into_iter().map(|(at, count)| (panel.x(at), panel.y(real(count))));
        shapes.push(line(points.collect(), RUNNING, 2.2));
    }
    marks(data, &panel, shapes);
    panel.frame(shapes);
    for (at, label) in axis::times(data.from, data.to, &data.zone, 10) {
        let x = panel.x(at.as_millisecond());
        shapes.push(line(vec![(x, panel.bottom), (x, panel.bottom + 5.0)], FRAME, 1.2));
        shapes.push(text((x, panel.bottom + 20.0), Anchor::Middle, 12.0, QUIET, label));
    }
    let zone = format!("time in {}", time::zone_name(data.to, &data.zone));
    shapes.push(text((WIDTH - RIGHT, panel.bottom + 40.0), Anchor::End, 12.0, QUIET, zone));
}

/// A count holds until the next one.
fn stepped<Value: Copy>(piece: &[(i64, Value)], step: i64) -> Vec<(i64, Value)> {
    let mut points = Vec::with_capacity(piece.len() * 2);
    for (index, (at, value)) in piece.iter().enumerate() {
        let until = piece.get(index + 1).map_or(at + step, |(next, _)| *next);
        points.push((*at, *value));
        points.push((until, *value));
    }
    points
}

/// Where it was scaled: a mark that points, and the new count where there is room.
fn marks(data: &Data, panel: &Panel, shapes: &mut Vec<Shape>) {
    let mut last_label = f32::MIN;
    for Scale { at, from, to, is_dry_run } in &data.scales {
        let x = panel.x(at.as_millisecond());
        let up = to > from;
        let colour = match (*is_dry_run, up) {
            (true, _) => QUIET,
            (false, true) => LOW,
            (false, false) => HIGH,
        };
        let y = panel.y(f64::from((*to).max(*from)));
        let centre = y - 9.0;
        shapes.push(triangle(x, centre, up, colour));
        if data.scales.len() <= MOST_LABELLED && x - last_label >= LEAST_BETWEEN_LABELS {
            shapes.push(text((x, centre - 9.0), Anchor::Middle, 11.0, colour, to.to_string()));
            last_label = x;
        }
    }
}
