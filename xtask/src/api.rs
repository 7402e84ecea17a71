//! `cargo xtask api`: schemathesis asks a running program everything that the document about its API allows, and much that
//! it does not.
//!
//! Each answer must be one that the document describes, none may be a crash, and none may hold a secret: secrets are
//! planted in tokens, settings, addresses and headers, and all hold one word, which is also looked for in the log and in
//! the store. Runs are short and repeatable; what they found once is a test in `autoscalebot/tests/it/api.rs`.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    environments::API,
    run::{self, cargo, command, root, run, target},
};

/// It builds the program first.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// All runs together take a good minute; one that takes this long is stuck.
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// A program that does not serve by then does not serve.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What is promised, and a little for a machine that is busy.
const END_LIMIT: Duration = Duration::from_secs(6);

/// In every secret, and in nothing else.
const PLANTED: &str = "planted-";
const READ_TOKEN: &str = "planted-read-token-0001";
const OPERATE_TOKEN: &str = "planted-operate-token-0001";

/// Two processes: one that is well, and one whose errors must not tell how it is asked.
const SETTINGS: &str = r#"
[web]
scaling = "DryRun"
[web.measurement]
backend = "Command"
settings = { command = "echo 800", env = { KEY = "planted-in-the-environment" }, measurement_interval_in_seconds = 0.5 }
[web.notification]
backends = ["Webhook"]
settings = { url = "http://127.0.0.1:1/planted-hook", secret = "planted-secret", notify_on_every_scale = true }

[worker]
scaling = "DryRun"
[worker.measurement]
backend = "AppDecision"
[worker.measurement.settings]
measurement_url = "http://user:planted-password@127.0.0.1:1/?key=planted-key"
headers = { X-Key = "planted-header" }
measurement_interval_in_seconds = 0.5
"#;

/// What every answer must be, to whomever.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,no_secret";

/// The stream never ends, so nobody can wait for all of it; its tests are elsewhere.
const BUT_THE_STREAM: [&str; 2] = ["--exclude-path", "/api/v1/stream"];

/// One way of asking.
struct Way {
    name: &'static str,
    token: Option<&'static str>,
    arguments: &'static [&'static str],
}

/// Within the limits of the server, or it would only be asked whether it has some: 50 questions and 5 commands a second.
/// That a range ends before it begins is the one thing that a schema cannot say.
const WAYS: &[Way] = &[
    Way {
        name: "questions, with a token",
        token: Some(OPERATE_TOKEN),
        arguments: &[
            "--include-method=GET",
            "--rate-limit=40/s",
            "--max-examples=20",
            "--checks=all",
            "--exclude-checks=positive_data_acceptance",
        ],
    },
    Way {
        name: "commands, every corner",
        token: Some(OPERATE_TOKEN),
        arguments: &[
            "--include-method=POST",
            "--exclude-path=/api/v1/commands",
            "--rate-limit=5/s",
            "--phases=coverage",
            "--checks=all",
        ],
    },
    Way {
        name: "commands, at random",
        token: Some(OPERATE_TOKEN),
        arguments: &[
            "--include-method=POST",
            "--rate-limit=5/s",
            "--phases=fuzzing",
            "--max-examples=30",
            "--checks=all",
        ],
    },
    Way {
        name: "commands, with a token for looking",
        token: Some(READ_TOKEN),
        arguments: &[
            "--include-method=POST",
            "--rate-limit=5/s",
            "--phases=fuzzing",
            "--max-examples=10",
            "--checks",
            CHECKS,
        ],
    },
    Way {
        name: "everything, without a token",
        token: None,
        arguments: &["--rate-limit=40/s", "--phases=fuzzing", "--max-examples=10", "--checks", CHECKS],
    },
];

/// Builds the program, starts it, and asks it in every way; all ways are tried, also after one has failed.
pub fn api() -> Result<()> {
    ensure!(API.is_there(), "schemathesis is missing; `cargo xtask tools` installs it");
    run(cargo().args(["build", "--locked", "--bin", "autoscalebot"]), BUILD_LIMIT)?;
    let mut served = Served::start(&target().join("api"))?;
    let mut failed = Vec::new();
    for way in WAYS {
        println!("   {}", way.name);
        if let Err(error) = run(&mut schemathesis(way, &served.url), RUN_LIMIT) {
            println!("{error:#}");
            failed.push(way.name);
        }
    }
    served.end()?;
    ensure!(failed.is_empty(), "the API does not do what its document says: {}", failed.join("; "));
    let leaks = leaks(&served.folder)?;
    ensure!(leaks.is_empty(), "a planted secret is in {}", leaks.join(", "));
    fs::remove_dir_all(&served.folder)?;
    Ok(())
}

fn schemathesis(way: &Way, url: &str) -> Command {
    let tools = root().join("testkit/tools");
    let mut schemathesis = command(&API.program("schemathesis"));
    // What it leaves behind (examples to begin with next time) would make two runs differ.
    schemathesis.current_dir(target().join("api"));
    schemathesis.env("PYTHONPATH", &tools).env("SCHEMATHESIS_HOOKS", "api_checks");
    schemathesis.env("PYTHONDONTWRITEBYTECODE", "1");
    schemathesis.arg("--config-file").arg(tools.join("schemathesis.toml"));
    schemathesis.args(["--no-color", "run"]).arg(root().join("docs/openapi.json"));
    schemathesis.args(["--url", url, "--seed", "1", "--continue-on-failure", "--warnings", "off"]);
    schemathesis.args(BUT_THE_STREAM).args(way.arguments);
    if let Some(token) = way.token {
        schemathesis.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    schemathesis
}

/// The program, serving; it is killed when dropped.
struct Served {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Served {
    fn start(folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        fs::write(folder.join("autoscale_settings.toml"), SETTINGS)?;
        let log = File::create(folder.join("log"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut program = command(&target().join("debug/autoscalebot"));
        program.current_dir(folder).args(["run", "--listen", &address, "--store", "sqlite:store.db"]);
        program.env("AUTOSCALEBOT_READ_TOKEN", READ_TOKEN).env("AUTOSCALEBOT_OPERATE_TOKEN", OPERATE_TOKEN);
        program.env("AUTOSCALEBOT_LOG", "debug").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = program.spawn().context("the program does not start")?;
        let mut served = Self { child, folder: folder.to_owned(), url: format!("http://{address}") };
        let started = run::now();
        while !served.log()?.contains("the dashboard is at this address") {
            if served.child.try_wait()?.is_some() || started.elapsed() > START_LIMIT {
                bail!("the program does not serve:\n{}", served.log()?);
            }
            run::pause(Duration::from_millis(50));
        }
        Ok(served)
    }

    fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.join("log"))?).into_owned())
    }

    /// Asks it to end, as a platform does.
    fn end(&mut self) -> Result<()> {
        run(command(Path::new("kill")).arg(self.child.id().to_string()), END_LIMIT)?;
        let started = run::now();
        while started.elapsed() < END_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the program ended with {status}:\n{}", self.log()?);
                return Ok(());
            }
            run::pause(Duration::from_millis(50));
        }
        bail!("the program does not end")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files that hold a planted secret, but for the settings, where they were planted.
fn leaks(folder: &Path) -> Result<Vec<String>> {
    let mut leaks = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_file() || name == "autoscale_settings.toml" {
            continue;
        }
        let bytes = fs::read(&path)?;
        if bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes()) {
            leaks.push(path.display().to_string());
        }
    }
    Ok(leaks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_secret_is_found_wherever_it_was_not_planted() {
        let folder = std::env::temp_dir().join(format!("autoscalebot-leaks-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("autoscale_settings.toml"), SETTINGS).unwrap();
        fs::write(folder.join("log"), "all is well").unwrap();
        assert_eq!(leaks(&folder).unwrap(), Vec::<String>::new());
        fs::write(folder.join("store.db"), b"\0\xffplanted-key").unwrap();
        let found = leaks(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
