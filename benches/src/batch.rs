//! `bench batch`: the nightly discount over many invoices, in memory that does not grow with them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, params};

use crate::cli::BatchArgs;
use crate::input::amount_of;
use crate::peer::{Peer, Program, without_variables};
use crate::process::Process;
use crate::progress::Progress;
use crate::results::Verdict;
use crate::rounds::Rounds;
use crate::sheet::{Case, Metric};

/// 2024-01-01T00:00:00Z, a business day in London, where it has no offset.
const DAY: &str = "2024-01-01";
const DAY_START_MS: i64 = 1_704_067_200_000;
const DAY_MS: u64 = 86_400_000;
/// Off every invoice.
const PERCENT: i64 = 30;

/// Measures every build of the program on read stores of these sizes.
pub(crate) fn run(args: &BatchArgs) -> Result<()> {
    let mut rounds = Rounds::begin("batch", &args.peers, &args.run)?;
    for records in &args.records {
        let store = rounds.cache.join("batch").join(format!("invoices-{records}.sqlite3"));
        fill(&store, *records, &mut rounds.progress)?;
        let case = Case {
            bench: "batch".to_owned(),
            home: "read store".to_owned(),
            records: *records,
            keys: 0,
            partitions: 0,
            instances: 1,
        };
        rounds.in_turn(&case, |peer, _| measure(peer, &store, *records))?;
    }
    rounds.end()?;
    Ok(())
}

fn measure(peer: &Peer, store: &Path, records: u64) -> Result<Vec<(Metric, u64)>> {
    let Program::Tidegate(program, _) = &peer.program else {
        bail!("it has no batch job");
    };
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("discounts.sqlite3");
    let mut command = Command::new(program);
    command.args(["batch", "discount", "--date", DAY, "--from"]).arg(store).arg("--out").arg(&out);
    without_variables(&mut command);
    let mut values = Process::start(command, &folder.path().join("said"))?.finish()?;
    values.extend(check(&out, records)?.values());
    Ok(values)
}

/// A read store with so many invoices of one day, made once.
fn fill(path: &Path, records: u64, progress: &mut Progress) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    progress.step(format!("filling a read store: {records} invoices"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension("unfinished");
    if unfinished.exists() {
        std::fs::remove_file(&unfinished)?;
    }
    let mut store = Connection::open(&unfinished)?;
    store.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")?;
    store.execute_batch(tidegate_schemas::READ_STORE)?;
    let transaction = store.transaction()?;
    let mut insert = transaction.prepare(
        "INSERT INTO invoices (invoice_id, customer_id, issued_at, amount_minor, currency, source_partition, source_offset)
         VALUES (?1, ?2, ?3, ?4, 'EUR', 0, ?5)",
    )?;
    for number in 0..records {
        let issued_at = DAY_START_MS + i64::try_from(number * (DAY_MS / records.max(1)).max(1) % DAY_MS)?;
        insert.execute(params![
            invoice(number),
            crate::input::customer(number % 10_000),
            issued_at,
            amount_of(number),
            i64::try_from(number)?
        ])?;
        if number % 100_000 == 0 {
            progress.at(number, records);
        }
    }
    drop(insert);
    transaction.commit()?;
    // As a sink leaves it: the job reads it while it may be written.
    store.execute_batch("PRAGMA journal_mode=WAL")?;
    store.close().map_err(|(_, error)| error)?;
    std::fs::rename(&unfinished, path).with_context(|| format!("could not keep `{}`", path.display()))
}

fn invoice(number: u64) -> String {
    format!("INV-{number:010}")
}

/// Every discount against the rule, added up here once more.
fn check(out: &Path, records: u64) -> Result<Verdict> {
    let store = Connection::open(out)?;
    let mut query =
        store.prepare("SELECT invoice_id, amount_minor, discount_minor, remaining_minor FROM discounts")?;
    let mut rows = query.query([])?;
    let mut seen = vec![false; usize::try_from(records)?];
    let mut verdict = Verdict { due: records, missing: records, ..Verdict::default() };
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let number = id.strip_prefix("INV-").and_then(|digits| digits.parse::<u64>().ok());
        let slot = number.and_then(|number| seen.get_mut(usize::try_from(number).ok()?));
        let (Some(number), Some(slot)) = (number, slot) else {
            verdict.wrong += 1;
            continue;
        };
        if std::mem::replace(slot, true) {
            verdict.doubled += 1;
            continue;
        }
        verdict.missing -= 1;
        let amount = amount_of(number);
        // Half a cent goes up; no amount here is negative.
        let discount = (amount * PERCENT + 50) / 100;
        let found: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        verdict.wrong += u64::from(found != [amount, discount, amount - discount]);
    }
    Ok(verdict)
}
