//! What is secret in a settings file is not shown, whatever is wrong with it.

use super::*;

/// Every way in which an error can be shown.
fn all_shown(name: &str, text: &str, environment: &Environment) -> String {
    let errors = load::from_text(name, text, environment).map(|_| ()).unwrap_err();
    format!("{}\n{}\n{errors}\n{errors:?}\n{:?}", errors.render(false), errors.render(true), errors.lines())
}

#[test]
fn no_error_shows_a_secret_of_its_line() {
    let cases = [
        (
            "of a wrong type",
            "a.toml",
            "[web.scaling]\nbackend = \"Heroku\"\nsettings = { app_name = \"a-b\", api_key = [\"hunter2\"] }",
        ),
        ("a wrong number", "a.yaml", "web: {scaling: {backend: Heroku, app_name: a-b, api_key: 48732991}}"),
        (
            "beside another error",
            "a.json",
            r#"{"web": {"scaling": {"backend": "Heroku", "settings": {"app_nme": "x", "api_key": "hunter2"}}}}"#,
        ),
        (
            "before another error",
            "a.json",
            r#"{"web": {"scaling": {"backend": "Heroku", "settings": {"api_key": "hunter2", "app_nme": "x"}}}}"#,
        ),
        (
            "of an unknown backend",
            "a.json",
            r#"{"web": {"measurement": {"settings": {"headers": {"Authorization": "hunter2"}}, "backend": "ResponseTme"}, "scaling": "DryRun"}}"#,
        ),
        (
            "of an unknown stage",
            "a.json",
            r#"{"web": {"scalin": {"backend": "Heroku", "settings": {"api_key": "hunter2", "app_name": "x"}}}}"#,
        ),
        (
            "under a misspelt name",
            "a.toml",
            "[web.scaling]\nbackend = \"Heroku\"\nsettings = { app_name = \"a-b\", api_kye = \"hunter2\" }",
        ),
        (
            "under a misspelt name of its own line",
            "a.yaml",
            "web:\n  scaling:\n    backend: Heroku\n    app_name: a-b\n    apikee: hunter2\n",
        ),
        (
            "in headers of a wrong type",
            "a.json",
            r#"{"web": {"scaling": "DryRun", "measurement": {"headers": {"Authorization": ["hunter2"]}}}}"#,
        ),
        (
            "headers as a text",
            "a.json",
            r#"{"web": {"scaling": "DryRun", "measurement": {"headers": "Authorization: hunter2"}}}"#,
        ),
        ("in a file that is no TOML", "a.toml", "[web.scaling.settings]\napi_key = \"hunter2\" x\n"),
        ("in a file that is no TOML, unquoted", "a.toml", "[web.scaling.settings]\napi_key = hunter2\n"),
        ("in a file that is no JSON", "a.json", r#"{"keyboard": 1, "api_key": "hunter2", x}"#),
        ("after a word that looks like one", "a.json", r#"{"monkeys": [1], "api_key": "hunter2", x}"#),
        ("in a file that is no YAML", "a.yaml", "web: {scaling: {api_key: 'hunter2', app_name: ]}\n"),
        ("on the next line", "a.toml", "[web.scaling.settings]\napi_key =\n  \"hunter2\"\n"),
        ("on the next line of Python", "a.py", "AUTOSCALE_SETTINGS = {\n 'API_KEY':\n  'hunter2' 3,\n}\n"),
        (
            "in a file that is no Python",
            "a.py",
            "AUTOSCALE_SETTINGS = {'web': {'SCALING': {'SETTINGS': {'API_KEY': 'hunter2' 'APP_NAME' = 1}}}}",
        ),
        (
            "in Python that is not read",
            "a.py",
            "AUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'Heroku', 'SETTINGS': {'API_KEY': decrypt('hunter2')}}}}",
        ),
        (
            "by the name of Django's password",
            "a.py",
            "EMAIL_HOST_PASSWORD = ['hunter2']\nADMINS = ['a@example.org']\nAUTOSCALE_SETTINGS = {'web': {'SCALING': 'DryRun', 'NOTIFICATION': {'BACKENDS': ['DjangoEmail']}}}",
        ),
        (
            "in a relative URL beside another error",
            "a.json",
            r#"{"web": {"measurement": {"settings": {"measurement_url": "/load?token=hunter2", "headrs": 1}}, "scaling": "DryRun"}}"#,
        ),
        (
            "in a relative URL under a misspelt name",
            "a.json",
            r#"{"web": {"measurement": {"measurment_url": "load/?token=hunter2"}, "scaling": "DryRn"}}"#,
        ),
        (
            "in a URL",
            "a.yaml",
            "web: {scaling: DryRun, notification: {backends: [{backend: Slack, webhook_url: 'ftp://hunter2', chanel: x}]}}",
        ),
    ];
    for (case, name, text) in cases {
        let shown = all_shown(name, text, &nothing());
        assert!(!shown.contains("hunter2") && !shown.contains("48732991"), "a secret {case} is shown:\n{shown}");
    }
}

#[test]
fn a_value_of_the_environment_is_named_and_not_shown() {
    let environment = Environment::from_iter([("KEY", "hunter2"), ("NUMBER", "hunter22")]);
    for (name, text) in [
        ("a.yaml", "web: {scaling: DryRun, measurement: {measurement_interval_in_seconds: '${NUMBER}'}}"),
        ("a.yaml", "web: {scaling: DryRun, measurement: {measurement_url: 'ftp://${KEY}@localhost/'}}"),
        ("a.yaml", "web: {scaling: DryRun, decision: {time_zone: '${KEY}'}}"),
        ("a.yaml", "web: {scaling: {backend: Heroku, app_name: '${KEY} x'}}"),
        (
            "a.py",
            "import os\nAUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'Heroku', 'SETTINGS': {'APP_NAME': os.environ['KEY'] + '/'}}}}",
        ),
        ("a.py", "import os\nAUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': os.environ['KEY']}}}"),
        (
            "a.py",
            "import os\nAUTOSCALE_SETTINGS = {'web': {'SCALING': 'DryRun', 'NOTIFICATION': {'SETTINGS': {'NOTIFY_ON': [os.environ['KEY']]}}}}",
        ),
    ] {
        let shown = all_shown(name, text, &environment);
        assert!(!shown.contains("hunter2"), "{text}\n{shown}");
    }
}

#[test]
fn settings_that_load_do_not_show_their_secrets() {
    let environment = Environment::from_iter([("HEROKU_API_KEY", "hunter2")]);
    let explained = explained("a.yaml", &fixture("version_3.yaml"), &environment);
    let shown = format!("{:?} {:?}", explained.loaded, explained.origins);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_a_relative_url_asks_for_is_not_shown() {
    for backend in ["ResponseTime", "AppDecision"] {
        let text = format!(
            "[web]\nscaling = \"DryRun\"\n[web.measurement]\nbackend = \"{backend}\"\n\
             settings = {{ measurement_url = \"/load?token=hunter2\", base_url = \"http://127.0.0.1:1/x#hunter2\" }}\n"
        );
        let origins = explained("a.toml", &text, &Environment::default()).origins;
        let shown = format!("{origins:?}");
        assert!(shown.contains("/load?…") && !shown.contains("hunter2"), "{backend}: {shown}");
    }
}

#[test]
fn a_setting_that_is_known_to_be_no_secret_is_shown_whatever_its_name_contains() {
    let text = "[celery]\nscaling = \"DryRun\"\n[celery.measurement]\nbackend = \"CeleryRedisQueueSize\"\n\
                settings = { unacked_key = \"unacknowledged\", password = \"hunter2\" }\n";
    let origins = explained("a.toml", text, &Environment::default()).origins;
    let value = |name: &str| {
        let path = format!("celery.measurement.settings.{name}");
        origins.iter().find(|origin| origin.path == path).map(|origin| origin.value.clone())
    };
    assert_eq!(value("unacked_key"), Some("unacknowledged".into()));
    assert_eq!(value("password"), Some(crate::secret::Secret::SHOWN.into()));
    let shown = all_shown("a.toml", &text.replace("scaling = \"DryRun\"", "scaling = 3"), &Environment::default());
    assert!(!shown.contains("hunter2"), "{shown}");
}
