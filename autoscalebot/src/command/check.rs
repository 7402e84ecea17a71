//! tmp
/// tmp
pub fn run(_: Option<&str>, _: bool, _: &crate::cli::Surroundings) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
