//! Settings in the original's spelling drive the binary against a fake Heroku and a real URL.

use std::time::Duration;

use testkit::{
    app::{Answers, App},
    fake_heroku::{FakeHeroku, Fault, Setup},
    program::{Folder, Program},
};

use crate::autoscalebot;

const APP: &str = "dancing-forest-1234";
const PATIENCE: Duration = Duration::from_secs(30);

/// The original's spelling; fast intervals, so that a test takes seconds.
fn settings(app: &App, extra_decision: &str) -> String {
    let url = app.url();
    format!(
        r#"
import os

APP_NAME = "{APP}"

AUTOSCALE_SETTINGS = {{
    'web': {{
        'MEASUREMENT': {{
            'BACKEND': 'autoscalebot.backends.measurement.ResponseTimeBackend',
            'SETTINGS': {{
                'MEASUREMENT_URL': "{url}/autoscalebot/measurement/",
                'MEASUREMENT_INTERVAL_IN_SECONDS': 0.1,
                'TIMEOUT_SECONDS': 0.6,
            }},
        }},
        'DECISION': {{
            'BACKEND': 'autoscalebot.backends.decision.ConsecutiveThresholdBackend',
            'SETTINGS': {{
                'MIN_MEASUREMENT_VALUE': 100,
                'MAX_MEASUREMENT_VALUE': 200,
                'POST_SCALE_WAIT_TIME_SECONDS': 0.2,
                {extra_decision}
            }},
        }},
        'SCALING': {{
            'BACKEND': 'autoscalebot.backends.scaling.HerokuBackend',
            'SETTINGS': {{'APP_NAME': APP_NAME, 'API_KEY': os.environ['THE_KEY']}},
        }},
        'NOTIFICATION': {{
            'BACKENDS': ['autoscalebot.backends.notification.ConsoleBackend'],
            'SETTINGS': {{'NOTIFY_ON_EVERY_SCALE': True}},
        }},
    }},
}}
"#
    )
}

async fn heroku(web: u32) -> FakeHeroku {
    FakeHeroku::start(Setup::app(APP).process("web", web, "Standard-1X").token("test-token")).await
}

fn start(folder: &Folder, fake: &FakeHeroku) -> Program {
    let mut command = autoscalebot();
    command.current_dir(folder.path()).args(["--settings", "autoscale_settings"]);
    Program::start(command.env("THE_KEY", "test-token").env("HEROKU_API_URL", fake.url()))
}

fn slow() -> Answers {
    Answers::After(Duration::from_millis(300), "slow".to_owned())
}

fn fast() -> Answers {
    Answers::After(Duration::ZERO, "fast".to_owned())
}

async fn reaches(program: &Program, fake: &FakeHeroku, quantity: u32) {
    let reached = program.until(PATIENCE, |_| fake.quantity("web") == quantity).await;
    assert!(reached, "web is {}, not {quantity}:\n{}", fake.quantity("web"), program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_grows_to_max_fast_shrinks_to_min_and_each_change_is_one_patch() {
    let (fake, app, folder) = (heroku(1).await, App::start(slow()).await, Folder::new());
    folder.write("autoscale_settings.py", &settings(&app, ""));
    let mut program = start(&folder, &fake);
    reaches(&program, &fake, 3).await;
    assert_eq!(fake.patches(), 2);
    app.set(fast());
    reaches(&program, &fake, 1).await;
    assert_eq!(fake.patches(), 4);
    // At its min and still fast: nothing more is sent, however long it goes on.
    let asked = app.requests();
    assert!(program.until(PATIENCE, |_| app.requests() > asked + 12).await);
    assert_eq!(fake.patches(), 4);
    let output = program.output();
    for words in ["readings in a row above 200 ms", "readings in a row at or below 100 ms"] {
        assert!(output.contains(words), "{words} is missing in\n{output}");
    }
    assert!(!output.contains("test-token"), "the key is shown in\n{output}");
    program.signal("TERM");
    let status = program.end(Duration::from_secs(5)).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknowns_of_every_kind_never_shrink() {
    let (fake, app, folder) = (heroku(3).await, App::start(fast()).await, Folder::new());
    folder.write("autoscale_settings.py", &settings(&app, "'NUMBER_OF_PASSES_TO_SCALE_DOWN_AFTER': 2,"));
    app.set(Answers::Status(404));
    let program = start(&folder, &fake);
    for answers in [Answers::Status(404), Answers::Status(401), Answers::Bytes(10 * 1024 * 1024)] {
        app.set(answers.clone());
        let asked = app.requests();
        assert!(program.until(PATIENCE, |_| app.requests() > asked + 8).await, "{}", program.output());
        assert_eq!((fake.quantity("web"), fake.patches()), (3, 0), "{answers:?}:\n{}", program.output());
    }
    // And it recovers by itself.
    app.set(fast());
    reaches(&program, &fake, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_hangs_or_breaks_grows_and_stays_within_its_bounds() {
    let (fake, app, folder) = (heroku(1).await, App::start(Answers::Hangs).await, Folder::new());
    folder.write("autoscale_settings.py", &settings(&app, "'MAX_PROCESSES': 2,"));
    let program = start(&folder, &fake);
    reaches(&program, &fake, 2).await;
    app.set(Answers::Status(500));
    let asked = app.requests();
    assert!(program.until(PATIENCE, |_| app.requests() > asked + 8).await);
    assert_eq!((fake.quantity("web"), fake.patches()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_api_does_it_recovers_by_itself() {
    for fault in
        [Fault::status(401), Fault::rate_limited(), Fault::status(503), Fault::EdgeHtml, Fault::Hang, Fault::Reset]
    {
        let (fake, app, folder) = (heroku(1).await, App::start(slow()).await, Folder::new());
        let extra = "'MAX_PROCESSES': 2,";
        let text =
            settings(&app, extra).replace("'APP_NAME': APP_NAME,", "'APP_NAME': APP_NAME, 'TIMEOUT_SECONDS': 1,");
        folder.write("autoscale_settings.py", &text);
        fake.fail_next(fault.clone(), 3);
        let program = start(&folder, &fake);
        reaches(&program, &fake, 2).await;
        assert_eq!(fake.quantity("web"), 2, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_and_never_scales() {
    let (fake, app, folder) = (heroku(7).await, App::start(slow()).await, Folder::new());
    folder.write("autoscale_settings.py", &settings(&app, ""));
    let mut command = autoscalebot();
    command.current_dir(folder.path()).args(["run", "--dry-run", "--settings", "autoscale_settings"]);
    let program = Program::start(command.env("THE_KEY", "test-token").env("HEROKU_API_URL", fake.url()));
    assert!(program.until(PATIENCE, |output| output.contains("would scale")).await, "{}", program.output());
    let asked = app.requests();
    assert!(program.until(PATIENCE, |_| app.requests() > asked + 8).await);
    // Not even back into the bounds, which 7 exceeds.
    assert_eq!((fake.quantity("web"), fake.patches()), (7, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_start_goes_on_from_the_platforms_real_count() {
    let (fake, app, folder) = (heroku(1).await, App::start(slow()).await, Folder::new());
    folder.write("autoscale_settings.py", &settings(&app, ""));
    let program = start(&folder, &fake);
    reaches(&program, &fake, 2).await;
    program.signal("KILL");
    drop(program);
    let before = fake.quantity("web");
    app.set(Answers::After(Duration::from_millis(150), "between".to_owned()));
    let program = start(&folder, &fake);
    let asked = app.requests();
    assert!(program.until(PATIENCE, |_| app.requests() > asked + 8).await);
    assert_eq!(fake.quantity("web"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_can_write_or_read_stops_no_bot() {
    // A full device fails every write; a pipe that nobody reads blocks once it is full.
    let full = || std::process::Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let (_unread, writer) = std::io::pipe().unwrap();
    for stderr in [full(), std::process::Stdio::from(writer)] {
        let (fake, app, folder) = (heroku(1).await, App::start(slow()).await, Folder::new());
        folder.write("autoscale_settings.py", &settings(&app, ""));
        let mut command = autoscalebot();
        command.current_dir(folder.path()).args(["--settings", "autoscale_settings"]).stderr(stderr);
        command.env("AUTOSCALEBOT_LOG", "trace").env("THE_KEY", "test-token").env("HEROKU_API_URL", fake.url());
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        let patience = std::time::Duration::from_millis(20);
        for _ in 0..1500 {
            if fake.quantity("web") == 3 {
                break;
            }
            tokio::time::sleep(patience).await;
        }
        let quantity = fake.quantity("web");
        let killed = std::process::Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
        let mut ended = None;
        for _ in 0..250 {
            ended = child.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            tokio::time::sleep(patience).await;
        }
        // Whatever the outcome, nothing is left behind.
        let _ = child.kill();
        let _ = child.wait();
        assert!(killed.is_ok_and(|status| status.success()));
        assert_eq!(quantity, 3);
        assert_eq!(ended.and_then(|status| status.code()), Some(0), "it ends within five seconds");
    }
}
