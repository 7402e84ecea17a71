//! `cargo xtask python`: the Python package, looked at, built, installed and tested.
//!
//! ```text
//!  python/ ─► ruff, mypy
//!     │
//!     └► the wheel ─┬► an environment with nothing else ─► is it whole, does it need nobody?
//!                   ├► venv-django5 ─► stubtest, pytest
//!                   └► venv-django6 ─► pytest
//! ```
//!
//! Tests import the package that pip installed, as an app would, never the folder that it was made from: what was
//! forgotten in the wheel is then missing in a test, and not first at somebody's place. So what is run here runs in a
//! folder of its own, from which nothing of ours can be imported.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    counts::{Counts, Pytest},
    environments::{DJANGO_5, DJANGO_6, Environment},
    run::{cargo, command, root, run, run_reading, target},
    test::Steps,
    wheel,
};

/// What reads code, and what puts files into an environment, answers within seconds, on slow machines within minutes.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// All tests in one environment, which start real servers and wait for real seconds.
const TEST_LIMIT: Duration = Duration::from_secs(20 * 60);

/// A single test that takes longer hangs: pytest then says where, and gives up. In seconds, for pytest.
const HANGS_AFTER: &str = "300";

/// A cold build of what stands in for Heroku.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The environments that the package is tested in, and what the steps with them are called.
const DJANGOS: &[(&str, &Environment)] = &[("django 5", &DJANGO_5), ("django 6", &DJANGO_6)];

/// Says whether an environment has the package and nothing else.
const ALONE: &str = include_str!("python/alone.py");

/// Everything, or only what pytest makes of its arguments, with the first Django.
pub fn python(arguments: &[&str]) -> Result<()> {
    for (_, environment) in DJANGOS.iter().take(if arguments.is_empty() { DJANGOS.len() } else { 1 }) {
        environment.install()?;
    }
    if !arguments.is_empty() {
        build_fake_heroku()?;
        install(&DJANGO_5.program("python"), &wheel::for_tests()?)?;
        return run(pytest(&DJANGO_5)?.args(for_pytest(arguments)), TEST_LIMIT);
    }
    let mut steps = Steps::default();
    lint(&mut steps);
    tests(&mut steps);
    steps.finish()
}

/// What can be said about the package without building it; nothing, when what says it is not installed.
pub fn lint(steps: &mut Steps) {
    if !DJANGO_5.is_there() {
        println!("the Python package is not checked: `cargo xtask tools` installs ruff and mypy");
        return;
    }
    steps.step("ruff", || {
        run(in_python("ruff").args(["check", "."]), LIMIT)?;
        run(in_python("ruff").args(["format", "--check", "."]), LIMIT)
    });
    steps.step("mypy", || {
        let mypy = || {
            let mut mypy = in_python("mypy");
            mypy.arg("--strict").arg("--cache-dir").arg(wheel::folder().join("mypy"));
            mypy
        };
        run(mypy().args([".", "--exclude", "^tests/django_project/"]), LIMIT)?;
        // By themselves: some of these modules have the names of others in `tests`.
        run(mypy().env("MYPYPATH", "tests").arg("tests/django_project"), LIMIT)
    });
}

/// Builds the package, installs it, and tests what is installed.
pub fn tests(steps: &mut Steps) {
    let mut built = None;
    steps.step("wheel", || {
        build_fake_heroku()?;
        built = Some(wheel::for_tests()?);
        Ok(())
    });
    // Tests of an older one would say nothing.
    let Some(wheel) = built else { return };

    steps.step("package alone", || alone(&wheel));
    for (name, environment) in DJANGOS {
        steps.tests(name, |counts| {
            install(&environment.program("python"), &wheel)?;
            run_tests(pytest(environment)?.args(for_pytest(&[])), counts)
        });
    }
    steps.step("stubs", || {
        let mut stubtest = outside(&DJANGO_5.program("python"))?;
        stubtest.args(["-m", "mypy.stubtest", "autoscalebot._native"]);
        run(&mut stubtest, LIMIT)
    });
}

/// The tests of the package meet it. Built with all packages, as `cargo test` does, so that no features differ.
fn build_fake_heroku() -> Result<()> {
    run(cargo().args(["build", "--locked", "--bin", "fake-heroku"]), BUILD_LIMIT)
}

/// Installs the wheel, and nothing else, in place of the one that is there.
fn install(python: &Path, wheel: &Path) -> Result<()> {
    ensure!(python.exists(), "{} is missing; `cargo xtask tools` makes it", python.display());
    let pip = || {
        let mut pip = command(python);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    run(pip().args(["install", "--no-index", "--no-deps", "--force-reinstall"]).arg(wheel), LIMIT)?;
    run(pip().arg("check"), LIMIT).context("the environment lacks what some package in it needs")
}

/// Installs the wheel into an environment with nothing else, and looks at what came of it.
fn alone(wheel: &Path) -> Result<()> {
    let venv = wheel::folder().join("alone");
    if venv.exists() {
        fs::remove_dir_all(&venv)?;
    }
    run(command(Path::new("python3")).args(["-m", "venv"]).arg(&venv), LIMIT)?;
    let python = venv.join("bin/python");
    install(&python, wheel)?;
    let outcome = run(outside(&python)?.args(["-c", ALONE]), LIMIT).context("see the message above");
    fs::remove_dir_all(&venv)?;
    outcome
}

fn run_tests(pytest: &mut Command, counts: &mut Counts) -> Result<()> {
    let mut closing = Pytest::default();
    let outcome = run_reading(pytest, TEST_LIMIT, |line| {
        if let Some(last) = Pytest::closing(line) {
            closing = last;
        }
    });
    counts.add(closing.counts);
    outcome?;
    ensure!(closing.counts != Counts::default(), "no test ran");
    ensure!(closing.not_run == 0, "{} were passed over; what does not run proves nothing", closing.not_run);
    Ok(())
}

fn pytest(environment: &Environment) -> Result<Command> {
    let mut pytest = outside(&environment.program("pytest"))?;
    let folder = root().join("python");
    pytest.arg("--config-file").arg(folder.join("pyproject.toml")).arg("--rootdir").arg(&folder);
    let cache = wheel::folder().join("pytest").join(environment.name);
    for option in [
        format!("cache_dir={}", cache.display()),
        format!("faulthandler_timeout={HANGS_AFTER}"),
        "faulthandler_exit_on_timeout=true".to_owned(),
    ] {
        pytest.arg("--override-ini").arg(option);
    }
    pytest.env("AUTOSCALEBOT_FAKE_HEROKU", target().join("debug/fake-heroku"));
    Ok(pytest)
}

/// Arguments of pytest as if it ran in the folder of the workspace; and all tests, if they name none.
fn for_pytest(arguments: &[&str]) -> Vec<OsString> {
    let path = |argument: &str| {
        let (path, test) = argument.split_once("::").map_or((argument, None), |(path, test)| (path, Some(test)));
        let is_path = (path.contains('/') || path.ends_with(".py")) && root().join(path).exists();
        is_path.then(|| {
            let mut absolute = root().join(path).into_os_string();
            absolute.push(test.map(|test| format!("::{test}")).unwrap_or_default());
            absolute
        })
    };
    let mut words: Vec<OsString> =
        arguments.iter().map(|word| path(word).unwrap_or_else(|| OsString::from(word))).collect();
    if !arguments.iter().any(|argument| path(argument).is_some()) {
        words.push(root().join("python/tests").into());
    }
    words
}

/// What checks the source of the package, run where its settings are.
fn in_python(program: &str) -> Command {
    let mut command = command(&DJANGO_5.program(program));
    command.current_dir(root().join("python")).env("RUFF_CACHE_DIR", wheel::folder().join("ruff"));
    command
}

/// A program of an environment, in a folder from which nothing of ours can be imported.
fn outside(program: &Path) -> Result<Command> {
    let folder: PathBuf = wheel::folder().join("outside");
    fs::create_dir_all(&folder)?;
    let mut command = command(program);
    command.current_dir(folder).env_remove("PYTHONPATH").env_remove("DJANGO_SETTINGS_MODULE");
    // The tests' folder stays as it was.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> OsString {
        root().join(path).into()
    }

    #[test]
    fn without_a_path_pytest_is_given_all_tests() {
        assert_eq!(for_pytest(&[]), [file("python/tests")]);
        assert_eq!(for_pytest(&["-k", "python"]), ["-k".into(), "python".into(), file("python/tests")]);
    }

    #[test]
    fn paths_for_pytest_are_those_of_the_workspace() {
        assert_eq!(
            for_pytest(&["-x", "python/tests/conftest.py::test_it"]),
            ["-x".into(), file("python/tests/conftest.py::test_it")]
        );
    }

    #[test]
    fn a_run_of_pytest_fails_when_no_test_ran_or_one_was_passed_over() {
        let outcome = |closing: &str| {
            let mut counts = Counts::default();
            let result = run_tests(command(Path::new("echo")).arg(closing), &mut counts);
            (counts.passed, result.map_err(|error| error.to_string()))
        };
        assert_eq!(outcome("=== 3 passed in 0.01s ==="), (3, Ok(())));
        assert_eq!(outcome("=== no tests ran in 0.01s ===").1.unwrap_err(), "no test ran");
        assert!(outcome("=== 3 passed, 1 skipped in 0.01s ===").1.unwrap_err().starts_with("1 were passed over"));
    }
}
