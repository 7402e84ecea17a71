//! The store as it is treated: killed at any moment, on disks that are full, on files that are no databases, without its
//! server. This program is also the one that is killed (`__bot PLACE WORLD`) and the one on the full disk
//! (`__full FOLDER`), so it has a `main` of its own.

mod keep;
mod kills;
mod support;
mod trouble;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [command, place, folder] = words.as_slice()
        && command == "__bot"
    {
        return kills::bot(place, folder);
    }
    if let [command, folder] = words.as_slice()
        && command == "__full"
    {
        return trouble::on_full_disk(folder);
    }
    let trials: Vec<Trial> = [keep::claims(), kills::claims(), trouble::claims()].into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
