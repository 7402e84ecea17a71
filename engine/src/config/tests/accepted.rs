//! Settings that load, and what they mean.

use autoscalebot_core::{busy::ScaleDownWhen, units::Seconds};

use super::*;
use crate::config::assemble::{Origin, Source};

#[test]
fn the_originals_example_means_the_same_in_every_format() {
    let python = explained("original_web.py", &fixture("original_web.py"), &nothing()).loaded;
    assert_eq!(python.warnings.len(), 2, "{:?}", python.warnings);
    for (warning, line) in python.warnings.iter().zip([8, 9]) {
        assert!(warning.starts_with(&format!("original_web.py:{line}: web: M")), "{warning}");
    }
    for name in ["original_web.toml", "original_web.yaml", "original_web.json"] {
        assert_eq!(accepted(name, &fixture(name)), python.config, "{name}");
    }
    let web = &python.config.processes["web"];
    let signal = &web.signals[0];
    assert_eq!(signal.decision.settings["min_measurement_value"], 500);
    assert_eq!(signal.decision.settings["max_measurement_value"], 1000);
    assert_eq!(signal.decision_common.post_scale_wait_time_seconds.duration().as_secs(), 60);
    assert_eq!(signal.measurement.settings["measurement_url"], "/my-custom-measurement/");
    assert_eq!(web.scaling.backend, "Heroku");
    assert_eq!(web.scaling.settings["app_name"], "dancing-forest-1234");
    let backends: Vec<_> = web.notification.backends.iter().map(|backend| backend.backend).collect();
    assert_eq!(backends, ["DjangoEmail", "Console"]);
}

#[test]
fn the_originals_whole_example_loads() {
    let config = accepted("original_example.py", &fixture("original_example.py"));
    let celery = &config.processes["celery"];
    assert_eq!(celery.signals[0].measurement.backend, "CeleryRedisQueueSize");
    assert_eq!(celery.signals[0].decision.backend, "AverageThreshold");
    assert_eq!(celery.signals[0].decision.settings["max_measurement_value"], 10);
    assert_eq!(celery.notification.backends[0].backend, "Logger");
}

#[test]
fn the_flat_form_of_version_3_loads() {
    let environment = Environment::from_iter([("HEROKU_API_KEY", "hunter2")]);
    let loaded = explained("version_3.yaml", &fixture("version_3.yaml"), &environment).loaded;
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let web = &loaded.config.processes["web"];
    assert_eq!(web.signals[0].measurement_common.measurement_interval_in_seconds.duration().as_secs(), 20);
    assert_eq!(web.signals[0].decision_common.post_scale_wait_time_seconds.duration().as_secs(), 90);
    assert_eq!(web.scaling.settings["api_key"], "hunter2");
    let common = &web.notification.common;
    assert!(common.notify_on_every_scale && common.notify_if_needs_exceed_max);
    assert!(!common.notify_if_scale_fails, "notify_on names all that is told");
}

#[test]
fn a_process_needs_no_more_than_a_platform() {
    let text = "[web.scaling]\nbackend = \"DryRun\"\n";
    let web = &accepted("a.toml", text).processes["web"];
    assert_eq!(web.signals[0].measurement.backend, "ResponseTime");
    assert_eq!(web.signals[0].decision.backend, "ConsecutiveThreshold");
    assert_eq!(web.notification.backends[0].backend, "Console");
}

#[test]
fn several_signals_are_read_in_their_order() {
    let text = r#"{"web": {"scaling": "DryRun", "signals": [
        {"measurement": {"backend": "Command", "settings": {"command": "echo 1"}}, "decision": "AverageThreshold"},
        {"measurement": "ResponseTime"}]}}"#;
    let signals = &accepted("a.json", text).processes["web"].signals;
    let names: Vec<_> = signals.iter().map(|signal| (signal.measurement.backend, signal.decision.backend)).collect();
    assert_eq!(names, [("Command", "AverageThreshold"), ("ResponseTime", "ConsecutiveThreshold")]);
}

#[test]
fn a_table_by_time_of_day_is_read_in_every_format() {
    let toml = format!("{WEB}min_processes = {{ \"8:00\" = 3, \"18:00\" = 1 }}\ntime_zone = \"America/Vancouver\"\n");
    let yaml = "web: {scaling: DryRun, measurement: {measurement_url: 'http://127.0.0.1:9/'}, decision: \
                {min_processes: {8:00: 3, 18:00: 1}, time_zone: America/Vancouver}}";
    let yaml_in_lines = "TIME_ZONE: America/Vancouver\nweb:\n  scaling: DryRun\n  measurement:\n    measurement_url: \
                         http://127.0.0.1:9/\n  decision:\n    min_processes:\n      8:00: 3\n      18:00: 1\n";
    let python = "TIME_ZONE = 'America/Vancouver'\nPORT = 9\nAUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': \
                  'DryRun'}, 'MEASUREMENT': {'SETTINGS': {'MEASUREMENT_URL': f'http://127.0.0.1:{PORT}/'}}, 'DECISION': \
                  {'SETTINGS': {'MIN_PROCESSES': {'8:00': 3, '18:00': 1}}}}}";
    let expected = accepted("a.toml", &toml);
    for (name, text) in [("flow.yaml", yaml), ("lines.yaml", yaml_in_lines), ("a.py", python)] {
        assert_eq!(accepted(name, text), expected, "{name}");
    }
}

#[test]
fn yaml_anchors_and_merge_keys_share_settings() {
    let text = "
.common: &common
  scaling: {backend: Heroku, app_name: dancing-forest-1234}
processes:
  web:
    <<: *common
  worker:
    <<: *common
    decision: {max_processes: 9}
";
    // What only holds anchors is no process, and stands beside them.
    let config = accepted("a.yaml", text);
    assert_eq!(config.processes.len(), 2);
    assert_eq!(config.processes["web"].scaling, config.processes["worker"].scaling);
}

#[test]
fn environment_variables_become_what_the_setting_is() {
    let environment = Environment::from_iter([("MOST", "7"), ("URL", "http://127.0.0.1:9/"), ("TELL", "True")]);
    let text = "[web]\nscaling = \"DryRun\"\nmeasurement.settings = { measurement_url = \"${URL}x$${y\" }\n\
                decision.settings = { max_processes = \"${MOST}\" }\n\
                notification.settings = { notify_on_every_scale = \"${TELL}\" }\n";
    let config = explained("a.toml", text, &environment).loaded.config;
    let web = &config.processes["web"];
    assert_eq!(serde_json::to_value(&web.signals[0].decision_common.max_processes).unwrap(), 7);
    assert_eq!(web.signals[0].measurement.settings["measurement_url"], "http://127.0.0.1:9/x${y");
    assert!(web.notification.common.notify_on_every_scale);
}

#[test]
fn every_setting_says_where_it_came_from() {
    let environment = Environment::from_iter([("MOST", "7")]);
    let text = format!("{WEB}max_processes = \"${{MOST}}\"\nincrement = 2\n");
    let explained = explained("a.toml", &text, &environment);
    let source = |path: &str| -> String {
        let origin: &Origin =
            explained.origins.iter().find(|origin| origin.path == path).unwrap_or_else(|| panic!("{path}"));
        match &origin.source {
            Source::Default => format!("{} by default", origin.value),
            Source::File(byte) => format!("{} from line {}", origin.value, explained.document.line_and_column(*byte).0),
            Source::Environment(names) => format!("{} from {}", origin.value, names.join(", ")),
        }
    };
    assert_eq!(source("web.decision.settings.min_processes"), "1 by default");
    assert_eq!(source("web.decision.settings.max_processes"), "7 from MOST");
    assert_eq!(source("web.decision.settings.increment"), "2 from line 7");
    assert_eq!(source("web.decision.backend"), "\"ConsecutiveThreshold\" by default");
    assert_eq!(source("web.decision.settings.number_of_fails_to_scale_up_after"), "3 by default");
    assert_eq!(source("web.scaling.backend"), "\"DryRun\" from line 2");
    assert_eq!(source("web.notification.backends[0].backend"), "\"Console\" by default");
    assert_eq!(source("web.measurement.settings.measurement_url"), "\"http://127.0.0.1:9/\" from line 4");
}

#[test]
fn a_notification_without_backends_is_told_on_the_console_by_default() {
    let text = format!("{WEB}[web.notification.settings]\nnotify_on_every_scale = true\n");
    let origins = explained("a.toml", &text, &nothing()).origins;
    let backend = origins.iter().find(|origin| origin.path == "web.notification.backends[0].backend").unwrap();
    assert_eq!(backend.source, Source::Default);
}

#[test]
fn djangos_mail_settings_serve_its_backend() {
    let text = "
EMAIL_HOST = 'mail.example.org'
EMAIL_HOST_PASSWORD = 'hunter2'
ADMINS = (('Ops', 'ops@example.org'),)
AUTOSCALE_SETTINGS = {'web': {
    'SCALING': {'BACKEND': 'DryRun'},
    'NOTIFICATION': {'BACKENDS': ['autoscalebot.backends.notification.DjangoEmailBackend']},
}}
";
    let explained = explained("settings.py", text, &nothing());
    let settings = &explained.loaded.config.processes["web"].notification.backends[0].settings;
    assert_eq!(settings["email_host"], "mail.example.org");
    assert_eq!(settings["admins"], serde_json::json!([["Ops", "ops@example.org"]]));
    let shown = format!("{:?} {:?}", explained.origins, explained.loaded);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_empty_list_of_notification_backends_tells_nobody() {
    let text = "web: {scaling: DryRun, notification: {backends: []}}\n";
    assert_eq!(accepted("a.yaml", text).processes["web"].notification.backends, []);
}

#[test]
fn what_stands_beside_the_stages_is_read_in_every_format_and_spelling() {
    let files = [
        ("a.toml", "[web]\nscaling = \"DryRun\"\nscale_down_when = \"drained\"\nmax_busy_wait = 90\n"),
        ("b.toml", "[web]\nSCALING = \"DryRun\"\nSCALE_DOWN_WHEN = \"drained\"\nMAX_BUSY_WAIT = 90.0\n"),
        ("a.yaml", "web:\n  scaling: DryRun\n  scale_down_when: drained\n  max_busy_wait: 90\n"),
        (
            "a.json",
            r#"{"processes": {"web": {"scaling": "DryRun", "scale_down_when": "drained", "max_busy_wait": 90}}}"#,
        ),
        (
            "a.py",
            "AUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'DryRun'}, 'SCALE_DOWN_WHEN': 'drained', \
             'MAX_BUSY_WAIT': 90}}",
        ),
        ("x.toml", "[web]\nscaling = \"DryRun\"\nscale_down_when = \"${WHEN}\"\nmax_busy_wait = \"${WAIT}\"\n"),
    ];
    let environment = Environment::from_iter([("WHEN", "drained"), ("WAIT", "90")]);
    for (name, text) in files {
        let own = &explained(name, text, &environment).loaded.config.processes["web"].own;
        assert_eq!(own.scale_down_when, Some(ScaleDownWhen::Drained), "{name}");
        assert_eq!(own.max_busy_wait, Seconds::new(90), "{name}");
    }
    let without = &accepted("a.toml", "[web]\nscaling = \"DryRun\"\n").processes["web"].own;
    assert_eq!(*without, autoscalebot_core::busy::Settings::default());
}

#[test]
fn what_stands_beside_the_stages_says_where_it_came_from() {
    let environment = Environment::from_iter([("WHEN", "idle")]);
    let text = "[web]\nscaling = \"DryRun\"\nscale_down_when = \"${WHEN}\"\n[worker]\nscaling = \"DryRun\"\nmax_busy_wait = 0\n";
    let origins = explained("a.toml", text, &environment).origins;
    let origin = |path: &str| origins.iter().find(|origin| origin.path == path).unwrap_or_else(|| panic!("{path}"));
    let when = origin("web.scale_down_when");
    assert_eq!((&when.value, &when.source), (&"idle".into(), &Source::Environment(vec!["WHEN".to_owned()])));
    let wait = origin("web.max_busy_wait");
    assert_eq!((wait.value.as_f64(), &wait.source), (Some(3600.0), &Source::Default));
    assert_eq!(origin("worker.scale_down_when").source, Source::Default);
    assert!(matches!(origin("worker.max_busy_wait").source, Source::File(_)));
}

#[test]
fn on_heroku_the_environment_names_the_app() {
    let environment = Environment::from_iter([("HEROKU_APP_NAME", "quiet-lake-7")]);
    let url = "[web.measurement.settings]\nmeasurement_url = \"http://127.0.0.1/\"\n";
    let loaded = explained("a.toml", url, &environment).loaded;
    let scaling = &loaded.config.processes["web"].scaling;
    assert_eq!((scaling.backend, &scaling.settings["app_name"]), ("Heroku", &"quiet-lake-7".into()));
    let named = "[web.scaling]\nbackend = \"Heroku\"\nsettings = { app_name = \"dancing-forest-1234\" }\n";
    let loaded = explained("a.toml", named, &environment).loaded;
    assert_eq!(loaded.config.processes["web"].scaling.settings["app_name"], "dancing-forest-1234");
    let other = explained("a.toml", "[web.scaling]\nbackend = \"DryRun\"\n", &environment).loaded;
    assert_eq!(other.config.processes["web"].scaling.backend, "DryRun");
}
