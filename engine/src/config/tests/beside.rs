//! What is wrong with the settings that stand beside a process's stages.

use super::*;

#[test]
fn what_is_wrong_beside_the_stages_is_told_with_everything_else() {
    let text = "[web]\nscale_down_wen = \"idle\"\nmax_busy_wait = -5\n[web.scaling]\nbackend = \"Herku\"\n";
    insta::assert_snapshot!(refused("a.toml", text), @r#"
    error: web.scale_down_wen: "scale_down_wen" is no part of a process, did you mean scale_down_when?
     --> a.toml:2:1
      |
    2 | scale_down_wen = "idle"
      | ^^^^^^^^^^^^^^
      |
      = help: expected one of measurement, decision, signals, scaling, notification, scale_down_when, max_busy_wait

    error: web.max_busy_wait: -5 seconds, expected 0 to 31622400 (366 days)
     --> a.toml:3:17
      |
    3 | max_busy_wait = -5
      |                 ^^

    error: web.scaling.backend: there is no backend "Herku" (did you mean Heroku?)
     --> a.toml:5:11
      |
    5 | backend = "Herku"
      |           ^^^^^^^
      |
      = help: expected one of Heroku, Local, Command, DryRun

    3 problems in the settings
    "#);
    let text = "
AUTOSCALE_SETTINGS = {
    'web': {
        'SCALING': {'BACKEND': 'DryRun'},
        'SCALE_DOWN_WHEN': 'busy',
        'MAX_BUSY_WAIT': '1h',
        'scale_down_when': 'idle',
    },
}
";
    insta::assert_snapshot!(refused("a.py", text), @r#"
    error: web.scale_down_when: found "busy"
     --> a.py:5:28
      |
    5 |         'SCALE_DOWN_WHEN': 'busy',
      |                            ^^^^^^
      |
      = help: expected one of `always`, `idle`, `drained`

    error: web.max_busy_wait: found "1h"
     --> a.py:6:26
      |
    6 |         'MAX_BUSY_WAIT': '1h',
      |                          ^^^^
      |
      = help: expected a number

    error: web.scale_down_when: this key stands here a second time
     --> a.py:7:9
      |
    7 |         'scale_down_when': 'idle',
      |         ^^^^^^^^^^^^^^^^^
      |
      = help: expected each key once

    3 problems in the settings
    "#);
}

#[test]
fn what_belongs_beside_the_stages_is_refused_inside_one() {
    let text = format!("{WEB}scale_down_when = \"idle\"\n");
    insta::assert_snapshot!(lines("a.toml", &text).join("\n"), @"a.toml:6: web.decision.settings.scale_down_when: this is the process's, not a stage's; expected web.scale_down_when, beside measurement, decision, scaling and notification");
}
