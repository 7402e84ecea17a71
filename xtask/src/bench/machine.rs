//! The two programs of a benchmark, started, watched through `/proc`, and stopped; and the machine they ran on.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};

use crate::run::{self, ask, command, pause, target};

/// The kernel counts CPU time in hundredths of a second on every platform that Linux users meet (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// The program promises to end within 5 s; twice that is a failure.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A child that does not outlive us.
pub struct Running {
    child: Child,
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU time, in user and kernel mode.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
}

impl Running {
    /// Starts `program` on a core of its own if there are two and `taskset` can pin it, with as many open files as the
    /// machine allows: a thousand connections are the point here.
    pub fn start(program: &Path, arguments: &[&str], core: usize, output: Stdio) -> Result<Self> {
        let pin = if can_pin() { format!("taskset -c {core} ") } else { String::new() };
        let mut shell = command(Path::new("sh"));
        shell.args(["-c", &format!("ulimit -n $(ulimit -Hn); exec {pin}\"$0\" \"$@\"")]).arg(program).args(arguments);
        let child = shell.stdin(Stdio::null()).stdout(output).spawn();
        Ok(Self { child: child.with_context(|| format!("cannot start {}", program.display()))? })
    }

    /// CPU and memory so far; fails when the program has ended.
    pub fn usage(&mut self) -> Result<Usage> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the program ended during the benchmark ({status}); run it by hand to see why");
        }
        let id = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        parse_usage(&stat, &status).ok_or_else(|| anyhow!("/proc/{id} is not as expected"))
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        run::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]), STOP_LIMIT)?;
        let started = run::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > STOP_LIMIT {
                bail!("it did not end within {} s of SIGTERM", STOP_LIMIT.as_secs());
            }
            pause(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Field 2 of `stat` is the program's name in parentheses and may hold anything; what counts comes after it: fields 14
/// and 15, user and system time. See proc(5).
fn parse_usage(stat: &str, status: &str) -> Option<Usage> {
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Usage { cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND), resident: kilobytes * 1024 })
}

/// The metric server.
pub struct Server {
    /// Where it listens, on every address of 127.0.0.0/8.
    pub port: u16,
    _running: Running,
}

/// What the server has seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// Good answers: evaluations of healthy bots.
    pub good: u64,
    /// Requests to bad paths.
    pub bad: u64,
    /// Bots heard of.
    pub paths: u64,
    /// How far the time between two requests of one bot is from its interval, in ms: half are better than the first,
    /// 99 of 100 better than the second.
    pub off_p50: u64,
    /// See above.
    pub off_p99: u64,
}

impl Server {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let mut running = Running::start(&target().join("release/metric-server"), &[], 0, Stdio::piped())?;
        let output = running.child.stdout.take().ok_or_else(|| anyhow!("the metric server has no output"))?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().context("the metric server did not say where it listens")?;
        Ok(Self { port, _running: running })
    }

    /// What it has served so far.
    pub fn served(&self, interval: Duration) -> Result<Served> {
        let text = self.get(&format!("/stats?interval={}", interval.as_millis()))?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Ok(Served {
            good: number("good"),
            bad: number("bad"),
            paths: number("paths"),
            off_p50: number("off_p50"),
            off_p99: number("off_p99"),
        })
    }

    /// Forgets the arrivals so far, so that the warm-up does not count.
    pub fn forget_arrivals(&self) -> Result<()> {
        self.get("/reset").map(|_| ())
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The program that users run.
pub fn binary() -> PathBuf {
    target().join("release/autoscalebot")
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn can_pin() -> bool {
    cores() > 1 && run::is_there("taskset")
}

/// The core that the program gets; the server has the first.
pub const CORE_OF_THE_PROGRAM: usize = 1;

/// The conditions, in a sentence.
pub fn conditions() -> String {
    conditions_beside("the metric server")
}

/// The conditions, where something else has the other core.
pub fn conditions_beside(other: &str) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = ask(command(Path::new("rustc")).arg("--version")).unwrap_or_default();
    let both = format!("the program pinned to one core, {other} to another");
    let pinned = if can_pin() { &both } else { "not pinned" };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    format!(
        "{}, {} cores, Linux {}, {rustc}, release build; {pinned}; load average at the end {load}.",
        model.unwrap_or("unknown CPU"),
        cores(),
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 3 0 100 200 300";
        let usage = parse_usage(stat, "Name:\tx\nVmRSS:\t    2048 kB\n").unwrap();
        assert_eq!(usage.cpu, Duration::from_secs(3));
        assert_eq!(usage.resident, 2048 * 1024);
    }
}
