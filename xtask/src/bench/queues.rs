//! `cargo xtask bench queues`: many bots, each with a queue of its own, all on one Redis.
//!
//! What does a measurement of a queue cost us (CPU, memory), and what does it cost Redis (commands, reads from the network,
//! bytes, CPU)? Redis counts for itself (`INFO`); how many measurements there were is told by a command that each of them
//! asks exactly once. Reads stand for round trips: what arrives together is read together, so there can be fewer reads
//! than measurements, and never fewer round trips than reads. The tasks are put there by a real Celery.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use super::{
    Options, build,
    machine::{CORE_OF_THE_PROGRAM, Running, Usage, binary, conditions_beside},
    publish,
};
use crate::run::{command, now, pause, run, target};

const INTERVAL: Duration = Duration::from_secs(5);

/// As many bots as there are without `--counts`.
const COUNT: usize = 1_000;

/// One queue in so many has tasks; the others are empty, as most are most of the time.
const ONE_FILLED_IN: usize = 5;

const TASKS_IN_EACH: usize = 20;

/// How long Redis may take to start, and the bots to have measured once beyond one interval.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long Celery may take to put its tasks.
const FILL_LIMIT: Duration = Duration::from_secs(120);

/// A kind of measurement.
struct Kind {
    name: &'static str,
    backend: &'static str,
    settings: fn(usize) -> String,
    /// What each measurement asks exactly once.
    once: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "RedisList",
        backend: "RedisList",
        settings: |index| format!("queue_names = [\"queue{index}\"]"),
        once: "llen",
    },
    Kind {
        name: "CeleryRedisQueueSize, workers not asked",
        backend: "CeleryRedisQueueSize",
        settings: |index| format!("queue_name = \"queue{index}\", inspect_workers = false"),
        once: "hlen",
    },
    Kind {
        name: "CeleryRedisQueueSize",
        backend: "CeleryRedisQueueSize",
        settings: |index| format!("queue_name = \"queue{index}\""),
        once: "hlen",
    },
];

/// What one fleet did within the window.
struct Measured {
    kind: &'static Kind,
    count: usize,
    window: Duration,
    before: (Usage, Told),
    after: (Usage, Told),
}

impl Measured {
    fn measurements(&self) -> f64 {
        (self.after.1.calls_of(self.kind.once) - self.before.1.calls_of(self.kind.once)).max(1.0)
    }

    /// How much more there is of something after the window, per measurement.
    fn per_measurement(&self, number: impl Fn(&Told) -> f64) -> f64 {
        (number(&self.after.1) - number(&self.before.1)) / self.measurements()
    }

    fn cpu_us(&self) -> f64 {
        self.after.0.cpu.saturating_sub(self.before.0.cpu).as_secs_f64() * 1e6 / self.measurements()
    }
}

/// Runs it and prints what it found.
pub fn queues(words: &[&str]) -> Result<()> {
    let mut options = Options::read(words)?;
    if !words.contains(&"--counts") {
        options.counts = vec![COUNT];
    }
    build()?;
    let mut rows = Vec::new();
    for count in &options.counts {
        for kind in KINDS {
            rows.push(run_fleet(kind, *count, &options)?);
        }
    }
    let mut text = format!("{}\n\n", conditions_beside("Redis"));
    writeln!(
        text,
        "Every {} s, each bot on a queue of its own; one queue in {ONE_FILLED_IN} has {TASKS_IN_EACH} tasks.\n",
        INTERVAL.as_secs()
    )?;
    text += "| measurement | bots | measurements/s (planned) | CPU per measurement | memory | commands | reads | bytes in / out | CPU of Redis | connections |\n";
    text += "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for row in &rows {
        text += &line(row);
    }
    text += "\nCommands, reads from the network, bytes and the CPU of Redis (with what it needs to idle) are per measurement.\n";
    publish("queues", &text, options.write)
}

fn line(row: &Measured) -> String {
    let stat = |name: &'static str| move |told: &Told| told.number(name);
    // Ours too, but those are two in the whole window.
    let redis_cpu = |told: &Told| told.number("used_cpu_user") + told.number("used_cpu_sys");
    format!(
        "| {} | {} | {:.1} ({:.1}) | {:.1} µs | {:.1} MB | {:.1} | {:.2} | {:.0} / {:.0} | {:.1} µs | {} |\n",
        row.kind.name,
        row.count,
        row.measurements() / row.window.as_secs_f64(),
        row.count as f64 / INTERVAL.as_secs_f64(),
        row.cpu_us(),
        row.after.0.resident as f64 / (1024.0 * 1024.0),
        row.per_measurement(stat("total_commands_processed")),
        row.per_measurement(stat("total_reads_processed")),
        row.per_measurement(stat("total_net_input_bytes")),
        row.per_measurement(stat("total_net_output_bytes")),
        row.per_measurement(redis_cpu) * 1e6,
        // Without our own.
        row.after.1.number("connected_clients") - 1.0,
    )
}

fn run_fleet(kind: &'static Kind, count: usize, options: &Options) -> Result<Measured> {
    println!("{count} bots of {} at {} s", kind.name, INTERVAL.as_secs());
    let redis = Redis::start()?;
    redis.fill(count)?;
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let settings = folder.join("queues.toml");
    fs::write(&settings, settings_of(kind, count, redis.port))?;
    let settings = settings.to_string_lossy().into_owned();
    let mut program = Running::start(&binary(), &["run", "--settings", &settings], CORE_OF_THE_PROGRAM, Stdio::null())?;

    let started = now();
    while redis.told()?.calls_of(kind.once) < count as f64 {
        program.usage()?;
        if started.elapsed() > START_LIMIT + INTERVAL {
            bail!("after {} s there were not {count} measurements", started.elapsed().as_secs());
        }
        pause(Duration::from_millis(200));
    }
    // One more interval, so that every bot is in its stride.
    pause(INTERVAL);

    let window = options.window.max(INTERVAL * 3);
    let begun = now();
    let before = (program.usage()?, redis.told()?);
    pause(window);
    let after = (program.usage()?, redis.told()?);
    let window = begun.elapsed();
    program.stop()?;
    let row = Measured { kind, count, window, before, after };
    print!("{}", line(&row));
    Ok(row)
}

/// The settings of the fleet. Nothing scales and nobody is told, so that only measuring and deciding cost anything.
fn settings_of(kind: &Kind, count: usize, port: u16) -> String {
    let mut text = String::new();
    for index in 0..count {
        let (backend, settings, seconds) = (kind.backend, (kind.settings)(index), INTERVAL.as_secs());
        let _ = write!(
            text,
            "[p{index}.measurement]\nbackend = \"{backend}\"\n\
             settings = {{ {settings}, host = \"127.0.0.1\", port = {port}, measurement_interval_in_seconds = {seconds} }}\n\
             [p{index}.decision]\nbackend = \"AverageThreshold\"\n\
             settings = {{ min_measurement_value = 0, max_measurement_value = 1000000 }}\n\
             [p{index}.scaling]\nbackend = \"DryRun\"\n\
             [p{index}.notification]\nbackends = [\"Memory\"]\n"
        );
    }
    text
}

/// A Redis of its own, on the core that the program does not have.
struct Redis {
    port: u16,
    _running: Running,
}

/// What Redis told of itself.
struct Told(HashMap<String, String>);

impl Told {
    fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(|number| number.parse().ok()).unwrap_or(0.0)
    }

    /// How often a command was called: `cmdstat_llen:calls=4000,usec=…`
    fn calls_of(&self, command: &str) -> f64 {
        let stats = self.0.get(&format!("cmdstat_{command}")).map(String::as_str).unwrap_or_default();
        let calls = stats.split(',').find_map(|part| part.strip_prefix("calls="));
        calls.and_then(|calls| calls.parse().ok()).unwrap_or(0.0)
    }
}

impl Redis {
    fn start() -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let port_text = port.to_string();
        let arguments = ["--bind", "127.0.0.1", "--port", &port_text, "--save", "", "--appendonly", "no"];
        let program = std::path::Path::new("redis-server");
        let redis = Self { port, _running: Running::start(program, &arguments, 0, Stdio::null())? };
        let started = now();
        while redis.told().is_err() {
            if started.elapsed() > START_LIMIT {
                bail!("redis-server does not start; `cargo xtask tools` installs it");
            }
            pause(Duration::from_millis(20));
        }
        Ok(redis)
    }

    fn fill(&self, count: usize) -> Result<()> {
        let python = target().join("tools/venv/bin/python");
        if !python.exists() {
            bail!("{} is missing; `cargo xtask tools` installs it", python.display());
        }
        let mut celery = command(&python);
        celery.args(["-c", include_str!("celery_fill.py"), &format!("redis://127.0.0.1:{}/0", self.port)]);
        celery.args([count, count / ONE_FILLED_IN, TASKS_IN_EACH].map(|number| number.to_string()));
        run(&mut celery, FILL_LIMIT)
    }

    /// `INFO` over a connection of its own: a text of known length.
    fn told(&self) -> Result<Told> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"INFO everything\r\n")?;
        let mut answer = BufReader::new(stream);
        let mut length = String::new();
        answer.read_line(&mut length)?;
        let length = length.trim().strip_prefix('$').ok_or_else(|| anyhow!("Redis answers {length:?} to INFO"))?;
        let mut text = vec![0; length.parse().context("the length of INFO")?];
        answer.read_exact(&mut text)?;
        let text = String::from_utf8(text)?;
        let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok(Told(text.lines().filter_map(pair).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_what_redis_tells() {
        let told =
            Told(HashMap::from([("cmdstat_llen".to_owned(), "calls=4000,usec=5208,usec_per_call=1.30".to_owned())]));
        assert_eq!((told.calls_of("llen"), told.calls_of("hlen")), (4000.0, 0.0));
    }

    #[test]
    fn every_bot_has_a_queue_of_its_own() {
        for kind in KINDS {
            let text = settings_of(kind, 50, 7);
            let queues: std::collections::HashSet<&str> =
                text.split("\"queue").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert_eq!(queues.len(), 50, "{}", kind.name);
        }
    }
}
