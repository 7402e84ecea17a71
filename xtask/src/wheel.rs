//! The Python package, built: `cargo xtask wheel` for publishing, and in the way of tests.
//!
//! Maturin does both. What is published is optimised and stripped, and comes with a source distribution that has been
//! unpacked and looked at. What is tested is built with the profile and the features of `cargo test`, in the same target
//! folder, so that only what the package alone needs is still to be compiled; and it is packed without being compressed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    environments::DJANGO_5,
    run::{self, cargo, command, run},
};

/// A cold release build with link-time optimisation on slow cores.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// The crate that becomes the package's native module.
const MANIFEST: &str = "python/Cargo.toml";

/// `cargo xtask wheel`: what is published, in `target/wheels`.
pub fn publishable() -> Result<()> {
    DJANGO_5.install()?;
    let out = empty(&run::target().join("wheels"))?;
    run(maturin(&["build", "--release", "--locked"], &out).arg("--interpreter").arg(interpreter()), LIMIT)?;
    run(&mut maturin(&["sdist"], &out), LIMIT)?;
    let (wheel, sources) = (only(&out, ".whl")?, only(&out, ".tar.gz")?);
    has_its_crates(&sources)?;
    for file in [wheel, sources] {
        println!("{:>9.1} kB  {}", fs::metadata(&file)?.len() as f64 / 1_000.0, file.display());
    }
    Ok(())
}

/// Builds the wheel that the tests install, and says where it is.
pub fn for_tests() -> Result<PathBuf> {
    let out = empty(&folder().join("wheel"))?;
    let mut build = maturin(&["build", "--profile", "dev", "--locked", "--strip", "false"], &out);
    // For this machine alone, so what its system offers needs no audit.
    build.args(["--compatibility", "linux", "--auditwheel", "skip", "--compression-method", "stored"]);
    run(build.arg("--interpreter").arg(interpreter()), LIMIT)?;
    only(&out, ".whl")
}

/// Where the tests of the package put what they make.
pub fn folder() -> PathBuf {
    run::target().join("python")
}

fn maturin(words: &[&str], out: &Path) -> Command {
    let mut maturin = command(&DJANGO_5.program("maturin"));
    maturin.args(words).args(["--manifest-path", MANIFEST, "--out"]).arg(out);
    maturin
}

/// The same for every build: another one would have what knows about Python compiled again.
fn interpreter() -> PathBuf {
    DJANGO_5.program("python")
}

/// Whether a source distribution has every crate that it needs, and cargo finds them and the versions in our lock file.
///
/// Only that: a build would take as long as the one before.
fn has_its_crates(distribution: &Path) -> Result<()> {
    let unpacked = empty(&folder().join("sdist"))?;
    run(command(Path::new("tar")).arg("xzf").arg(distribution).arg("-C").arg(&unpacked), LIMIT)?;
    let Some(project) = fs::read_dir(&unpacked)?.next() else { bail!("{} is empty", distribution.display()) };
    let project = project?.path();
    let mut tree = cargo();
    tree.current_dir(&project).args([
        "tree",
        "--locked",
        "--offline",
        "--quiet",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]);
    let tree = run::ask(tree.args(["--package", "autoscalebot-python"]));
    let tree = tree.with_context(|| format!("cargo cannot make sense of what is in {}", distribution.display()))?;
    for name in ["core", "engine", "autoscalebot", "python"] {
        let folder = project.join(name);
        if !tree.contains(&format!("({})", folder.display())) || !folder.join("src/lib.rs").exists() {
            bail!("{} lacks the crate in {name}/", distribution.display());
        }
    }
    fs::remove_dir_all(&unpacked)?;
    Ok(())
}

/// The folder, with nothing in it.
fn empty(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.to_owned())
}

/// The only file in a folder whose name ends so.
fn only(folder: &Path, end: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    let mut files = files.into_iter().filter(|file| file.to_string_lossy().ends_with(end));
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file),
        _ => bail!("there should be one file *{end} in {}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_wheels_in_a_folder_none_is_taken() {
        let folder = std::env::temp_dir().join(format!("autoscalebot-wheels-{}", std::process::id()));
        let folder = empty(&folder).unwrap();
        assert!(only(&folder, ".whl").is_err());
        fs::write(folder.join("a.whl"), "").unwrap();
        fs::write(folder.join("a.tar.gz"), "").unwrap();
        assert_eq!(only(&folder, ".whl").unwrap(), folder.join("a.whl"));
        fs::write(folder.join("b.whl"), "").unwrap();
        assert!(only(&folder, ".whl").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
