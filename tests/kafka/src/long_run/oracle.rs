//! What must have come out of a long run, by `tests/oracle`, which shares no code with the program; and what went in, by a simulator
//! that nothing happened to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use serde_json::{Value, json};
use tidegate_runtime::log::Log;
use tidegate_runtime::log::embedded::EmbeddedLog;

use super::fleet::producers;
use super::journal::Journal;
use crate::check::{Kind, Sinks, compare, content, topic};
use crate::input::{rows, tests_path};
use crate::instances::Process;
use crate::reader::{Record, embedded, read};
use crate::world::{World, words};

/// Inputs, then topics, then both sinks.
pub(super) fn check(world: &World, rate: u64, count: u64, journal: &mut Journal) -> Result<(), String> {
    inputs(world, rate, count, journal)?;
    let invoices = dump(world, &["invoices"]);
    let out = oracle(world, "retail.py", &["totals", "--grace", "10000"], &invoices)?;
    let of_totals = [("late", Kind::Late), ("dead-letters", Kind::DeadLetters)];
    outputs(world, &out, ("totals", "customer-totals"), &of_totals, journal)?;
    stored(world, &out, "customer-totals", "customer_totals", &["window_start", "window_end"], journal)?;
    let readings = dump(world, &["radars", "vehicles", "readings"]);
    let out = oracle(world, "moers.py", &["infractions"], &readings)?;
    let of_speeding =
        [("late", Kind::Late), ("duplicates", Kind::Duplicates), ("dead-letters", Kind::DeadLetters)];
    outputs(world, &out, ("speeding", "infractions"), &of_speeding, journal)?;
    stored(world, &out, "infractions", "infractions", &["measured_at"], journal)
}

/// What the simulators wrote through everything is what they write on an embedded log, undisturbed.
fn inputs(world: &World, rate: u64, count: u64, journal: &mut Journal) -> Result<(), String> {
    let data = world.path("embedded");
    for (_, line) in producers(rate, count) {
        let words = [
            vec!["--data".to_owned(), data.to_str().unwrap().to_owned()],
            words(&line),
            vec!["--unpaced".to_owned()],
        ];
        Process::start(world.program.command(&words.concat())).finish();
    }
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(&data).map_err(|error| error.to_string())?);
    for topic in ["invoices", "radars", "vehicles", "owners", "readings"] {
        let expected = content(&embedded(&log, topic));
        compare(topic, &content(&read(world.brokers(), topic)), &expected)?;
        journal
            .say(&format!("`{topic}`: {} records, as an undisturbed simulator writes them", expected.len()));
    }
    Ok(())
}

/// Input topics as the oracle reads them.
fn dump(world: &World, topics: &[&str]) -> PathBuf {
    let path = world.path(&format!("{}.jsonl", topics[topics.len() - 1]));
    let row = |topic: &str, record: &Record| {
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let mut row = json!({
            "topic": topic, "partition": record.partition, "offset": record.offset,
            "timestamp": record.time_ms, "key": record.key_text(),
        });
        let value = record.value.as_deref();
        match (record.decode(&world.registry), value) {
            (Ok(decoded), _) => row["value"] = decoded,
            (Err(_), None) => row["value"] = Value::Null,
            // Undecodable with a schema we know: the datum is what is wrong.
            (Err(_), Some([0, a, b, c, d, datum @ ..]))
                if world.registry.schema(u32::from_be_bytes([*a, *b, *c, *d])).is_some() =>
            {
                row["datum_base64"] = base64(datum).into();
            }
            (Err(_), Some(raw)) => row["raw_base64"] = base64(raw).into(),
        }
        row.to_string() + "\n"
    };
    let mut text = String::new();
    for topic in topics {
        text.extend(read(world.brokers(), topic).iter().map(|record| row(topic, record)));
    }
    std::fs::write(&path, text).unwrap();
    path
}

fn oracle(world: &World, program: &str, words: &[&str], dump: &Path) -> Result<PathBuf, String> {
    let out = world.path(&format!("oracle-{}", words[0]));
    let mut command = Command::new("python3");
    command
        .arg(tests_path("oracle").join(program))
        .args(words)
        .arg("--dump")
        .arg(dump)
        .arg("--out")
        .arg(&out);
    let output = command.output().map_err(|error| format!("the oracle needs python3: {error}"))?;
    match output.status.success() {
        true => Ok(out),
        false => Err(format!("the oracle failed: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn outputs(
    world: &World,
    oracle: &Path,
    (app, results): (&str, &str),
    others: &[(&str, Kind)],
    journal: &mut Journal,
) -> Result<(), String> {
    let others = others.iter().map(|(file, kind)| (format!("{app}-{file}"), *file, *kind));
    for (name, file, kind) in [(results.to_owned(), results, Kind::Results)].into_iter().chain(others) {
        let expected = rows(&oracle.join(format!("{file}.jsonl.gz")));
        topic(world.brokers(), &world.registry, &name, kind, &expected)?;
        journal.say(&format!("`{name}`: {} records, as the oracle says", expected.len()));
    }
    Ok(())
}

fn stored(
    world: &World,
    oracle: &Path,
    topic: &str,
    table: &str,
    times: &[&str],
    journal: &mut Journal,
) -> Result<(), String> {
    let expected = rows(&oracle.join(format!("{topic}.jsonl.gz")));
    let (csv, store) = (world.path(&format!("csv-{topic}")), world.path(&format!("{topic}.sqlite3")));
    Sinks { csv: &csv, store: &store, table, times }.check(&expected)?;
    journal.say(&format!(
        "`{topic}` in CSV and in the read store: {} rows each, as the oracle says",
        expected.len()
    ));
    Ok(())
}
