//! The demo in plain lines, for pipes, logs and `--plain`: one per reading, one per decision, with a bar of text.

use std::time::Duration;

use super::{
    pace::Pace,
    story::{Happening, Reading, Story},
};

/// Letters of a full bar.
const BAR: usize = 40;

/// A full bar means this many times the upper threshold; a reading may be longer than that and is then cut.
const FULL: f64 = 2.0;

/// `  0:12  web ■■□□□  |####|###   :         |  312 ms  14 requests/s`
#[must_use]
pub fn reading(reading: &Reading, story: &Story, pace: &Pace) -> String {
    let value = match &reading.outcome {
        Ok(ms) => format!("{ms:5.0} ms"),
        Err((why, true)) => format!("   high ({why})"),
        Err((why, false)) => format!("unknown ({why})"),
    };
    let length = match &reading.outcome {
        Ok(ms) => *ms,
        Err((_, true)) => f64::INFINITY,
        Err((_, false)) => 0.0,
    };
    let most = story.range.map_or(0, |range| range.max);
    let processes = processes(reading.running.unwrap_or(story.running), most);
    let load = pace.load_at(reading.at);
    format!("{}  web {processes}  {}  {value}  {load:3.0} requests/s", clock(reading.at), bar(length, pace))
}

/// `  0:12  ▲ web 1 → 2: 3 readings in a row above 500 ms (…)`
#[must_use]
pub fn happening(happening: &Happening) -> String {
    let at = clock(happening.at);
    match happening.change {
        Some((from, to)) => format!("{at}  {} web {from} → {to}: {}", arrow(from, to), happening.why),
        None => format!("{at}  ! {}", happening.why),
    }
}

/// Up or down.
#[must_use]
pub fn arrow(from: u32, to: u32) -> char {
    if to > from { '▲' } else { '▼' }
}

/// Those that run, and those that could.
#[must_use]
pub fn processes(running: u32, most: u32) -> String {
    let running = running as usize;
    let others = (most as usize).saturating_sub(running);
    format!("{}{}", "■".repeat(running), "□".repeat(others))
}

/// ` 1:05`
#[must_use]
pub fn clock(since_start: Duration) -> String {
    let seconds = since_start.as_secs();
    format!("{:2}:{:02}", seconds / 60, seconds % 60)
}

/// A bar with a mark at each threshold.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the length of the bar before")]
fn bar(ms: f64, pace: &Pace) -> String {
    let place = |ms: f64| ((ms / (pace.high_ms() * FULL)).clamp(0.0, 1.0) * BAR as f64).round() as usize;
    let (low, high, length) = (place(pace.low_ms()), place(pace.high_ms()), place(ms));
    let letter = |index: usize| match index {
        _ if index == low || index == high => '|',
        _ if index < length => '#',
        _ => ' ',
    };
    format!("[{}]", (0..BAR).map(letter).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_reading_against_both_thresholds() {
        let story = Story { running: 2, ..Story::default() };
        let line = |outcome| {
            let at = Duration::from_secs(72);
            reading(&Reading { at, outcome, running: Some(2), thought: String::new() }, &story, &Pace::new(120))
        };
        assert_eq!(
            line(Ok(310.0)),
            " 1:12  web ■■  [########|###        |                   ]    310 ms   22 requests/s"
        );
        assert_eq!(
            line(Err(("no answer".to_owned(), true))),
            " 1:12  web ■■  [########|###########|###################]     high (no answer)   22 requests/s"
        );
        assert!(line(Err(("no address".to_owned(), false))).contains("[        |           |                   ]"));
    }

    #[test]
    fn a_decision_says_from_to_and_why() {
        let up = Happening { at: Duration::from_secs(5), change: Some((1, 2)), why: "too slow".to_owned() };
        assert_eq!(happening(&up), " 0:05  ▲ web 1 → 2: too slow");
    }
}
