//! Where things are: the repository this harness was built from, and what it keeps between runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The repository.
pub(crate) fn repository() -> &'static Path {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.parent().unwrap_or(benches)
}

/// The script that runs Kafka.
pub(crate) fn kafka_script() -> PathBuf {
    repository().join("scripts/kafka")
}

/// Where a peer's scripts are.
pub(crate) fn peers() -> PathBuf {
    repository().join("benches/peers")
}

/// Where filled topics, built peers and unnamed runs are kept: beside the builds, so that `cargo clean` takes them along.
pub(crate) fn default_cache() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent);
    Ok(target.with_context(|| format!("`{}` is in no folder", program.display()))?.join("bench"))
}

/// The program as a user runs it, built from the same tree in the same way as this harness.
pub(crate) fn tidegate() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("tidegate");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(repository()).args(["build", "--quiet", "--package", "tidegate", "--bin", "tidegate"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.status().context("could not run cargo, which builds the measured program")?;
    if !status.success() {
        bail!("the measured program does not build");
    }
    if !program.is_file() {
        bail!(
            "cargo built `tidegate` elsewhere than `{}`; run the harness by `cargo run`",
            program.display()
        );
    }
    Ok(program)
}

/// Where runs are committed.
pub(crate) fn runs() -> PathBuf {
    repository().join("benches/runs")
}

/// The git revision this runs on, with a mark if the tree has changes; none outside of git.
pub(crate) fn revision() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .current_dir(repository())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
