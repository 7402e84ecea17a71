//! What the program says: help, errors, exit codes.

use testkit::program::Folder;

use crate::autoscalebot;

fn output(arguments: &[&str], folder: &Folder) -> (i32, String, String) {
    let output = autoscalebot().current_dir(folder.path()).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn help_teaches_the_first_steps() {
    let (code, out, _) = output(&["--help"], &Folder::new());
    assert_eq!(code, 0);
    insta::assert_snapshot!(out);
}

#[test]
fn without_settings_it_says_where_it_looked_and_how_to_begin() {
    let (code, _, error) = output(&[], &Folder::new());
    assert_eq!(code, 2);
    assert!(error.contains("autoscale_settings") && error.contains("autoscalebot example"), "{error}");
}

#[test]
fn two_errors_in_a_file_are_both_printed_with_path_and_line() {
    let folder = Folder::new();
    folder.write(
        "autoscale_settings.py",
        "AUTOSCALE_SETTINGS = {\n  'web': {\n    'DECISION': {'SETTINGS': {\n      'MIN_PROCESES': 1,\n      \
         'INCREMENT': 0,\n    }},\n    'SCALING': {'BACKEND': 'DryRun'},\n  },\n}\n",
    );
    let (code, _, error) = output(&["--settings", "autoscale_settings"], &folder);
    assert_eq!(code, 2);
    for words in ["min_proceses", "did you mean min_processes", "web.decision.settings.increment", "4", "5"] {
        assert!(error.contains(words), "{words:?} is missing in\n{error}");
    }
}

#[test]
fn eval_prints_the_decision_as_json_and_changes_nothing() {
    let folder = Folder::new();
    folder.write(
        "autoscale_settings.toml",
        r#"
[web.measurement]
backend = "Command"
settings = { command = "echo 42" }
[web.decision]
settings = { number_of_fails_to_scale_up_after = 1, max_measurement_value = 40, min_measurement_value = 1 }
[web.scaling]
backend = "DryRun"
"#,
    );
    let (code, out, error) = output(&["eval", "--json", "--settings", "autoscale_settings"], &folder);
    assert_eq!(code, 0, "{error}");
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        rows,
        serde_json::json!([{
            "process": "web",
            "sample": {"backend": "Command", "data": 42, "success": true},
            "running": 1,
            "wanted": 2,
            "order": {"from": 1, "to": 2},
            "limit": null,
            "reason": {"key": "consecutive_high", "sentence": "1 reading above 40 (42)"},
        }])
    );
}

#[test]
fn check_says_how_a_process_is_protected_and_what_cannot_be_run_here() {
    let folder = Folder::new();
    folder.write(
        "autoscale_settings.toml",
        r#"
[celery]
measurement = "CeleryRedisQueueSize"
[celery.scaling]
backend = "Heroku"
settings = { app_name = "dancing-forest-1234", api_key = "hunter2" }
[huey]
measurement = "Huey"
scaling = "DryRun"
[rq]
measurement = "Rq"
scaling = "Local"
"#,
    );
    let (code, out, error) = output(&["check"], &folder);
    assert_eq!(code, 0, "{error}");
    for words in [
        "shrinks only by as many of the highest numbers as have free workers",
        "what is in progress cannot be seen, so it shrinks only after 60 min (MAX_BUSY_WAIT)",
        "Huey measures tasks, and MAX_MEASUREMENT_VALUE is not set: 1200 tasks are needed to scale up",
        "cannot be run on this machine as it is: rq.scaling: procfile:",
    ] {
        assert!(out.contains(words), "{words:?} is missing in\n{out}");
    }
}

#[test]
fn protection_that_nobody_can_see_for_is_an_error_of_the_settings() {
    let folder = Folder::new();
    folder.write("autoscale_settings.toml", "[web]\nscaling = \"DryRun\"\nscale_down_when = \"idle\"\n");
    for command in ["check", "run"] {
        let (code, _, error) = output(&[command], &folder);
        assert_eq!(code, 2, "{command}: {error}");
        assert!(error.contains("web.scale_down_when: none of the measurements sees work in a queue"), "{error}");
    }
}
