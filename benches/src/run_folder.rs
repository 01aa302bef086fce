//! A run as it is kept: raw rows, a README with command, versions and machine, and a plot.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::sheet::Sheet;
use crate::{place, plot, table, trust, weather};

const RAW: &str = "raw.csv";
const ABOUT: &str = "about.json";

/// Where a run comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) command: String,
    pub(crate) revision: String,
    pub(crate) when: String,
    pub(crate) machine: String,
    /// Of whatever took part: the broker, peers.
    pub(crate) versions: Vec<String>,
    pub(crate) is_debug: bool,
    pub(crate) absent: Vec<(String, String)>,
}

impl About {
    /// This run of this harness.
    pub(crate) fn this_run(versions: &[String]) -> About {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        About {
            command: format!("cargo run --release -p tidegate-benches -- {}", arguments.join(" ")),
            revision: place::revision().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
            when: jiff::Timestamp::now().strftime("%F %R UTC").to_string(),
            machine: weather::machine(),
            versions: versions.to_vec(),
            is_debug: cfg!(debug_assertions),
            absent: Vec::new(),
        }
    }
}

/// A run that was kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) sheet: Sheet,
    pub(crate) about: About,
}

/// A name is a folder of `benches/runs`; anything with a slash is a path.
pub(crate) fn folder(name: &str) -> PathBuf {
    if name.contains('/') { PathBuf::from(name) } else { place::runs().join(name) }
}

/// What stands under the table.
pub(crate) fn doubts(sheet: &Sheet, is_debug: bool) -> String {
    let warnings = trust::warnings(sheet, is_debug);
    if warnings.is_empty() {
        return String::new();
    }
    format!("Do not trust these numbers too far:\n- {}\n", warnings.join("\n- "))
}

/// Writes all of it; a folder that holds another run is left alone.
pub(crate) fn save(folder: &Path, sheet: &Sheet, about: &About) -> Result<()> {
    if folder.join(RAW).exists() {
        bail!("`{}` holds a run already; give --save another name", folder.display());
    }
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("could not write `{}`", path.display()))
    };
    std::fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    let absent: Vec<(String, String)> = sheet.absent.clone().into_iter().collect();
    let about = About { absent, ..about.clone() };
    let mut raw = csv::Writer::from_writer(Vec::new());
    sheet.rows.iter().try_for_each(|row| raw.serialize(row))?;
    write(RAW, &String::from_utf8(raw.into_inner().context("could not lay out the rows")?)?)?;
    write(ABOUT, &(serde_json::to_string_pretty(&about)? + "\n"))?;
    write("plot.svg", &plot::render(sheet))?;
    write("README.md", &readme(folder, sheet, &about))
}

fn readme(folder: &Path, sheet: &Sheet, about: &About) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut text = format!(
        "# {name}\n\n- command: `{}`\n- revision: {} ({})\n- when: {}\n- machine: {}\n",
        about.command,
        about.revision,
        if about.is_debug { "debug build" } else { "release build" },
        about.when,
        about.machine
    );
    for version in &about.versions {
        let _ = writeln!(text, "- {version}");
    }
    let _ = write!(text, "\n{}", table::render(sheet));
    let doubts = doubts(sheet, about.is_debug);
    if !doubts.is_empty() {
        let _ = writeln!(text, "{doubts}");
    }
    text + "Medians of all rounds. `raw.csv` has every number, `plot.svg` the picture.\n"
}

/// Reads a run back.
pub(crate) fn load(folder: &Path) -> Result<Kept> {
    let open = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path)
            .with_context(|| format!("`{}` is no kept run: could not read its `{name}`", folder.display()))
    };
    let about: About =
        serde_json::from_str(&open(ABOUT)?).with_context(|| format!("`{}/{ABOUT}`", folder.display()))?;
    let raw = open(RAW)?;
    let rows = csv::Reader::from_reader(raw.as_bytes()).into_deserialize().collect::<Result<_, _>>();
    let rows = rows.with_context(|| format!("`{}/{RAW}`", folder.display()))?;
    Ok(Kept { sheet: Sheet { rows, absent: about.absent.iter().cloned().collect() }, about })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Case, Metric};

    #[test]
    fn a_run_is_read_back_as_it_was_saved() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a-run");
        let case = Case::of_a_test(5);
        let mut sheet = Sheet::default();
        sheet.add(&case, "tidegate", 1, &[(Metric::CpuMs, 3), (Metric::PeakKib, 4)]);
        sheet.absent.insert("flink".to_owned(), "install a JDK".to_owned());
        let about = About { versions: vec!["a broker".to_owned()], ..About::this_run(&[]) };
        save(&folder, &sheet, &about).unwrap();
        let kept = load(&folder).unwrap();
        assert_eq!((kept.sheet.rows, kept.sheet.absent), (sheet.rows.clone(), sheet.absent.clone()));
        assert_eq!(kept.about.versions, ["a broker"]);
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        for part in
            ["# a-run", "cargo run --release", "- a broker", "flink: no numbers: install a JDK", "1 times"]
        {
            assert!(readme.contains(part), "{part}: {readme}");
        }
        assert!(folder.join("plot.svg").is_file());
        let again = save(&folder, &sheet, &about).unwrap_err().to_string();
        assert!(again.contains("another name"), "{again}");
        assert!(load(place.path()).is_err());
    }
}
