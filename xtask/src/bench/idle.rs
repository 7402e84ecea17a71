//! `cargo xtask bench idle`: the program with two processes and little to do, its size, and how fast it says hello.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Result, bail};

use super::{
    Options, build,
    machine::{CORE_OF_THE_PROGRAM, Running, Server, binary, conditions},
    publish,
};
use crate::run::{now, pause, target};

/// Long enough for several measurements of both processes at their interval of 2 s.
const SETTLED: Duration = Duration::from_secs(15);

/// Starts of `--help`; the median of so many is steady.
const STARTS: usize = 41;

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Runs it and prints what it found.
pub fn idle(words: &[&str]) -> Result<()> {
    let options = Options::read(words)?;
    build()?;
    let size = fs::metadata(binary())?.len() as f64 / MEGABYTE;
    let (median, worst) = time_of_help()?;

    let server = Server::start()?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let settings = folder.join("idle.toml");
    let process = |name: &str| {
        format!(
            "[{name}.measurement]\nbackend = \"ResponseTime\"\n\
             settings = {{ measurement_url = \"http://127.0.0.1:{}/n/{name}\", measurement_interval_in_seconds = 2 }}\n\
             [{name}.scaling]\nbackend = \"DryRun\"\n[{name}.notification]\nbackends = [\"Console\"]\n",
            server.port
        )
    };
    fs::write(&settings, process("web") + &process("worker"))?;
    let arguments = ["run", "--settings", &settings.to_string_lossy()];
    let mut program = Running::start(&binary(), &arguments, CORE_OF_THE_PROGRAM, Stdio::null())?;
    pause(SETTLED);
    let usage = program.usage()?;
    let served = server.served(Duration::from_secs(2))?;
    program.stop()?;
    if served.paths != 2 {
        bail!("{} of 2 processes were measured; its memory would say nothing", served.paths);
    }
    let text = format!(
        "{}\n\n| | |\n|---|---:|\n| resident memory, two processes | {:.1} MB |\n| binary, stripped | {size:.1} MB |\n\
         | `--help`, median of {STARTS} starts | {:.1} ms |\n| `--help`, slowest | {:.1} ms |\n",
        conditions(),
        usage.resident as f64 / MEGABYTE,
        median.as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3,
    );
    publish("idle", &text, options.write)
}

/// Median and worst.
fn time_of_help() -> Result<(Duration, Duration)> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = now();
        let status = Command::new(binary()).arg("--help").stdout(Stdio::null()).status()?;
        times.push(begun.elapsed());
        if !status.success() {
            bail!("--help failed ({status})");
        }
    }
    times.sort_unstable();
    Ok((times[STARTS / 2], times[STARTS - 1]))
}
