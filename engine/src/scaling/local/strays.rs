//! Finding processes by what they carry: their process group, and a mark in their environment.
//!
//! A process that calls `setsid`, as daemons do, leaves its group, and a signal to the group no longer reaches it. But
//! children inherit the environment, so everything that a platform ever started carries its mark. Linux shows both in
//! `/proc`; elsewhere only groups can be seen, and daemons are missed.

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

/// The first part of the name of the variable that marks everything a platform started. Each platform has a name of
/// its own, so a platform inside a platform does not hide its processes from the outer one.
const MARK: &str = "AUTOSCALEBOT_LOCAL_";

/// The name of the variable that marks the processes of one platform.
#[must_use]
pub fn mark(platform: &str) -> String {
    format!("{MARK}{platform}")
}

/// Whether anything in a process group still runs. A zombie does not run: it only waits for its parent to look.
#[must_use]
pub fn group_runs(group: Pid) -> bool {
    test_kill_process_group(group).is_ok() && has_running_member(group)
}

/// Kills whatever is left of a process group.
pub fn kill_group(group: Pid) {
    // The only error that can be met is that nobody is there any more.
    let _ = kill_process_group(group, Signal::KILL);
}

/// Kills every process whose environment holds `name=value…`; how many it found.
pub fn kill_marked(name: &str, value: &str) -> usize {
    let marked = marked(format!("{name}={value}").as_bytes());
    for pid in &marked {
        // It may have ended in between, which is what is wanted.
        let _ = kill_process(*pid, Signal::KILL);
    }
    marked.len()
}

#[cfg(target_os = "linux")]
fn has_running_member(group: Pid) -> bool {
    pids().any(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name of the program stands in brackets and may hold anything, so we read from the last bracket on:
        // state, parent, process group.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let state = fields.next().unwrap_or("Z");
        fields.nth(1).and_then(|text| text.parse().ok()) == Some(group.as_raw_nonzero().get())
            && !matches!(state, "Z" | "X")
    })
}

#[cfg(not(target_os = "linux"))]
fn has_running_member(_: Pid) -> bool {
    true
}

#[cfg(target_os = "linux")]
fn marked(mark: &[u8]) -> Vec<Pid> {
    let ours = rustix::process::getpid();
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark))
    };
    pids().filter(carries).filter_map(Pid::from_raw).filter(|pid| *pid != ours).collect()
}

#[cfg(not(target_os = "linux"))]
fn marked(_: &[u8]) -> Vec<Pid> {
    Vec::new()
}

#[cfg(target_os = "linux")]
fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
