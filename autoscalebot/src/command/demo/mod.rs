//! `autoscalebot demo`: the main job on this machine alone, to watch.
//!
//! Nothing in it is make-believe: a Procfile whose `web` is this very program as a tiny app, real processes behind a real
//! router, requests over HTTP that rise and fall, and the ordinary bot on ordinary settings, which measures the response
//! time, decides by `ConsecutiveThreshold`, and scales with `Local`. Only who asks and what is asked for is ours.
//!
//! ```text
//!  load ──► router ──► web.1, web.2, … (autoscalebot __demo-app)
//!             ▲              ▲
//!        ResponseTime ──► bot ──► Local          narrator ──► view or plain lines ──► summary
//!                          └──► board, store ──► dashboard, on a free port of this machine
//! ```

pub mod app;
mod load;
mod pace;
mod plain;
mod story;
mod view;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use autoscalebot_core::moment::Moment;
use autoscalebot_engine::{
    board::Board,
    build::Manner,
    clock::SystemClock,
    config::{Config, load as settings},
    environment::NO_COLOR,
    fleet::Fleet,
    shared::Shared,
    store::{self, Keep, Place},
    telemetry::metrics::Sources,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::{
    load::Visitors,
    pace::Pace,
    story::{Narrator, News, Story},
    view::{Now, View},
};
use crate::{
    cli::Surroundings,
    command,
    exit::Exit,
    server::{self, Parts, listen::Listen},
};

/// How many processes the demo may run at most.
const MOST_PROCESSES: u32 = 5;

/// Between two pictures of the live view: smooth for readings that come about every second, and cheap.
const PICTURE_EVERY: Duration = Duration::from_millis(100);

/// How long the end may take; the app's processes finish what they are working on.
const SHUTDOWN: Duration = Duration::from_millis(4500);

/// How the demo ended.
enum End {
    /// It was told to its end.
    Told,
    /// Somebody had seen enough.
    Left,
    /// It took too long to come down again.
    TooLong,
}

/// Runs the demo. Fails (1) when the processes did not go up and come down again.
pub fn run(seconds: u32, plain: bool, listen: &str, around: &Surroundings) -> Exit {
    let listen = match Listen::find(listen, false, &around.host.environment) {
        Ok(listen) => listen,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::REFUSED;
        }
    };
    let pace = Pace::new(seconds);
    let folder = match Folder::new(&pace, &around.host.launcher) {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("error: the demo cannot write its Procfile and settings: {error}");
            return Exit::FAILED;
        }
    };
    let config = match settings::load_with_words(folder.settings().to_str(), &folder.0, &around.host) {
        Ok(loaded) => loaded.config,
        Err(errors) => return command::refuse(&errors, around),
    };
    let runtime = match command::runtime(2) {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let result = runtime.block_on(play(config, pace, plain, &listen, &folder, around));
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            Exit::FAILED
        }
    }
}

async fn play(
    config: Config,
    pace: Pace,
    plain: bool,
    listen: &Listen,
    folder: &Folder,
    around: &Surroundings,
) -> Result<Exit, String> {
    let listening = server::bind(listen).await?;
    let clock = Arc::new(SystemClock::new());
    let store = store::find(Place::Sqlite(folder.0.join("store.db")), Keep::default()).await.start(clock.clone());
    let shared = Shared::new(clock.clone(), around.host.clone());
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        return Err("the system does not let us receive signals".to_owned());
    };
    // The bot's own platform and this one are the same: one Procfile, one platform.
    let (process, process_config) = config.processes.first_key_value().ok_or("the demo's settings are empty")?;
    let platform = autoscalebot_engine::build::platform(process, process_config, &shared, &Manner::default())
        .map_err(|error| error.to_string())?;
    let address = platform.web_url().await.map_err(|error| error.to_string())?.ok_or("the router has no address")?;

    let start = shared.clock.now();
    let (narrator, mut news) = Narrator::new(start);
    let narrator = Arc::new(narrator);
    let board = Board::new(around.host.clone());
    let metrics = Sources::new(board.clone(), Some(store.clone()), shared.clone());
    let manner = Manner { dry_run: false, watchers: vec![narrator.clone(), board.clone()], store: Some(store.clone()) };
    let fleet = Fleet::start(config, shared.clone(), manner)
        .await
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let stop = CancellationToken::new();
    let parts = Parts { board, commander: fleet.commander(), store: Some(store), clock, started: start, metrics };
    let serving = listening.serve(parts, stop.clone());
    let visitors = Arc::new(Visitors::default());
    let load = tokio::spawn(load::send(address.clone(), pace, start, shared.clone(), visitors.clone()));

    let stage = Stage {
        narrator: &narrator,
        visitors: &visitors,
        shared: &shared,
        start,
        pace,
        address: address.to_string(),
        dashboard: serving.url(),
    };
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let end = if plain || !io::stdout().is_terminal() {
        stage.tell(&mut news, stopped).await
    } else {
        stage.show(around, stopped).await?
    };
    load.abort();
    stop.cancel();
    fleet.shutdown(SHUTDOWN).await;
    drop(platform);

    let story = narrator.story().clone();
    print(&summary(&story, &visitors, &end));
    Ok(match end {
        End::Left => Exit::FINE,
        End::Told => Exit::FINE,
        End::TooLong => Exit::FAILED,
    })
}

/// Everything that is watched.
struct Stage<'a> {
    narrator: &'a Narrator,
    visitors: &'a Visitors,
    shared: &'a Shared,
    start: Moment,
    pace: Pace,
    /// Where the app answers.
    address: String,
    /// Where a browser sees the same.
    dashboard: String,
}

impl Stage<'_> {
    fn elapsed(&self) -> Duration {
        self.shared.clock.now().since(&self.start)
    }

    /// Whether it is over: not before its length, and not before it is down again, within reason.
    fn end(&self) -> Option<End> {
        let elapsed = self.elapsed();
        if elapsed < self.pace.length {
            None
        } else if self.narrator.story().is_told() {
            Some(End::Told)
        } else {
            (elapsed >= self.pace.length + self.pace.grace()).then_some(End::TooLong)
        }
    }

    /// In plain lines.
    async fn tell(
        &self,
        news: &mut tokio::sync::mpsc::UnboundedReceiver<News>,
        stopped: impl Future<Output = ()>,
    ) -> End {
        tokio::pin!(stopped);
        let (low, high) = (self.pace.low_ms(), self.pace.high_ms());
        print(&format!(
            "A web app of real processes on this machine, behind a router at {}.\n\
             {high:.0} ms is high, {low:.0} ms is low: the two marks in each bar.\n\
             The dashboard is at {}\n\n",
            self.address, self.dashboard
        ));
        loop {
            tokio::select! {
                () = &mut stopped => return End::Left,
                () = tokio::time::sleep(PICTURE_EVERY) => {}
                Some(news) = news.recv() => {
                    let line = match news {
                        News::Reading(reading) => plain::reading(&reading, &self.narrator.story(), &self.pace),
                        News::Happening(happening) => plain::happening(&happening),
                    };
                    print(&format!("{line}\n"));
                }
            }
            if let Some(end) = self.end() {
                return end;
            }
        }
    }

    /// As a live picture.
    async fn show(&self, around: &Surroundings, stopped: impl Future<Output = ()>) -> Result<End, String> {
        tokio::pin!(stopped);
        let failed = |error: io::Error| format!("the terminal cannot be drawn on: {error}; try `demo --plain`");
        let mut view = View::open(around.host.environment.get(NO_COLOR.name).is_none()).map_err(failed)?;
        loop {
            let now = Now {
                at: self.elapsed(),
                served: self.visitors.served(),
                turned_away: self.visitors.turned_away(),
                address: self.address.clone(),
                dashboard: self.dashboard.clone(),
            };
            let story = self.narrator.story().clone();
            view.draw(&story, &now, &self.pace).map_err(failed)?;
            if view.is_left().map_err(failed)? {
                return Ok(End::Left);
            }
            if let Some(end) = self.end() {
                return Ok(end);
            }
            tokio::select! {
                () = &mut stopped => return Ok(End::Left),
                () = tokio::time::sleep(PICTURE_EVERY) => {}
            }
        }
    }
}

/// What happened, for people who looked away.
fn summary(story: &Story, visitors: &Visitors, end: &End) -> String {
    let mut text = String::from("\nWhat happened:\n");
    if story.happenings.is_empty() {
        text.push_str("  nothing yet\n");
    }
    for happening in &story.happenings {
        text.push_str(&format!("  {}\n", plain::happening(happening)));
    }
    let most = story.most();
    let slowest =
        story.slowest().map(|ms| format!("; the slowest measured answer took {ms:.0} ms")).unwrap_or_default();
    let noun = if most == 1 { "process" } else { "processes" };
    text.push_str(&format!("\nAt most {most} {noun}, {} at the end{slowest}.\n", story.running));
    text.push_str(&format!("{} visitors were served, {} turned away.\n", visitors.served(), visitors.turned_away()));
    text.push_str(match end {
        End::Told => "It went up with the load and came down again. All processes are stopped.\n",
        End::Left => "Stopped before the end. All processes are stopped.\n",
        End::TooLong => {
            "It did not go up and come down again in time; this machine may be very busy. All processes are stopped.\n"
        }
    });
    text.push_str("Your own app: `autoscalebot example > autoscale_settings.toml` is the next step.\n");
    text
}

/// To standard output; whoever reads it may have left, which is no reason to leave processes behind.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// The folder with the Procfile and the settings; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(pace: &Pace, launcher: &[String]) -> io::Result<Self> {
        let name = format!("autoscalebot-demo-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        // One that is left from a killed demo with our process id is nobody's any more.
        let _ = std::fs::remove_dir_all(&folder.0);
        std::fs::create_dir(&folder.0)?;
        std::fs::write(folder.0.join("Procfile"), procfile(launcher, pace)?)?;
        std::fs::write(folder.settings(), settings_text(&folder.0, pace))?;
        Ok(folder)
    }

    fn settings(&self) -> PathBuf {
        self.0.join("autoscale_settings.toml")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed from the temporary folder, the system removes in time.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn procfile(launcher: &[String], pace: &Pace) -> io::Result<String> {
    let words = match launcher {
        [] => vec![std::env::current_exe()?.display().to_string()],
        words => words.to_vec(),
    };
    let quoted = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ");
    Ok(format!("web: exec {quoted} __demo-app --work-ms {}\n", pace.work().as_millis()))
}

/// The demo's settings, as a user would write them.
fn settings_text(folder: &Path, pace: &Pace) -> String {
    // A text in JSON's quotes is a text in TOML's.
    let procfile = serde_json::json!(folder.join("Procfile"));
    let (interval, wait) = (pace.interval().as_secs_f64(), pace.wait_after_scale().as_secs_f64());
    let (low, high) = (pace.low_ms(), pace.high_ms());
    format!(
        "[web.measurement]
backend = \"ResponseTime\"
settings = {{ measurement_url = \"/\", measurement_interval_in_seconds = {interval:.3} }}

[web.decision]
backend = \"ConsecutiveThreshold\"

[web.decision.settings]
min_processes = 1
max_processes = {MOST_PROCESSES}
min_measurement_value = {low:.0}
max_measurement_value = {high:.0}
number_of_fails_to_scale_up_after = 3
number_of_passes_to_scale_down_after = 6
post_scale_wait_time_seconds = {wait:.3}

[web.scaling]
backend = \"Local\"
settings = {{ procfile = {procfile}, router_port = 0, output = \"none\" }}

[web.notification]
backends = []
"
    )
}
