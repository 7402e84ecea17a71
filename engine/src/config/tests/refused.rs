//! Settings that do not load, and what people are told: whole renderings, as they stand at a terminal.

use super::*;
use crate::config::original::{RENAMED, Stage};

#[test]
fn two_errors_in_toml_are_both_told() {
    let text = "[web.scaling]\nbackend = \"Herku\"\n\n[web.decision.settings]\nmin_proceses = 2\nincrement = 0\n";
    insta::assert_snapshot!(refused("a.toml", text), @"");
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
    insta::assert_snapshot!(refused("a.yaml", text), @"");
}

#[test]
fn two_errors_in_json_are_both_told() {
    let text = r#"{"web": {"scaling": "DryRun",
  "measurement": {"backend": "ResponseTime", "settings": {"timeout_second": 3, "measurement_interval_in_seconds": "often"}}
}}"#;
    insta::assert_snapshot!(refused("a.json", text), @"");
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
    insta::assert_snapshot!(refused("a.py", text), @"");
}

#[test]
fn a_misspelt_stage_and_a_key_beside_settings_are_told() {
    let text = "[web]\nscaling = \"DryRun\"\nmeasurment = \"ResponseTime\"\n[web.decision]\nmax_processes = 3\nsettings = {}\n";
    insta::assert_snapshot!(refused("a.toml", text), @"");
}

#[test]
fn what_no_format_allows_is_told_with_its_place() {
    insta::assert_snapshot!(refused("a.toml", "[web]\nscaling = \n"), @"");
    insta::assert_snapshot!(refused("a.yaml", "web:\n  scaling: [DryRun\n  x: 1\n"), @"");
    insta::assert_snapshot!(refused("a.json", "{\"web\": {\"scaling\": DryRun}}"), @"");
    insta::assert_snapshot!(refused("a.py", "AUTOSCALE_SETTINGS = {\n    'web' = 1,\n}\n"), @"");
}

#[test]
fn a_key_that_stands_twice_is_told_in_every_format() {
    insta::assert_snapshot!(refused("a.toml", "[web]\nscaling = \"DryRun\"\nscaling = \"DryRun\"\n"), @"");
    insta::assert_snapshot!(refused("a.yaml", "web:\n  scaling: DryRun\n  SCALING: DryRun\n"), @"");
    insta::assert_snapshot!(refused("a.json", "{\"web\": {\"scaling\": \"DryRun\"},\n \"web\": {}}"), @"");
    insta::assert_snapshot!(refused("a.py", "AUTOSCALE_SETTINGS = {'web': {\n  'SCALING': 'DryRun',\n  'SCALING': 'Local'}}"), @"");
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
    insta::assert_snapshot!(refused("a.yaml", text), @"");
    let text = "[web]\nscaling = \"DryRun\"\n[web.measurement.settings]\nMIN_TIME_MS = 5\n[web.decision.settings]\nmin_measurement_value = 6\n";
    insta::assert_snapshot!(refused("a.toml", text), @"");
}

#[test]
fn wrong_types_are_told_with_what_was_found() {
    let text = "[web]\nscaling = 3\nmeasurement = [\"ResponseTime\"]\n[web.notification]\nbackends = [\"Console\", 4]\n\
                settings = { notify_on_every_scale = \"yes\" }\n[worker]\nscaling = { backend = 1 }\n[other]\nscaling = {}\n";
    insta::assert_snapshot!(refused("a.toml", text), @"");
    insta::assert_snapshot!(refused("b.toml", "web = 3\n"), @"");
    insta::assert_snapshot!(refused("c.json", "[1, 2]"), @"");
}

#[test]
fn bounds_that_cross_at_an_hour_are_told_with_the_hour() {
    let text = format!(
        "{WEB}min_processes = {{ \"0:00\" = 1, \"9:00\" = 4 }}\nmax_processes = {{ \"0:00\" = 5, \"8:00\" = 3 }}\n"
    );
    insta::assert_snapshot!(refused("a.toml", &text), @"");
    insta::assert_snapshot!(refused("b.toml", &format!("{WEB}min_processes = 4\n")), @"");
    insta::assert_snapshot!(refused("c.toml", &format!("{WEB}max_processes = 0\n")), @"");
}

#[test]
fn a_history_too_short_for_the_decision_is_told() {
    insta::assert_snapshot!(refused("a.toml", &format!("{WEB}history_length = 4\n")), @"");
    insta::assert_snapshot!(refused("b.toml", &format!("{WEB}number_of_fails_to_scale_up_after = 20\n")), @"");
}

#[test]
fn crossed_thresholds_and_too_short_an_interval_are_told_where_they_stand() {
    let text = format!("{WEB}min_measurement_value = 1300\n")
        .replace("[web.decision", "measurement_interval_in_seconds = 0.01\n[web.decision");
    insta::assert_snapshot!(refused("a.toml", &text), @"");
}

#[test]
fn a_zone_that_is_none_gets_a_guess() {
    insta::assert_snapshot!(refused("a.toml", &format!("{WEB}time_zone = \"America/Vancuver\"\n")), @"");
}

#[test]
fn a_zone_for_all_that_is_none_is_told_once() {
    let text = "time_zone: Mars/Olympus\nweb: {scaling: DryRun}\nworker: {scaling: DryRun}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @"");
}

#[test]
fn a_variable_that_is_not_set_is_told() {
    insta::assert_snapshot!(refused("a.toml", "[web.scaling]\nbackend = \"Heroku\"\nsettings = { app_name = \"${APP}\", api_key = \"${KEY\" }\n"), @"");
}

#[test]
fn a_process_without_a_platform_is_told() {
    insta::assert_snapshot!(refused("a.toml", "[web.measurement.settings]\nmeasurement_url = \"http://127.0.0.1/\"\n"), @"");
}

#[test]
fn settings_without_a_process_are_told() {
    insta::assert_snapshot!(refused("a.toml", "# nothing\n"), @"");
    insta::assert_snapshot!(refused("b.yaml", ""), @"");
    insta::assert_snapshot!(refused("c.json", "{\"AUTOSCALE_SETTINGS\": {}}"), @"");
    insta::assert_snapshot!(refused("d.py", "X = 1\n"), @"");
    insta::assert_snapshot!(refused("e.ini", "x"), @"");
}

#[test]
fn what_stands_beside_the_processes_is_told_and_not_passed_over() {
    let text = "processes: {web: {scaling: DryRun}}\nworker: {scaling: DryRun}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @"");
}

#[test]
fn notify_on_takes_only_its_own_words() {
    let text = "web: {scaling: DryRun, notification: {backends: [Console], notify_on: [SCALE, EXCEEDS_MAX, 3]}}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @"");
}

#[test]
fn a_setting_that_no_notification_backend_has_is_told_once() {
    let text = "web: {scaling: DryRun, notification: {backends: [Console, Logger], settings: {chanel: x}}}\n";
    insta::assert_snapshot!(refused("a.yaml", text), @"");
}

#[test]
fn a_name_that_is_no_process_is_told() {
    insta::assert_snapshot!(refused("a.yaml", "\"we b\": {scaling: DryRun}\n"), @"");
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
