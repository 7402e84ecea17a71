//! placeholder
pub fn fleet(_: &[&str]) -> anyhow::Result<()> {
    Ok(())
}
pub fn idle(_: &[&str]) -> anyhow::Result<()> {
    Ok(())
}
