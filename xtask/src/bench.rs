//! `cargo xtask bench`: what the program costs, measured from outside: real processes, real HTTP on loopback, `/proc`.
//!
//! The program is the release binary with a settings file; the app is the testkit's metric server in a process of its
//! own, on another core where there is one. Evaluations are counted by that server, CPU and memory by the kernel. So
//! nothing that is measured measures itself.

mod fleet;
mod idle;
mod machine;
mod queues;
mod store;

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, bail};

pub use fleet::fleet;
pub use idle::idle;
pub use queues::queues;
pub use store::store;

use crate::run::{cargo, root, run};

/// A cold release build with link-time optimisation on slow cores.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// Where results are kept.
const PAGE: &str = "docs/benchmarks.md";

/// What may follow the name of a benchmark.
struct Options {
    write: bool,
    counts: Vec<usize>,
    window: Duration,
}

impl Options {
    fn read(words: &[&str]) -> Result<Self> {
        let mut options = Self { write: false, counts: vec![100, 1_000, 10_000], window: Duration::from_secs(30) };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match (*word, words.as_slice().first()) {
                ("--write", _) => options.write = true,
                ("--counts", Some(counts)) => {
                    options.counts = counts.split(',').map(str::parse).collect::<Result<_, _>>()?;
                    words.next();
                }
                ("--seconds", Some(seconds)) => {
                    options.window = Duration::from_secs(seconds.parse()?);
                    words.next();
                }
                (other, _) => bail!("unknown option {other:?}; `cargo xtask help` lists them"),
            }
        }
        Ok(options)
    }
}

/// Builds what users run, as they would.
fn build() -> Result<()> {
    println!("building the release binary");
    let mut build = cargo();
    // Without naming packages, features are chosen as for `cargo run --release`, and nothing is compiled twice.
    build.args(["build", "--release", "--locked", "--bin", "autoscalebot", "--bin", "metric-server"]);
    run(&mut build, BUILD_LIMIT)
}

/// Prints a part of the results and, if asked to, puts it into the page between its own marks.
fn publish(part: &str, text: &str, write: bool) -> Result<()> {
    println!("\n{text}");
    if !write {
        return Ok(());
    }
    let path = root().join(PAGE);
    let (begin, end) = (format!("<!-- {part} -->"), format!("<!-- /{part} -->"));
    let page = fs::read_to_string(&path)?;
    let Some((before, rest)) = page.split_once(&begin) else { bail!("{PAGE} needs the line {begin}") };
    let Some((_, after)) = rest.split_once(&end) else { bail!("{PAGE} needs the line {end}") };
    fs::write(&path, format!("{before}{begin}\n\n{text}\n{end}{after}"))?;
    println!("wrote {}", Path::new(PAGE).display());
    Ok(())
}
