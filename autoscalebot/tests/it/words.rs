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
