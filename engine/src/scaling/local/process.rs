//! The life of one numbered process, `web.1`: start, come up, run, and stop or be started again.
//!
//! ```text
//!            ┌──────────── wait, longer each time ◄───────────┐
//!            ▼                                                │
//!  start ► starting ──accepts connections (web), at once (others)──► up ──ends──► crashed
//!            │                                                │
//!            └──────────────── told to stop ◄─────────────────┘
//!                                   ▼
//!             SIGTERM to the group ─► gone, or after the time-out SIGKILL ─► gone
//! ```
//!
//! A process here is a whole process group, and it is gone when nothing in the group runs any more: a shell that ends
//! while the server it started goes on has not stopped. A process that ends without being told to has crashed, whatever
//! its exit code, as on Heroku.

use std::{io, net::SocketAddr, process::ExitStatus, sync::Arc, time::Duration};

use autoscalebot_core::units::in_words;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::TcpStream,
    process::Child,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    board::{Member, Phase, RunNumber},
    output::{LineSplitter, Output, Speaker},
    platform::{Entry, Running},
    spawner::Launch,
    strays,
};

/// A web process that does not accept connections by then is killed and started again (Heroku's limit, its error R10).
const BOOT_WITHIN: Duration = Duration::from_secs(60);

/// How often a starting process is tried. A local app can be up in a hundredth of a second.
const TRY_EVERY: Duration = Duration::from_millis(25);

/// One try. Loopback answers at once or not at all.
const ONE_TRY: Duration = Duration::from_secs(1);

/// How often we look whether a stopping group is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long SIGKILL may take. A process in an uninterruptible system call can take longer; then it is told and left.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// How long the last words of an ended process may take to be read.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);

/// The wait before the first restart. At once would be a busy loop for an app that fails at once.
const FIRST_RESTART_AFTER: Duration = Duration::from_secs(1);

/// The longest wait between restarts: somebody who has mended the app at a desk does not want to wait longer.
const LONGEST_RESTART_AFTER: Duration = Duration::from_secs(60);

/// A process that was up for so long has worked; its next crash is a first one again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// One place in an entry: `web.1`, whichever operating system's process fills it.
pub struct Slot {
    /// `web.1`
    pub name: Arc<str>,
    /// From 1.
    pub number: u32,
    /// What all processes of the entry have in common.
    pub entry: Arc<Entry>,
    /// What all processes of the platform have in common.
    pub running: Arc<Running>,
    /// Told to stop.
    pub stop: CancellationToken,
}

impl Slot {
    /// Lives until told to stop and gone.
    pub async fn live(self) {
        let mut restarts = Restarts::default();
        while !self.stop.is_cancelled() {
            let run = self.running.next_run();
            let ended = self.run(run).await;
            self.entry.board.leave(run);
            let Ended::Crashed { was_up_for } = ended else { return };
            let wait = restarts.next(was_up_for);
            self.say(&format!("crashed, starts again in {}", in_words(wait)));
            self.entry.board.join(run, self.member(Phase::Crashed, None));
            let stopped = timeout(wait, self.stop.cancelled()).await.is_ok();
            self.entry.board.leave(run);
            if stopped {
                return;
            }
        }
    }

    /// One operating system's process, from start to end.
    async fn run(&self, run: RunNumber) -> Ended {
        let terms = self.entry.terms();
        self.entry.board.join(run, self.member(Phase::Starting, None));
        let port = match self.running.ports.lease(&self.entry, self.number, &self.stop).await {
            Ok(Some(port)) => port,
            Ok(None) => return Ended::Stopped,
            Err(error) => return self.not_started(&format!("no free port: {error}")),
        };
        self.say(&format!("starting with command `{}` and PORT={}", terms.command, port.number));
        let mut child = match self.spawn(run, port.number).await {
            Ok(child) => child,
            Err(error) => return self.not_started(&format!("cannot be started: {error}")),
        };
        let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
            return self.not_started("ended before it had begun");
        };
        self.running.janitor.started(group);
        let readers = read_output(&mut child, &self.name, &self.running.output);
        let started = self.running.clock.now();

        let ended = tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                self.entry.board.leave(run);
                self.say("stopping with SIGTERM");
                self.end_group(&mut child, group).await
            }
            ended = self.watch(run, &mut child, port.number) => {
                if let Some(status) = ended {
                    self.say(&format!("ended by itself with {}", exit_in_words(status)));
                }
                // Whatever the process leaves behind goes with it, as everything in a dyno does.
                strays::kill_group(group);
                self.wait_until_gone(&mut child, group, KILLED_WITHIN).await;
                Ended::Crashed { was_up_for: self.running.clock.now().since(&started) }
            }
        };
        strays::kill_marked(&self.running.mark, &run.mark());
        self.running.janitor.ended(group);
        for mut reader in readers {
            if timeout(LAST_WORDS_WITHIN, &mut reader).await.is_err() {
                reader.abort();
            }
        }
        if matches!(ended, Ended::Stopped) {
            self.say("stopped");
        }
        ended
    }

    /// Until the process ends: its status; or until it has failed to come up: nothing.
    async fn watch(&self, run: RunNumber, child: &mut Child, port: u16) -> Option<ExitStatus> {
        let started = self.running.clock.now();
        let up = async {
            if self.entry.is_web() {
                Ok(Some(timeout(BOOT_WITHIN, accepts_connections(port)).await?))
            } else {
                Ok::<_, tokio::time::error::Elapsed>(None)
            }
        };
        tokio::select! {
            status = child.wait() => return status.ok(),
            address = up => match address {
                Err(_) => {
                    let limit = in_words(BOOT_WITHIN);
                    self.say(&format!("Error R10 (Boot timeout): nothing accepts connections on PORT {port} after {limit}"));
                    return None;
                }
                Ok(address) => {
                    self.entry.board.join(run, self.member(Phase::Up, address));
                    self.say(&format!("up after {}", in_words(self.running.clock.now().since(&started))));
                }
            }
        }
        child.wait().await.ok()
    }

    async fn spawn(&self, run: RunNumber, port: u16) -> io::Result<Child> {
        let terms = self.entry.terms();
        let own = [
            ("PORT".to_owned(), port.to_string()),
            ("PS".to_owned(), self.name.to_string()),
            ("DYNO".to_owned(), self.name.to_string()),
        ];
        let configured = terms.environment.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        let mark = (self.running.mark.clone(), format!("{}{}", run.mark(), self.name));
        let launch = Launch {
            command_line: terms.command.clone(),
            folder: self.running.folder.clone(),
            environment: own.into_iter().chain(configured).chain([mark]).collect(),
            janitor: self.running.janitor.pipe()?,
        };
        self.running.spawner.spawn(launch).await
    }

    /// SIGTERM, patience, SIGKILL.
    async fn end_group(&self, child: &mut Child, group: Pid) -> Ended {
        // The only error is that nobody is there any more, which the wait below finds out.
        let _ = kill_process_group(group, Signal::TERM);
        let patience = self.entry.terms().stop_within;
        let gone = tokio::select! {
            gone = self.wait_until_gone(child, group, patience) => gone,
            () = self.entry.kill.cancelled() => false,
        };
        if !gone {
            self.say("Error R12 (Exit timeout): did not stop in time, stopping with SIGKILL");
            strays::kill_group(group);
            if !self.wait_until_gone(child, group, KILLED_WITHIN).await {
                self.say("is still there after SIGKILL");
            }
        }
        Ended::Stopped
    }

    async fn wait_until_gone(&self, child: &mut Child, group: Pid, patience: Duration) -> bool {
        let gone = async {
            // An error means that it was waited for already.
            let _ = child.wait().await;
            while strays::group_runs(group) {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(patience, gone).await.is_ok()
    }

    fn not_started(&self, problem: &str) -> Ended {
        self.say(problem);
        Ended::Crashed { was_up_for: Duration::ZERO }
    }

    fn member(&self, phase: Phase, address: Option<SocketAddr>) -> Member {
        Member::new(self.name.clone(), phase, address)
    }

    fn say(&self, text: &str) {
        self.running.output.line(Speaker::Local(&self.name), text);
    }
}

enum Ended {
    /// We told it to.
    Stopped,
    /// We did not.
    Crashed { was_up_for: Duration },
}

/// How long to wait before each restart.
#[derive(Debug, Default)]
struct Restarts {
    in_a_row: u32,
}

impl Restarts {
    fn next(&mut self, was_up_for: Duration) -> Duration {
        if was_up_for >= HEALTHY_AFTER {
            self.in_a_row = 0;
        }
        let wait = FIRST_RESTART_AFTER.saturating_mul(2_u32.saturating_pow(self.in_a_row));
        self.in_a_row = self.in_a_row.saturating_add(1);
        wait.min(LONGEST_RESTART_AFTER)
    }
}

/// Where a web process listens: most on IPv4's loopback, some only on that of IPv6.
async fn accepts_connections(port: u16) -> SocketAddr {
    let addresses = [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))];
    loop {
        for address in addresses {
            if let Ok(Ok(_)) = timeout(ONE_TRY, TcpStream::connect(address)).await {
                return address;
            }
        }
        sleep(TRY_EVERY).await;
    }
}

fn read_output(child: &mut Child, name: &Arc<str>, output: &Output) -> Vec<JoinHandle<()>> {
    let stdout = child.stdout.take().map(|stream| tokio::spawn(read_lines(stream, name.clone(), output.clone())));
    let stderr = child.stderr.take().map(|stream| tokio::spawn(read_lines(stream, name.clone(), output.clone())));
    stdout.into_iter().chain(stderr).collect()
}

async fn read_lines(mut stream: impl AsyncRead + Unpin, name: Arc<str>, output: Output) {
    let mut splitter = LineSplitter::default();
    let mut buffer = vec![0; 8192];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        splitter.push(&buffer[..length], |line| output.line(Speaker::App(&name), line));
    }
    splitter.finish(|line| output.line(Speaker::App(&name), line));
}

fn exit_in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_wait_longer_each_time_up_to_a_minute_and_a_healthy_run_forgives() {
        let mut restarts = Restarts::default();
        let mut waits = |was_up_for| restarts.next(Duration::from_secs(was_up_for)).as_secs();
        assert_eq!([(); 8].map(|()| waits(3)), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!([waits(61), waits(0)], [1, 2]);
    }
}
