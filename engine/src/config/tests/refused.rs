//! Settings that do not load, and what people are told: whole renderings, as they stand at a terminal.

use super::*;
use crate::config::original::{RENAMED, Stage};

#[test]
fn two_errors_in_toml_are_both_told() {
    let text = "[web.scaling]\nbackend = \"Herku\"\n\n[web.decision.settings]\nmin_proceses = 2\nincrement = 0\n";
    insta::assert_snapshot!(refused("a.toml", text), @r#"
    error: web.scaling.backend: there is no backend "Herku" (did you mean Heroku?)
     --> a.toml:2:11
      |
    2 | backend = "Herku"
      |           ^^^^^^^
      |
      = help: expected one of Heroku, Local, Command, DryRun

    error: web.decision.settings.min_proceses: unknown setting, did you mean min_processes?
     --> a.toml:5:1
      |
    5 | min_proceses = 2
      | ^^^^^^^^^^^^
      |
      = help: expected min_processes, max_processes, time_zone, increment, post_scale_wait_time_seconds, history_length, number_of_fails_to_scale_up_after, number_of_passes_to_scale_down_after, min_measurement_value, max_measurement_value

    error: web.decision.settings.increment: found 0
     --> a.toml:6:13
      |
    6 | increment = 0
      |             ^
      |
      = help: expected a whole number, 1 or more

    3 problems in the settings
    "#);
}

#[test]
fn two_errors_in_yaml_are_both_told() {
    let text = "
web:
  scaling: {backend: Heroku, app_name: dancing-forest-1234}
  decision:
    backend: AverageTreshold
    max_processes: many
";
    insta::assert_snapshot!(refused("a.yaml", text), @r#"
    error: web.decision.backend: there is no backend "AverageTreshold" (did you mean AverageThreshold?)
     --> a.yaml:5:14
      |
    5 |     backend: AverageTreshold
      |              ^^^^^^^^^^^^^^^
      |
      = help: expected one of ConsecutiveThreshold, AverageThreshold

    error: web.decision.settings.max_processes: found "many"
     --> a.yaml:6:20
      |
    6 |     max_processes: many
      |                    ^^^^
      |
      = help: expected a whole number, or a table such as {"8:00": 3, "18:00": 1}

    2 problems in the settings
    "#);
}

#[test]
fn two_errors_in_json_are_both_told() {
    let text = r#"{"web": {"scaling": "DryRun",
  "measurement": {"backend": "ResponseTime", "settings": {"timeout_second": 3, "measurement_interval_in_seconds": "often"}}
}}"#;
    insta::assert_snapshot!(refused("a.json", text), @r#"
    error: web.measurement.settings.timeout_second: unknown setting, did you mean timeout_seconds?
     --> a.json:2:59
      |
    2 |   "measurement": {"backend": "ResponseTime", "settings": {"timeout_second": 3, "measurement_interval_in_seconds": "often"}}
      |                                                           ^^^^^^^^^^^^^^^^
      |
      = help: expected measurement_interval_in_seconds, measurement_url, base_url, headers, timeout_seconds, reuse_connections, on_timeout

    error: web.measurement.settings.measurement_interval_in_seconds: found "often"
     --> a.json:2:115
      |
    2 |   "measurement": {"backend": "ResponseTime", "settings": {"timeout_second": 3, "measurement_interval_in_seconds": "often"}}
      |                                                                                                                   ^^^^^^^
      |
      = help: expected a number

    2 problems in the settings
    "#);
}

#[test]
fn two_errors_in_python_are_both_told() {
    let text = "
AUTOSCALE_SETTINGS = {
    'web': {
        'SCALING': {'BACKEND': 'DryRun'},
        'DECISION': {'BACKEND': 'myapp.decision.Clever'},
        'NOTIFICATION': {'SETTINGS': {'NOTIFY_ON_EVERY_SCALES': True}},
    },
}
";
    insta::assert_snapshot!(refused("a.py", text), @r#"
    error: web.decision.backend: "myapp.decision.Clever" is a Python class, and this program runs without Python
     --> a.py:5:33
      |
    5 |         'DECISION': {'BACKEND': 'myapp.decision.Clever'},
      |                                 ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: expected one of ConsecutiveThreshold, AverageThreshold; the Python package can run classes of your own

    error: web.notification.settings.notify_on_every_scales: unknown setting, did you mean notify_on_every_scale?
     --> a.py:6:39
      |
    6 |         'NOTIFICATION': {'SETTINGS': {'NOTIFY_ON_EVERY_SCALES': True}},
      |                                       ^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: expected notify_on_every_measurement, notify_on_every_scale, notify_if_needs_below_min, notify_if_needs_exceed_max, notify_if_scaling_is_too_rapid, notify_if_scaling_is_too_rapid_num_scales, notify_if_scaling_is_too_rapid_time_period_minutes, notify_if_scale_fails, notify_if_measurement_fails, notify_if_count_changes_elsewhere, notify_repeat_minutes, notify_on

    2 problems in the settings
    "#);
}

#[test]
fn a_misspelt_stage_and_a_key_beside_settings_are_told() {
    let text = "[web]\nscaling = \"DryRun\"\nmeasurment = \"ResponseTime\"\n[web.decision]\nmax_processes = 3\nsettings = {}\n";
    insta::assert_snapshot!(refused("a.toml", text), @r#"
    error: web.measurment: "measurment" is no part of a process, did you mean measurement?
     --> a.toml:3:1
      |
    3 | measurment = "ResponseTime"
      | ^^^^^^^^^^
      |
      = help: expected one of measurement, decision, signals, scaling, notification, scale_down_when, max_busy_wait

    error: web.decision.max_processes: "max_processes" is no part of a stage
     --> a.toml:5:1
      |
    5 | max_processes = 3
      | ^^^^^^^^^^^^^
      |
      = help: expected one of backend, settings

    2 problems in the settings
    "#);
}

#[test]
fn what_no_format_allows_is_told_with_its_place() {
    insta::assert_snapshot!(refused("a.toml", "[web]\nscaling = \n"), @r"
    error: this is not TOML: string values must be quoted, expected literal string
     --> a.toml:2:11
      |
    2 | scaling = 
      |           ^

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("a.yaml", "web:\n  scaling: [DryRun\n  x: 1\n"), @r"
    error: this is not YAML: illegal placement of ':' indicator
     --> a.yaml:3:4
      |
    3 |   x: 1
      |    ^

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("a.json", "{\"web\": {\"scaling\": DryRun}}"), @r#"
    error: this is not JSON: expected value
     --> a.json:1:21
      |
    1 | {"web": {"scaling": DryRun}}
      |                     ^

    1 problem in the settings
    "#);
    insta::assert_snapshot!(refused("a.py", "AUTOSCALE_SETTINGS = {\n    'web' = 1,\n}\n"), @r"
    error: this is not Python: Expected an expression or a '}'
     --> a.py:2:11
      |
    2 |     'web' = 1,
      |           ^
      |
      = help: expected a Python module that assigns AUTOSCALE_SETTINGS

    1 problem in the settings
    ");
}

#[test]
fn a_key_that_stands_twice_is_told_in_every_format() {
    insta::assert_snapshot!(refused("a.toml", "[web]\nscaling = \"DryRun\"\nscaling = \"DryRun\"\n"), @r#"
    error: this is not TOML: duplicate key
     --> a.toml:3:1
      |
    3 | scaling = "DryRun"
      | ^^^^^^^

    1 problem in the settings
    "#);
    insta::assert_snapshot!(refused("a.yaml", "web:\n  scaling: DryRun\n  SCALING: DryRun\n"), @r"
    error: web.scaling: this key stands here a second time
     --> a.yaml:3:3
      |
    3 |   SCALING: DryRun
      |   ^^^^^^^
      |
      = help: expected each key once

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("a.json", "{\"web\": {\"scaling\": \"DryRun\"},\n \"web\": {}}"), @r#"
    error: web: this process stands here a second time
     --> a.json:2:2
      |
    2 |  "web": {}}
      |  ^^^^^
      |
      = help: expected each process once

    1 problem in the settings
    "#);
    insta::assert_snapshot!(refused("a.py", "AUTOSCALE_SETTINGS = {'web': {\n  'SCALING': 'DryRun',\n  'SCALING': 'Local'}}"), @r"
    error: web.scaling: this key stands here a second time
     --> a.py:3:3
      |
    3 |   'SCALING': 'Local'}}
      |   ^^^^^^^^^
      |
      = help: expected each key once

    1 problem in the settings
    ");
}

#[test]
fn a_key_that_stands_twice_inside_a_setting_is_told() {
    let text = "{\"web\": {\"scaling\": \"DryRun\", \"measurement\": {\"headers\": {\n\"Accept\": \"a\",\n\"Accept\": \"b\"}}}}";
    assert_eq!(
        lines("a.json", text),
        [
            "a.json:3: web.measurement.settings.headers.Accept: this key stands here a second time; expected each key once"
        ]
    );
}

#[test]
fn one_setting_under_two_names_is_told() {
    let text = "web:\n  scaling: DryRun\n  measurement:\n    seconds_between_measurement: 5\n    measurement_interval_in_seconds: 6\n";
    insta::assert_snapshot!(refused("a.yaml", text), @r"
    error: web.measurement.settings.measurement_interval_in_seconds: this setting stands here already, under another name
     --> a.yaml:5:5
      |
    5 |     measurement_interval_in_seconds: 6
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: expected one of the two

    1 problem in the settings
    ");
    let text = "[web]\nscaling = \"DryRun\"\n[web.measurement.settings]\nMIN_TIME_MS = 5\n[web.decision.settings]\nmin_measurement_value = 6\n";
    insta::assert_snapshot!(refused("a.toml", text), @r"
    error: web.decision.settings.min_measurement_value: this setting stands here already, under another name
     --> a.toml:4:1
      |
    4 | MIN_TIME_MS = 5
      | ^^^^^^^^^^^
      |
      = help: expected one of the two

    1 problem in the settings
    ");
}

#[test]
fn wrong_types_are_told_with_what_was_found() {
    let text = "[web]\nscaling = 3\nmeasurement = [\"ResponseTime\"]\n[web.notification]\nbackends = [\"Console\", 4]\n\
                settings = { notify_on_every_scale = \"yes\" }\n[worker]\nscaling = { backend = 1 }\n[other]\nscaling = {}\n";
    insta::assert_snapshot!(refused("a.toml", text), @r#"
    error: web.scaling: found a number
     --> a.toml:2:11
      |
    2 | scaling = 3
      |           ^
      |
      = help: expected a table with backend and settings

    error: web.measurement: found a list
     --> a.toml:3:15
      |
    3 | measurement = ["ResponseTime"]
      |               ^^^^^^^^^^^^^^^^
      |
      = help: expected a table with backend and settings

    error: web.notification.backends[1]: found a number
     --> a.toml:5:24
      |
    5 | backends = ["Console", 4]
      |                        ^
      |
      = help: expected a table with backend and settings

    error: web.notification.settings.notify_on_every_scale: found "yes"
     --> a.toml:6:38
      |
    6 | settings = { notify_on_every_scale = "yes" }
      |                                      ^^^^^
      |
      = help: expected true or false

    error: worker.scaling.backend: found a number
     --> a.toml:8:23
      |
    8 | scaling = { backend = 1 }
      |                       ^
      |
      = help: expected the name of a backend

    error: other.scaling.backend: there is no backend
      --> a.toml:10:11
       |
    10 | scaling = {}
       |           ^^
       |
       = help: expected one of Heroku, Local, Command, DryRun

    6 problems in the settings
    "#);
    insta::assert_snapshot!(refused("b.toml", "web = 3\n"), @r"
    error: web: found a number
     --> b.toml:1:7
      |
    1 | web = 3
      |       ^
      |
      = help: expected a table with measurement, decision, scaling, notification

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("c.json", "[1, 2]"), @r"
    error: found a list
     --> c.json:1:1
      |
    1 | [1, 2]
      | ^^^^^^
      |
      = help: expected a table of processes

    1 problem in the settings
    ");
}

#[test]
fn bounds_that_cross_at_an_hour_are_told_with_the_hour() {
    let text = format!(
        "{WEB}min_processes = {{ \"0:00\" = 1, \"9:00\" = 4 }}\nmax_processes = {{ \"0:00\" = 5, \"8:00\" = 3 }}\n"
    );
    insta::assert_snapshot!(refused("a.toml", &text), @r#"
    error: web.decision.settings.min_processes: min_processes 4 exceeds max_processes 3 at 9:00
     --> a.toml:6:17
      |
    6 | min_processes = { "0:00" = 1, "9:00" = 4 }
      |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: expected at most max_processes, at every time of day

    1 problem in the settings
    "#);
    insta::assert_snapshot!(refused("b.toml", &format!("{WEB}min_processes = 4\n")), @r"
    error: web.decision.settings.min_processes: min_processes 4 exceeds max_processes 3
     --> b.toml:6:17
      |
    6 | min_processes = 4
      |                 ^
      |
      = help: expected at most max_processes, at every time of day

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("c.toml", &format!("{WEB}max_processes = 0\n")), @r"
    error: web.decision.settings.min_processes: min_processes 1 exceeds max_processes 0
     --> c.toml:6:17
      |
    6 | max_processes = 0
      |                 ^
      |
      = help: expected at most max_processes, at every time of day

    1 problem in the settings
    ");
}

#[test]
fn a_history_too_short_for_the_decision_is_told() {
    insta::assert_snapshot!(refused("a.toml", &format!("{WEB}history_length = 4\n")), @r"
    error: web.decision.settings.history_length: 4 samples are kept, and the decision looks back 5
     --> a.toml:6:18
      |
    6 | history_length = 4
      |                  ^
      |
      = help: expected 5 or more

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("b.toml", &format!("{WEB}number_of_fails_to_scale_up_after = 20\n")), @r"
    error: web.decision.settings.history_length: 10 samples are kept, and the decision looks back 20
     --> b.toml:5:6
      |
    5 | [web.decision.settings]
      |      ^^^^^^^^
      |
      = help: expected 20 or more

    1 problem in the settings
    ");
}

#[test]
fn crossed_thresholds_and_too_short_an_interval_are_told_where_they_stand() {
    let text = format!("{WEB}min_measurement_value = 1300\n")
        .replace("[web.decision", "measurement_interval_in_seconds = 0.01\n[web.decision");
    insta::assert_snapshot!(refused("a.toml", &text), @r"
    error: web.measurement.settings.measurement_interval_in_seconds: an interval of 0.01 s
     --> a.toml:5:35
      |
    5 | measurement_interval_in_seconds = 0.01
      |                                   ^^^^
      |
      = help: expected at least 0.05 s

    error: web.decision.settings.min_measurement_value: 1300 exceeds max_measurement_value 1200
     --> a.toml:7:25
      |
    7 | min_measurement_value = 1300
      |                         ^^^^
      |
      = help: expected a number at or below max_measurement_value

    2 problems in the settings
    ");
}

#[test]
fn a_zone_that_is_none_gets_a_guess() {
    insta::assert_snapshot!(refused("a.toml", &format!("{WEB}time_zone = \"America/Vancuver\"\n")), @r#"
    error: web.decision.settings.time_zone: there is no time zone "America/Vancuver", did you mean America/Vancouver?
     --> a.toml:6:13
      |
    6 | time_zone = "America/Vancuver"
      |             ^^^^^^^^^^^^^^^^^^
      |
      = help: expected a name such as America/Vancouver or UTC

    1 problem in the settings
    "#);
}

#[test]
fn a_zone_for_all_that_is_none_is_told_once() {
    let text = "time_zone: Mars/Olympus\nweb: {scaling: DryRun}\nworker: {scaling: DryRun}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @r#"
    error: time_zone: there is no time zone "Mars/Olympus"
     --> a.yaml:1:12
      |
    1 | time_zone: Mars/Olympus
      |            ^^^^^^^^^^^^
      |
      = help: expected a name such as America/Vancouver or UTC

    1 problem in the settings
    "#);
}

#[test]
fn a_variable_that_is_not_set_is_told() {
    insta::assert_snapshot!(refused("a.toml", "[web.scaling]\nbackend = \"Heroku\"\nsettings = { app_name = \"${APP}\", api_key = \"${KEY\" }\n"), @r#"
    error: web.scaling.settings.app_name: the environment variable APP is not set
     --> a.toml:3:25
      |
    3 | settings = { app_name = "${APP}", api_key = ******* }
      |                         ^^^^^^^^
      |
      = help: expected APP to be set, or $${ for a plain ${

    error: web.scaling.settings.api_key: a ${ without its }
     --> a.toml:3:45
      |
    3 | settings = { app_name = "${APP}", api_key = ******* }
      |                                             ^^^^^^^
      |
      = help: expected ${NAME}, or $${ for a plain ${

    2 problems in the settings
    "#);
}

#[test]
fn a_process_without_a_platform_is_told() {
    insta::assert_snapshot!(refused("a.toml", "[web.measurement.settings]\nmeasurement_url = \"http://127.0.0.1/\"\n"), @r"
    error: web.scaling: there is no scaling
     --> a.toml:1:2
      |
    1 | [web.measurement.settings]
      |  ^^^
      |
      = help: expected a backend that runs the processes: one of Heroku, Local, Command, DryRun; or, for Heroku, the environment variable HEROKU_APP_NAME

    1 problem in the settings
    ");
}

#[test]
fn settings_without_a_process_are_told() {
    insta::assert_snapshot!(refused("a.toml", "# nothing\n"), @r"
    error: there is no process in these settings
     --> a.toml:1:1
      |
    1 | # nothing
      | ^
      |
      = help: expected at least one process; `autoscalebot example` prints a file to begin with

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("b.yaml", ""), @r"
    error: there is no process in these settings
     --> b.yaml:1:1
      |
    1 |
      | ^
      |
      = help: expected at least one process; `autoscalebot example` prints a file to begin with

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("c.json", "{\"AUTOSCALE_SETTINGS\": {}}"), @r#"
    error: there is no process in these settings
     --> c.json:1:24
      |
    1 | {"AUTOSCALE_SETTINGS": {}}
      |                        ^^
      |
      = help: expected at least one process; `autoscalebot example` prints a file to begin with

    1 problem in the settings
    "#);
    insta::assert_snapshot!(refused("d.py", "X = 1\n"), @r"
    error: d.py does not assign AUTOSCALE_SETTINGS
    --> d.py
     = help: expected AUTOSCALE_SETTINGS = {'web': {…}}

    1 problem in the settings
    ");
    insta::assert_snapshot!(refused("e.ini", "x"), @r#"
    error: the ending "ini" is no format of settings
    --> e.ini
     = help: expected one of .py, .toml, .yaml, .json

    1 problem in the settings
    "#);
}

#[test]
fn what_stands_beside_the_processes_is_told_and_not_passed_over() {
    let text = "processes: {web: {scaling: DryRun}}\nworker: {scaling: DryRun}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @r#"
    error: worker: "worker" stands beside processes
     --> a.yaml:2:1
      |
    2 | worker: {scaling: DryRun}
      | ^^^^^^
      |
      = help: expected processes inside processes, and time_zone beside it

    1 problem in the settings
    "#);
}

#[test]
fn notify_on_takes_only_its_own_words() {
    let text = "web: {scaling: DryRun, notification: {backends: [Console], notify_on: [SCALE, EXCEEDS_MAX, 3]}}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @r#"
    error: web.notification.settings.notify_on: found "EXCEEDS_MAX", did you mean EXCEED_MAX?
     --> a.yaml:1:79
      |
    1 | web: {scaling: DryRun, notification: {backends: [Console], notify_on: [SCALE, EXCEEDS_MAX, 3]}}
      |                                                                               ^^^^^^^^^^^
      |
      = help: expected a list of MEASUREMENT, SCALE, NEEDS_BELOW_MIN, BELOW_MIN, NEEDS_EXCEED_MAX, EXCEED_MAX, SCALING_IS_TOO_RAPID, TOO_RAPID, SCALE_FAILS, MEASUREMENT_FAILS, COUNT_CHANGES_ELSEWHERE

    error: web.notification.settings.notify_on: found 3
     --> a.yaml:1:92
      |
    1 | web: {scaling: DryRun, notification: {backends: [Console], notify_on: [SCALE, EXCEEDS_MAX, 3]}}
      |                                                                                            ^
      |
      = help: expected a list of MEASUREMENT, SCALE, NEEDS_BELOW_MIN, BELOW_MIN, NEEDS_EXCEED_MAX, EXCEED_MAX, SCALING_IS_TOO_RAPID, TOO_RAPID, SCALE_FAILS, MEASUREMENT_FAILS, COUNT_CHANGES_ELSEWHERE

    2 problems in the settings
    "#);
}

#[test]
fn a_setting_that_no_notification_backend_has_is_told_once() {
    let text = "web: {scaling: DryRun, notification: {backends: [Console, Logger], settings: {chanel: x}}}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @r"
    error: web.notification.settings.chanel: unknown setting
     --> a.yaml:1:79
      |
    1 | web: {scaling: DryRun, notification: {backends: [Console, Logger], settings: {chanel: *}}}
      |                                                                               ^^^^^^
      |
      = help: expected notify_on_every_measurement, notify_on_every_scale, notify_if_needs_below_min, notify_if_needs_exceed_max, notify_if_scaling_is_too_rapid, notify_if_scaling_is_too_rapid_num_scales, notify_if_scaling_is_too_rapid_time_period_minutes, notify_if_scale_fails, notify_if_measurement_fails, notify_if_count_changes_elsewhere, notify_repeat_minutes, notify_on

    1 problem in the settings
    ");
}

#[test]
fn a_name_that_is_no_process_is_told() {
    insta::assert_snapshot!(refused("a.yaml", "\"we b\": {scaling: DryRun}\n"), @r#"
    error: "we b" is not a process name: 1 to 128 letters, digits, `-` and `_`
     --> a.yaml:1:1
      |
    1 | "we b": {scaling: DryRun}
      | ^^^^^^

    1 problem in the settings
    "#);
}

#[test]
fn every_exception_of_the_naming_rule_is_reachable() {
    for entry in RENAMED {
        let stage = |stage: Stage| if stage == Stage::Measurement { "measurement" } else { "decision" };
        let (from, to) = (stage(entry.stage), stage(entry.to_stage));
        // An impossible value shows under which name it arrives.
        let text = format!("web: {{scaling: DryRun, {from}: {{{}: []}}}}\n", entry.from);
        let line = &lines("a.yaml", &text)[0];
        assert!(line.starts_with(&format!("a.yaml:1: web.{to}.settings.{}: found []", entry.to)), "{line}");
    }
}

#[test]
fn every_backend_refuses_a_setting_that_it_does_not_have() {
    fn refuse<S: ?Sized + 'static, C: ?Sized + 'static>(entries: &[autoscalebot_core::registry::Entry<S, C>]) {
        for entry in entries {
            let mut settings = (entry.defaults)();
            settings["nobody_has_this"] = 1.into();
            let problems = (entry.check)(&settings);
            assert!(problems.iter().any(|problem| problem.path == "nobody_has_this"), "{}: {problems:?}", entry.name);
        }
    }
    refuse(crate::measurement::BACKENDS);
    refuse(autoscalebot_core::decision::BACKENDS);
    refuse(crate::scaling::BACKENDS);
    refuse(crate::notification::BACKENDS);
}

#[test]
fn problems_of_the_whole_are_told_beside_those_of_single_settings() {
    let text = "[web.scaling]\nbackend = \"DryRun\"\n[web.decision.settings]\nmin_processes = 3\nmax_processes = 1\n\
                increment = -1\ntime_zone = \"Mars/X\"\nmax_measurment_value = 3\n";
    let told = lines("a.toml", text);
    for words in ["min_processes 3 exceeds", "increment: found -1", "Mars/X", "max_measurment_value: unknown"] {
        assert!(told.iter().any(|line| line.contains(words)), "{words:?} is missing in {told:#?}");
    }
    assert_eq!(told.len(), 4, "{told:#?}");
}
