//! The broker and the registry: brought up by `scripts/kafka` in a folder of the harness, or the user's own.
//!
//! The folder keeps its data, so that a topic is filled once and read by many runs. Its broker goes when the harness does, however that
//! ends: a guard takes it down.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tidegate_runtime::log::Log;
use tidegate_runtime::log::kafka::{Connection, KafkaLog, RegistryConnection};

use crate::place;
use crate::process::Guard;

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) brokers: String,
    pub(crate) registry: String,
    pub(crate) log: KafkaLog,
    /// What it is, for the README of a run.
    pub(crate) version: String,
    /// True if it is the user's own: what stands there is not ours to delete.
    pub(crate) given: bool,
    /// Takes it down, then lets go of the folder.
    _own: Option<(Guard, File)>,
}

impl Cluster {
    /// One of our own, with its data in `folder`.
    pub(crate) fn own(folder: &Path) -> Result<Cluster> {
        std::fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
        let lock = File::create(folder.join("bench.lock"))?;
        if lock.try_lock().is_err() {
            bail!("another run uses `{}`; wait for it, or give another --cache", folder.display());
        }
        let script = place::kafka_script();
        let down = "\"$1\" down --dir \"$2\" || \"$1\" kill --dir \"$2\"";
        let guard =
            Guard::new(down, &[&script.display().to_string(), &folder.join("kafka").display().to_string()])?;
        let kafka = folder.join("kafka").display().to_string();
        let up = ["up", "--dir", &kafka, "--port", "auto", "--registry-port", "auto", "--heap", "1g"];
        let addresses = script_output(&up)?;
        let words: Vec<&str> = addresses.split_whitespace().collect();
        let ["-b", brokers, "--registry", registry] = words.as_slice() else {
            bail!("`scripts/kafka up` printed `{}` instead of addresses", addresses.trim());
        };
        let versions = script_output(&["settings", "--dir", &kafka, "versions"])?;
        let version = format!("Apache Kafka, by `scripts/kafka`: {}", versions.replace('\n', " ").trim());
        let mut cluster = Cluster::at(brokers, registry, version)?;
        cluster.given = false;
        cluster._own = Some((guard, lock));
        Ok(cluster)
    }

    /// The user's.
    pub(crate) fn at(brokers: &str, registry: &str, version: String) -> Result<Cluster> {
        let connection =
            RegistryConnection { urls: vec![registry.to_owned()], ..RegistryConnection::default() };
        let log = KafkaLog::open(Connection::new(brokers, connection))?;
        log.identity().with_context(|| format!("no broker answers at `{brokers}`"))?;
        Ok(Cluster {
            brokers: brokers.to_owned(),
            registry: registry.to_owned(),
            log,
            version,
            given: true,
            _own: None,
        })
    }
}

fn script_output(words: &[&str]) -> Result<String> {
    let script = place::kafka_script();
    let output = Command::new(&script).args(words).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("could not run `{}`", script.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`scripts/kafka {}` gave {}: {}", words[0], output.status, said.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
