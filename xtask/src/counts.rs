//! How many tests ran, read from what their runners print: cargo's `test result:` lines, and pytest's closing line.
//!
//! A runner's exit code says whether all is well, not how much was looked at; a run of nothing is well, too. So the lines
//! are read as well, and only the lines that runners are known to end with: a test may print what it likes.

/// Tests that ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
}

impl Counts {
    /// Adds what a line of cargo's output says: `test result: ok. 5 passed; 0 failed; …`.
    pub fn add_cargo(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        let number = |word: &str| {
            let before = result.split([';', '.']).find_map(|part| part.trim().strip_suffix(word))?;
            before.trim().parse::<u64>().ok()
        };
        self.passed += number("passed").unwrap_or(0);
        self.failed += number("failed").unwrap_or(0);
    }

    /// Adds what the line says that closes a run of our own: `12 passed, 0 failed`.
    pub fn add_plain(&mut self, line: &str) {
        let closing = line.strip_suffix(" failed").and_then(|line| line.split_once(" passed, "));
        let Some((Ok(passed), Ok(failed))) =
            closing.map(|(passed, failed)| (passed.parse::<u64>(), failed.parse::<u64>()))
        else {
            return;
        };
        self.passed += passed;
        self.failed += failed;
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// What a run of pytest came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pytest {
    /// An error outside of a test, such as in what prepares it, is one that failed.
    pub counts: Counts,
    /// Tests that were passed over, or whose failing was expected.
    pub not_run: u64,
}

impl Pytest {
    /// Reads pytest's closing line, such as `==== 1 failed, 12 passed, 1 error in 0.35s ====`; `None` for any other.
    pub fn closing(line: &str) -> Option<Self> {
        let (results, time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
        let seconds = time.split_once(" (").map_or(time, |(seconds, _)| seconds).strip_suffix('s')?;
        seconds.parse::<f64>().ok()?;

        let mut run = Self::default();
        if results == "no tests ran" {
            return Some(run);
        }
        for result in results.split(", ") {
            let (number, what) = result.split_once(' ')?;
            let number: u64 = number.parse().ok()?;
            match what {
                "passed" => run.counts.passed += number,
                "failed" | "error" | "errors" => run.counts.failed += number,
                "skipped" | "xfailed" | "xpassed" => run.not_run += number,
                // Warnings and the like; and parts of tests, whose wholes are counted.
                _ => {}
            }
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pytest(passed: u64, failed: u64, not_run: u64) -> Option<Pytest> {
        Some(Pytest { counts: Counts { passed, failed }, not_run })
    }

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "running 5 tests",
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
            "test says_3_passed ... ok",
        ] {
            counts.add_cargo(line);
        }
        assert_eq!(counts, Counts { passed: 15, failed: 2 });
    }

    #[test]
    fn the_closing_line_of_pytest_is_understood_with_and_without_its_frame() {
        assert_eq!(Pytest::closing("============ 35 passed in 1.02s ============"), pytest(35, 0, 0));
        assert_eq!(Pytest::closing("12 passed, 1 warning in 75.31s (0:01:15)"), pytest(12, 0, 0));
        assert_eq!(
            Pytest::closing("== 1 failed, 2 passed, 3 skipped, 4 deselected, 1 xfailed in 0.31s =="),
            pytest(2, 1, 4)
        );
    }

    #[test]
    fn an_error_of_pytest_counts_as_failed() {
        assert_eq!(Pytest::closing("========= 3 passed, 1 error in 0.12s ========="), pytest(3, 1, 0));
        assert_eq!(Pytest::closing("== 1 failed, 3 passed, 2 errors in 0.12s =="), pytest(3, 3, 0));
    }

    #[test]
    fn a_run_of_no_tests_is_a_closing_line_with_nothing_in_it() {
        assert_eq!(Pytest::closing("======== no tests ran in 0.01s ========"), pytest(0, 0, 0));
    }

    #[test]
    fn parts_of_tests_are_not_counted_beside_their_wholes() {
        assert_eq!(Pytest::closing("1 failed, 2 passed, 3 subtests passed in 0.10s"), pytest(2, 1, 0));
    }

    #[test]
    fn other_lines_are_no_closing_lines() {
        for line in [
            "",
            "collected 35 items",
            "test_command.py::test_it PASSED in a hurry",
            "the worker handled 5 jobs, 3 passed in time",
            "!!!!!!!! Interrupted: 1 error during collection !!!!!!!!",
            "=================== short test summary info ===================",
        ] {
            assert_eq!(Pytest::closing(line), None, "{line}");
        }
    }
}
