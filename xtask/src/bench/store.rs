//! `cargo xtask bench store`: what keeping history costs, and how fast it is read.
//!
//! Two questions. How much more CPU does a fleet need when every tick is kept (the same fleet without and with a store,
//! at an interval of ten seconds)? And how long does somebody wait for a week of one process (asked over HTTP, as the
//! dashboard asks; the week is written by a script in Python, tick by tick and rolled up, beside nine other processes)?

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use super::{
    Options, build,
    fleet::{NO_STORE, line, run_fleet},
    machine::conditions,
    publish,
};
use crate::run::{command, root, run_reading, target};

const INTERVAL: Duration = Duration::from_secs(10);

/// Filling a week of ten processes and asking for it two hundred times.
const WEEK_LIMIT: Duration = Duration::from_secs(300);

/// Runs it and prints what it found.
pub fn store(words: &[&str]) -> Result<()> {
    let options = Options::read(words)?;
    build()?;
    let count = options.counts.iter().copied().max().unwrap_or(10_000);
    let folder = target().join("bench/store");
    // What an earlier run has left would be read and rolled up by this one.
    // It need not be there.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let file = format!("sqlite:{}", folder.join("store.db").display());
    let without = run_fleet(count, INTERVAL, 0, NO_STORE, &options)?;
    let with = run_fleet(count, INTERVAL, 0, &file, &options)?;
    let bytes: u64 = fs::read_dir(&folder)?.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();

    let mut text = format!("{}\n\n", conditions());
    text += "| bots | interval | evaluations/s (planned) | CPU per evaluation | CPU of one core | memory | off the interval, p50 / p99 |\n";
    text += "|---:|---:|---:|---:|---:|---:|---:|\n";
    text += &line(&without);
    text += &line(&with);
    let ratio = with.cpu_per_evaluation_us() / without.cpu_per_evaluation_us();
    text += &format!(
        "\nThe first row keeps nothing, the second keeps every tick in SQLite: {ratio:.2} times the CPU. Files after the run: \
         {:.0} MB.\n\n",
        bytes as f64 / 1e6
    );
    let mut week = command(std::path::Path::new("python3"));
    week.arg(root().join("xtask/src/bench/week.py")).arg(super::machine::binary()).arg(&folder);
    run_reading(&mut week, WEEK_LIMIT, |line| {
        text.push_str(line);
        text.push('\n');
    })
    .context("the week of ten processes")?;
    publish("store", &text, options.write)
}
