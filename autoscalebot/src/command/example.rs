//! tmp
/// tmp
pub fn run(_: crate::cli::ExampleFormat) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
