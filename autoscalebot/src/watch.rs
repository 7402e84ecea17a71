//! Tells when the settings file changes.
//!
//! The folder is watched rather than the file: editors and deployments replace a file instead of writing into it, and a
//! watch on the old file would see nothing any more (a Kubernetes ConfigMap swaps a link beside it). What counts is
//! whether the contents differ from those last seen; anything else in the folder is none of our business.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;

/// A change is looked at when the folder has been quiet for so long: files are seldom written in one go.
const QUIET: Duration = Duration::from_millis(300);
/// A folder in which somebody writes all the time (a log, a database) is never quiet. Then it is looked at after so long.
const LONGEST_NOISE: Duration = Duration::from_secs(2);

/// A file that is watched.
pub struct WatchedFile {
    path: PathBuf,
    seen: Option<Vec<u8>>,
    changes: mpsc::Receiver<()>,
    /// Watches as long as it lives; `None` when the system would not.
    _watcher: Option<RecommendedWatcher>,
}

impl WatchedFile {
    /// Watches a file, or nothing. When the system cannot, says so in the log, and only SIGHUP reloads.
    #[must_use]
    pub fn new(path: Option<&Path>) -> Self {
        let (sender, changes) = mpsc::channel(1);
        let Some(path) = path else {
            return Self { path: PathBuf::new(), seen: None, changes, _watcher: None };
        };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Who only reads changes nothing, and we are among those who read.
            if event.is_ok_and(|event| is_only_read(event.kind)) {
                return;
            }
            // A full channel already says "look again".
            let _ = sender.try_send(());
        })
        .and_then(|mut watcher| watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher));
        if let Err(error) = &watcher {
            tracing::warn!(path = %path.display(), %error, "the settings file cannot be watched, SIGHUP reloads it");
        }
        Self { path: path.to_owned(), seen: fs::read(path).ok(), changes, _watcher: watcher.ok() }
    }

    /// Returns when the contents have changed. Can be dropped at any time without losing a change.
    pub async fn changed(&mut self) {
        loop {
            if self.changes.recv().await.is_none() {
                return std::future::pending().await;
            }
            let quiet = async { while let Ok(Some(())) = tokio::time::timeout(QUIET, self.changes.recv()).await {} };
            let _ = tokio::time::timeout(LONGEST_NOISE, quiet).await;
            // A file that is gone for the moment is one that is being replaced: the next change shows what by.
            if let Ok(contents) = fs::read(&self.path)
                && self.seen.as_ref() != Some(&contents)
            {
                self.seen = Some(contents);
                return;
            }
        }
    }
}

fn is_only_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
