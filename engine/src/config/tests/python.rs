//! The original's modules: what is read of them, and that nothing is guessed.

use super::*;

/// A module whose only interesting part is the value of one setting, on line 1 after what comes before it.
fn with_value(before: &str, value: &str) -> String {
    format!(
        "{before}AUTOSCALE_SETTINGS = {{'web': {{'SCALING': 'DryRun', 'MEASUREMENT': {{'MEASUREMENT_URL': {value}}}}}}}\n"
    )
}

fn url(before: &str, value: &str) -> String {
    let environment = Environment::from_iter([("HOST", "a.example"), ("PORT", "8000")]);
    let config = explained("a.py", &with_value(before, value), &environment).loaded.config;
    config.processes["web"].signals[0].measurement.settings["measurement_url"].as_str().unwrap().to_owned()
}

#[test]
fn texts_put_together_are_read() {
    let cases = [
        ("", "'http://' 'a.example' '/'", "http://a.example/"),
        ("HOST = 'b.example'\n", "'http://' + HOST + '/'", "http://b.example/"),
        ("HOST = 'b.example'\n", "'http://%s:%d/%%' % (HOST, 80)", "http://b.example:80/%"),
        ("HOST = 'b.example'\n", "'http://%s/' % HOST", "http://b.example/"),
        ("HOST = 'b.example'\n", "'http://{}:{}/{{}}'.format(HOST, 80)", "http://b.example:80/{}"),
        ("HOST = 'b.example'\n", "'http://{1}{0}{h}/'.format(0, 'x', h=HOST)", "http://x0b.example/"),
        ("HOST = 'b.example'\n", "f'http://{HOST}:{80}/{{}}'", "http://b.example:80/{}"),
        ("import os\n", "'http://' + os.environ['HOST'] + '/'", "http://a.example/"),
        ("import os\n", "'http://%s/' % os.environ.get('NONE', 'c.example')", "http://c.example/"),
        (
            "from os import environ, getenv\n",
            "f\"http://{environ['HOST']}:{getenv('PORT')}/\"",
            "http://a.example:8000/",
        ),
        ("import os\nPORT = int(os.environ.get('PORT', 80)) \n", "f'http://a:{PORT}/'", "http://a:8000/"),
        ("import os\nPORT = int(os.getenv('NONE', '80'))\n", "'http://a:' + str(PORT) + '/'", "http://a:80/"),
        ("HOST: str = 'd.example'\n", "'http://' + HOST", "http://d.example"),
        ("A = B = 'http://e.example'\n", "A", "http://e.example"),
        ("A = 'http://old'\nA = 'http://new'\n", "A", "http://new"),
        ("'''A module.'''\nimport os\ndef f(x):\n  return x\nclass A: pass\n", "'http://f'", "http://f"),
    ];
    for (before, value, expected) in cases {
        assert_eq!(url(before, value), expected, "{before}{value}");
    }
}

#[test]
fn numbers_and_switches_of_the_environment_are_read() {
    let text = "
import os
AUTOSCALE_SETTINGS = {
    'web': {
        'SCALING': {'BACKEND': 'DryRun'},
        'DECISION': {'SETTINGS': {
            'MAX_PROCESSES': int(os.environ.get('MOST', '5')),
            'MIN_MEASUREMENT_VALUE': -1.5,
            'TIME_ZONE': None,
            'HISTORY_LENGTH': os.environ['LENGTH'],
        }},
        'NOTIFICATION': {'SETTINGS': {'NOTIFY_ON_EVERY_SCALE': not False}},
    },
}
";
    let environment = Environment::from_iter([("LENGTH", "30")]);
    let web = &explained("a.py", text, &environment).loaded.config.processes["web"];
    let common = &web.signals[0].decision_common;
    assert_eq!(serde_json::to_value(&common.max_processes).unwrap(), 5);
    assert_eq!(common.history_length.get(), 30);
    assert_eq!(web.signals[0].decision.settings["min_measurement_value"], -1.5);
    assert!(web.notification.common.notify_on_every_scale);
}

#[test]
fn what_only_python_can_evaluate_is_told_with_line_and_column_and_the_way_out() {
    let text = "
import os
AUTOSCALE_SETTINGS = {
    'web': {
        'SCALING': {'BACKEND': 'DryRun'},
        'DECISION': {'SETTINGS': {
            'MAX_PROCESSES': 2 * cores(),
            'INCREMENT': step,
        }},
    },
}
";
    insta::assert_snapshot!(refused("a.py", text), @r"
    error: web.decision.settings.max_processes: this cannot be read as data: a call that only Python can make
     --> a.py:7:34
      |
    7 |             'MAX_PROCESSES': 2 * cores(),
      |                                  ^^^^^^^
      |
      = help: expected literals, names assigned earlier in the file, os.environ, and texts made of these; the Python package of autoscalebot can run any Python

    error: web.decision.settings.increment: this cannot be read as data: the name step is not assigned before this line
     --> a.py:8:26
      |
    8 |             'INCREMENT': step,
      |                          ^^^^
      |
      = help: expected literals, names assigned earlier in the file, os.environ, and texts made of these; the Python package of autoscalebot can run any Python

    2 problems in the settings
    ");
}

#[test]
fn a_variable_of_the_environment_that_is_not_set_is_told() {
    let text = "
import os
AUTOSCALE_SETTINGS = {
    'web': {
        'SCALING': {'BACKEND': 'Heroku', 'SETTINGS': {
            'APP_NAME': os.environ['APP'],
            'TIMEOUT_SECONDS': int(os.environ.get('LIMIT', 'soon')),
        }},
    },
}
";
    insta::assert_snapshot!(refused("a.py", text), @r"
    error: web.scaling.settings.app_name: the environment variable APP is not set
     --> a.py:6:25
      |
    6 |             'APP_NAME': os.environ['APP'],
      |                         ^^^^^^^^^^^^^^^^^
      |
      = help: expected APP to be set, or a default with os.environ.get

    error: web.scaling.settings.timeout_seconds: this cannot be read as data: int() of a text that is not a number
     --> a.py:7:32
      |
    7 |             'TIMEOUT_SECONDS': int(os.environ.get('LIMIT', 'soon')),
      |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: expected literals, names assigned earlier in the file, os.environ, and texts made of these; the Python package of autoscalebot can run any Python

    2 problems in the settings
    ");
}

#[test]
fn settings_inside_an_if_are_told_as_unreadable() {
    let text = "
import os
if os.environ.get('PRODUCTION'):
    AUTOSCALE_SETTINGS = {'web': {'SCALING': 'DryRun'}}
";
    insta::assert_snapshot!(refused("a.py", text), @r"
    error: this cannot be read as data: AUTOSCALE_SETTINGS is changed by a statement that only Python can run
     --> a.py:3:1
      |
    3 | if os.environ.get('PRODUCTION'):
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: expected literals, names assigned earlier in the file, os.environ, and texts made of these; the Python package of autoscalebot can run any Python

    1 problem in the settings
    ");
}

#[test]
fn what_may_have_changed_a_name_makes_it_unreadable() {
    let settings = "WEB = {'SCALING': 'DryRun'}\nAUTOSCALE_SETTINGS = {'web': WEB}\n";
    let after = [
        ("AUTOSCALE_SETTINGS['web']['SCALING'] = 'Local'", "an item that is assigned"),
        ("AUTOSCALE_SETTINGS['web'].update(SCALING='Local')", "a method"),
        ("AUTOSCALE_SETTINGS |= {}", "an augmented assignment"),
        ("WEB['SCALING'] = 'Local'", "a part that is assigned"),
        ("WEB.update(SCALING='Local')", "a part's method"),
        ("W = WEB\nW['SCALING'] = 'Local'", "another name of a part"),
        ("change(AUTOSCALE_SETTINGS)", "a function that is handed them"),
        ("x = WEB.pop('SCALING')", "a method in an assignment"),
        ("for name in AUTOSCALE_SETTINGS: pass\nelse: AUTOSCALE_SETTINGS = {}", "a loop"),
        ("del AUTOSCALE_SETTINGS", "a deletion"),
        ("def f():\n  AUTOSCALE_SETTINGS['web'] = {}\nf()", "a function of the module"),
        ("def f():\n  global AUTOSCALE_SETTINGS\n  AUTOSCALE_SETTINGS = {}\nf()", "a function with a global name"),
        ("from local_settings import *", "a star import"),
        ("try:\n  from local_settings import *\nexcept ImportError: pass", "a star import that is tried"),
        ("from local_settings import AUTOSCALE_SETTINGS", "an import of the name"),
        ("if DEBUG:\n  import local_settings as AUTOSCALE_SETTINGS", "an import that may happen"),
        ("exec('AUTOSCALE_SETTINGS = {}')", "exec"),
        ("globals()['AUTOSCALE_SETTINGS'] = {}", "globals"),
    ];
    assert_eq!(lines("a.py", settings), Vec::<String>::new());
    for (statement, case) in after {
        let lines = lines("a.py", &format!("{settings}{statement}\n"));
        assert!(lines.len() == 1 && lines[0].contains("the Python package"), "{case}: {lines:#?}");
    }
}

#[test]
fn what_cannot_have_changed_a_name_leaves_it_alone() {
    let settings = "import os\nWEB = {'SCALING': 'DryRun'}\nDEBUG = True\nNAMES = ['a']\n";
    let harmless = [
        "print(DEBUG)",
        "X = len(NAMES)",
        "if DEBUG:\n  MIDDLEWARE = ['x']",
        "MIDDLEWARE = ('a',) + tuple(NAMES)",
        "BASE_DIR = os.path.dirname(os.path.abspath(__file__))",
        "WEB2 = {}\nWEB2['x'] = 1",
        "def f():\n  return DEBUG\nf()",
        "from x import y",
    ];
    for statement in harmless {
        let text = format!("{settings}{statement}\nAUTOSCALE_SETTINGS = {{'web': WEB}}\n");
        assert_eq!(lines("a.py", &text), Vec::<String>::new(), "{statement}");
    }
}

#[test]
fn a_time_zone_that_cannot_be_read_is_told_and_not_replaced_by_the_machines() {
    let text = "TIME_ZONE = zone()\nAUTOSCALE_SETTINGS = {'web': {'SCALING': 'DryRun'}}\n";
    let lines = lines("a.py", text);
    assert!(lines.len() == 1 && lines[0].starts_with("a.py:1: TIME_ZONE: "), "{lines:?}");
}

#[test]
fn a_mail_setting_of_django_that_cannot_be_read_is_told_where_it_is_used() {
    let text = "EMAIL_HOST = host()\nAUTOSCALE_SETTINGS = {'web': {'SCALING': 'DryRun', 'NOTIFICATION': {'BACKENDS': ['X']}}}\n";
    let used = lines("a.py", &text.replace("'X'", "'DjangoEmail'"));
    assert!(used.len() == 1 && used[0].contains("backends[0].settings.email_host"), "{used:?}");
    assert_eq!(lines("a.py", &text.replace("'X'", "'Console'")), Vec::<String>::new());
}

#[test]
fn a_dictionary_that_python_would_have_to_run_is_told() {
    for value in ["dict(web=1)", "{**BASE}", "{name: {} for name in NAMES}", "BASE or {}", "load('x')", "BASE.copy()"] {
        let lines = lines(
            "a.py",
            &format!("BASE = {{'web': {{'SCALING': 'DryRun'}}}}\nNAMES = []\nAUTOSCALE_SETTINGS = {value}\n"),
        );
        assert!(
            lines.len() == 1 && lines[0].contains("a.py:3") && lines[0].contains("Python package"),
            "{value}: {lines:?}"
        );
    }
}
