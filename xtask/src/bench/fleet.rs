//! `cargo xtask bench fleet`: many bots, each with its own metric over HTTP, in one program on one core.
//!
//! Three questions. What does an evaluation cost (CPU time of the program over requests that the server counted)? What
//! does a bot cost that mostly waits (memory of many minus memory of few, at the longer interval)? And what do bad
//! sources cost the good ones (the same fleet, once with 1 % that refuse, hang, fail, babble or never end)?

use std::{fmt::Write as _, fs, process::Stdio, time::Duration};

use anyhow::{Result, bail};

use super::{
    Options, build,
    machine::{CORE_OF_THE_PROGRAM, Running, Served, Server, Usage, binary, conditions},
    publish,
};
use crate::run::{now, pause, target};

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(10);

/// How long a fleet may take until every bot has measured once, beyond one interval.
const START_LIMIT: Duration = Duration::from_secs(60);

/// One bad source in so many.
const ONE_BAD_IN: usize = 100;

/// The size of the fleet in the question about bad sources.
const ISOLATION_COUNT: usize = 1_000;

/// A destination address for so many bots: each address pair has some 28 000 ports, and a port rests for a while after
/// its connection is closed.
const BOTS_PER_ADDRESS: usize = 500;

/// Nothing is kept: what keeping costs is a question of its own.
pub const NO_STORE: &str = "none";

/// What one fleet did within the window.
pub struct Measured {
    /// All bots, and those among them whose source is bad.
    count: usize,
    bad: usize,
    interval: Duration,
    window: Duration,
    before: (Usage, Served),
    after: (Usage, Served),
}

impl Measured {
    fn evaluations(&self) -> f64 {
        (self.after.1.good - self.before.1.good) as f64
    }

    fn per_second(&self) -> f64 {
        self.evaluations() / self.window.as_secs_f64()
    }

    /// CPU of the program by evaluation, in microseconds.
    pub fn cpu_per_evaluation_us(&self) -> f64 {
        let cpu = self.after.0.cpu.saturating_sub(self.before.0.cpu);
        cpu.as_secs_f64() * 1e6 / self.evaluations().max(1.0)
    }

    fn cpu_share(&self) -> f64 {
        self.after.0.cpu.saturating_sub(self.before.0.cpu).as_secs_f64() / self.window.as_secs_f64()
    }
}

/// Runs it and prints what it found.
pub fn fleet(words: &[&str]) -> Result<()> {
    let options = Options::read(words)?;
    build()?;
    let mut rows = Vec::new();
    for interval in [SHORT, LONG] {
        for count in &options.counts {
            rows.push(run_fleet(*count, interval, 0, NO_STORE, &options)?);
        }
    }
    let healthy = run_fleet(ISOLATION_COUNT - ISOLATION_COUNT / ONE_BAD_IN, SHORT, 0, NO_STORE, &options)?;
    let mixed = run_fleet(ISOLATION_COUNT, SHORT, ISOLATION_COUNT / ONE_BAD_IN, NO_STORE, &options)?;

    let mut text = format!("{}\n\n", conditions());
    text += "| bots | interval | evaluations/s (planned) | CPU per evaluation | CPU of one core | memory | off the interval, p50 / p99 |\n";
    text += "|---:|---:|---:|---:|---:|---:|---:|\n";
    for row in &rows {
        text += &line(row);
    }
    if let Some(bytes) = memory_per_bot(&rows) {
        writeln!(text, "\nMemory per idle bot, at the interval of {} s: {:.1} KB.", LONG.as_secs(), bytes / 1024.0)?;
    }
    writeln!(
        text,
        "\n{} healthy bots at 1 s, alone and beside {} bad sources (refusing, hanging, 500, garbage, endless body):\n",
        healthy.count,
        ISOLATION_COUNT / ONE_BAD_IN
    )?;
    text += "| | healthy evaluations/s | CPU per healthy evaluation | off the interval, p50 / p99 |\n|---|---:|---:|---:|\n";
    for (name, row) in [("alone", &healthy), ("with the bad 1 %", &mixed)] {
        let Served { off_p50, off_p99, .. } = row.after.1;
        writeln!(
            text,
            "| {name} | {:.1} | {:.1} µs | {off_p50} / {off_p99} ms |",
            row.per_second(),
            row.cpu_per_evaluation_us()
        )?;
    }
    publish("fleet", &text, options.write)
}

/// A row of the table.
pub fn line(row: &Measured) -> String {
    let Served { off_p50, off_p99, .. } = row.after.1;
    format!(
        "| {} | {} s | {:.1} ({:.1}) | {:.1} µs | {:.1} % | {:.1} MB | {off_p50} / {off_p99} ms |\n",
        row.count,
        row.interval.as_secs(),
        row.per_second(),
        (row.count - row.bad) as f64 / row.interval.as_secs_f64(),
        row.cpu_per_evaluation_us(),
        row.cpu_share() * 100.0,
        row.after.0.resident as f64 / (1024.0 * 1024.0),
    )
}

/// What each bot adds, between the smallest and the largest fleet at the long interval.
fn memory_per_bot(rows: &[Measured]) -> Option<f64> {
    let mut idle: Vec<&Measured> = rows.iter().filter(|row| row.interval == LONG).collect();
    idle.sort_by_key(|row| row.count);
    let (few, many) = (idle.first()?, idle.last()?);
    let bytes = many.after.0.resident as f64 - few.after.0.resident as f64;
    (many.count > few.count).then(|| bytes / (many.count - few.count) as f64)
}

pub fn run_fleet(count: usize, interval: Duration, bad: usize, store: &str, options: &Options) -> Result<Measured> {
    println!("{count} bots at {} s, {bad} of them bad, store {store}", interval.as_secs());
    let server = Server::start()?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let settings = folder.join("fleet.toml");
    fs::write(&settings, settings_of(count, interval, bad, server.port))?;
    let settings = settings.to_string_lossy().into_owned();
    // Its log would be the benchmark's: one scale in a thousand ticks is told, and nothing scales here.
    let words = ["run", "--settings", &settings, "--store", store];
    let mut program = Running::start(&binary(), &words, CORE_OF_THE_PROGRAM, Stdio::null())?;

    let healthy = (count - bad) as u64;
    let started = now();
    while server.served(interval)?.paths < healthy {
        program.usage()?;
        if started.elapsed() > START_LIMIT + interval {
            bail!(
                "after {} s only {} of {healthy} bots have measured",
                started.elapsed().as_secs(),
                server.served(interval)?.paths
            );
        }
        pause(Duration::from_millis(200));
    }
    // One more interval, so that every bot is in its stride.
    pause(interval + SHORT);
    server.forget_arrivals()?;

    let window = options.window.max(interval * 3);
    let begun = now();
    let before = (program.usage()?, server.served(interval)?);
    pause(window);
    let after = (program.usage()?, server.served(interval)?);
    let window = begun.elapsed();
    program.stop()?;
    if bad > 0 && after.1.bad == 0 {
        bail!("no bad source was ever asked; the comparison would say nothing");
    }
    let row = Measured { count, bad, interval, window, before, after };
    print!("{}", line(&row));
    Ok(row)
}

/// The settings of the fleet. Nothing scales and nobody is told, so that only measuring and deciding cost anything.
fn settings_of(count: usize, interval: Duration, bad: usize, port: u16) -> String {
    let mut text = String::new();
    for index in 0..count {
        // The bad ones are spread over the fleet, and their kinds over the bad ones.
        let url = match (index * bad).checked_div(count) {
            Some(nth) if (index * bad) % count < bad => bad_url(nth, port),
            _ => format!("http://127.0.0.{}:{port}/n/{index}", 1 + index / BOTS_PER_ADDRESS),
        };
        let seconds = interval.as_secs();
        let _ = write!(
            text,
            "[p{index}.measurement]\nbackend = \"AppDecision\"\n\
             settings = {{ measurement_url = \"{url}\", value = \"/value\", measurement_interval_in_seconds = {seconds} }}\n\
             [p{index}.decision]\nbackend = \"ConsecutiveThreshold\"\n\
             [p{index}.scaling]\nbackend = \"DryRun\"\n\
             [p{index}.notification]\nbackends = [\"Memory\"]\n"
        );
    }
    text
}

fn bad_url(nth: usize, port: u16) -> String {
    match nth % 5 {
        // Port 1 (tcpmux) is bound by nobody on a machine of this century.
        0 => "http://127.0.0.1:1/refused".to_owned(),
        1 => format!("http://127.0.0.1:{port}/bad/hang"),
        2 => format!("http://127.0.0.1:{port}/bad/500"),
        3 => format!("http://127.0.0.1:{port}/bad/garbage"),
        _ => format!("http://127.0.0.1:{port}/bad/endless"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_bad_and_every_kind_is_there() {
        let text = settings_of(1_000, SHORT, 10, 9);
        for kind in ["/refused", "/bad/hang", "/bad/500", "/bad/garbage", "/bad/endless"] {
            assert_eq!(text.matches(kind).count(), 2, "{kind}");
        }
        assert_eq!(text.matches("/n/").count(), 990);
        assert_eq!(settings_of(1_000, SHORT, 0, 9).matches("/n/").count(), 1_000);
    }
}
