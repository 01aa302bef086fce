//! Every command on a small scale, its output and its code.

use std::fs;

use crate::program::{Place, files};

#[test]
fn simulate_invoices_says_what_it_wrote_and_a_second_run_adds_nothing() {
    let place = Place::new();
    let line = "simulate invoices --count 500 --seed 7 --keys 20 --duplicates 2% --malformed 0.02";
    let first = place.done(line);
    assert_eq!(first.out, "", "standard output is for data");
    let records = place.records("invoices");
    assert!(records > 500, "duplicates come on top");
    assert!(first.err.contains(&format!("wrote {records} records, 0 were there: complete")), "{first:?}");
    let second = place.done(line);
    assert!(second.err.contains(&format!("wrote 0 records, {records} were there: complete")), "{second:?}");
    assert_eq!(place.records("invoices"), records);
}

#[test]
fn the_same_seed_gives_the_same_records_and_another_does_not() {
    let [one, same, other] = [1, 1, 2].map(|seed| {
        let place = Place::new();
        place.done(&format!("simulate radars --count 300 --keys 50 --radars 3 --seed {seed}"));
        place.content("readings")
    });
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[test]
fn a_rate_paces_the_clock_unless_it_is_unpaced() {
    let place = Place::new();
    place.done("simulate invoices --count 50 --rate 5 --unpaced --start 2020-02-02T00:00:00Z");
    let last = place.done("topics tail invoices -n 1 --format json").json();
    assert_eq!(last[0]["timestamp"], 1_580_601_600_000_i64 + 49 * 200);
}

#[test]
fn replay_groups_lines_into_invoices_and_prints_how() {
    let place = Place::new();
    place.write(
        "shop.csv",
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
         536365,85123A,LANTERN,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n\
         536365,71053,HOLDER,1,2010-12-01 08:26:00,0.005,17850.0,United Kingdom\n\
         C536379,D,\"Discount, odd\",-1,2010-12-01 09:41:00,27.50,,United Kingdom\n",
    );
    let replay = place.done("replay invoices --from shop.csv");
    assert!(replay.err.contains("3 lines grouped into 2 invoices worth -12.19 GBP"), "{replay:?}");
    assert!(replay.err.contains("1 credit notes"), "{replay:?}");
    let invoices = place.done("topics tail invoices --from start --format json").json();
    assert_eq!(invoices[0]["value"]["amount_minor"], 1_531);
    assert_eq!(invoices[1]["key"], "anonymous");
    assert!(place.done("replay invoices --from shop.csv").err.contains("wrote 0 records, 2 were there"));
}

#[test]
fn readings_become_infractions() {
    let place = Place::new();
    place.write(
        "street.txt",
        "24.10.16 08:37:29;00;032;01;0 \r\n24.10.16 08:37:42;00;061;01;1 \r\n24.10.16 08:37:45;00;036;01;1 \r\n",
    );
    let replay = place.done("replay radars --from street.txt --keys 10 --seed 3");
    assert!(replay.err.contains("3 readings, 3 of them measured above the limit"), "{replay:?}");
    let process = place.done("process speeding --until-end");
    assert!(process.err.contains("judged 2"), "{process:?}");
    let infractions = place.done("topics tail infractions --until-end --format json").json();
    let speeds: Vec<_> =
        infractions.iter().map(|record| record["value"]["retained_speed_kmh"].clone()).collect();
    assert_eq!(speeds, [56, 31]);
    assert!(infractions.iter().all(|record| record["value"]["owner_id"].is_string()));
}

#[test]
fn a_whole_night_from_invoices_to_discounts() {
    let place = Place::with_totals();
    let csv = place.done("sink csv --topic customer-totals --out csv --until-end");
    assert!(csv.err.contains("0 rejects in this run, to the end"), "{csv:?}");
    let finished = files(&place.path("csv")).into_iter().filter(|name| name.ends_with(".csv"));
    let rows: usize = finished
        .map(|name| fs::read_to_string(place.path("csv").join(name)).unwrap().lines().count() - 1)
        .sum();
    assert_eq!(u64::try_from(rows).unwrap(), place.records("customer-totals"));

    place.done("sink sqlite --topic invoices --topic customer-totals --out read.sqlite3 --until-end");
    let store = rusqlite::Connection::open(place.path("read.sqlite3")).unwrap();
    let count = |table: &str| -> u64 {
        store
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
            .unwrap()
            .cast_unsigned()
    };
    assert_eq!(count("customer_totals"), place.records("customer-totals"));
    assert_eq!(count("invoices") + count("sink_rejects"), place.records("invoices"));

    let line = "batch discount --date 2024-01-01 --from read.sqlite3 --out discounts.sqlite3 --csv day.csv";
    let first = place.done(line);
    let rows = fs::read_to_string(place.path("day.csv")).unwrap().lines().count() - 1;
    assert!(first.err.contains(&format!("{rows} discounted, ")), "{first:?}");
    let second = place.done(line);
    assert!(second.err.contains(": 0 discounted, "), "{second:?}");
    assert!(second.err.contains(&format!("{rows} discounted before")), "{second:?}");
    place.done("batch discount --date yesterday --zone UTC --from read.sqlite3 --out discounts.sqlite3");
}

#[test]
fn every_topic_can_be_sunk_without_a_reject() {
    let place = Place::new();
    place.done("simulate radars --count 200 --keys 20 --radars 2");
    place.done("simulate invoices --count 100");
    place.done("process speeding --until-end");
    place.done("process totals --until-end");
    let topics = ["readings", "radars", "vehicles", "owners", "infractions", "invoices", "customer-totals"];
    for topic in topics {
        let rows = place.records(topic);
        assert!(rows > 0, "{topic}");
        let csv = place.done(&format!("sink csv --topic {topic} --out {topic} --until-end"));
        assert!(csv.err.contains(&format!("{rows} rows and 0 rejects")), "{topic}: {csv:?}");
    }
    let rows: u64 = topics.into_iter().map(|topic| place.records(topic)).sum();
    let sqlite =
        place.done(&format!("sink sqlite --topic {} --out read.sqlite3 --until-end", topics.join(" ")));
    assert!(sqlite.err.contains(&format!("{rows} rows and 0 rejects")), "{sqlite:?}");
}

#[test]
fn workers_share_the_tasks_and_the_results_are_the_same() {
    let one = Place::with_totals();
    let four = Place::with_invoices();
    four.done("process totals --grace 10s --until-end --workers 4 --commit-interval 20ms");
    assert_eq!(one.content("customer-totals"), four.content("customer-totals"));
}

#[test]
fn idle_close_closes_the_last_windows_without_an_end() {
    let place = Place::new();
    place.done("simulate invoices --count 100 --rate 1 --unpaced");
    place.done("process totals --app whole --until-end");
    let all = place.records("customer-totals");
    let mut running = place.start("process totals --app live --size 5s --idle-close 50ms");
    crate::program::until("the last windows", || place.records("customer-totals") >= 2 * all);
    running.signal("TERM");
    assert_eq!(running.ends_within(std::time::Duration::from_secs(2)), 0);
}

#[test]
fn a_topology_is_described_without_a_log() {
    let place = Place::new();
    let text = place.done("process totals --describe --size 10s").out;
    assert!(text.starts_with("topology totals\n"), "{text}");
    assert!(text.contains("parameter  size = 10000ms"), "{text}");
    let mermaid = place.done("process speeding --describe mermaid").out;
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.contains("readings"), "{mermaid}");
    assert!(files(&place.path("")).is_empty(), "nothing was made");
}

#[test]
fn topics_are_listed_and_described() {
    let place = Place::with_invoices();
    let list = place.done("topics list").out;
    assert!(
        list.lines().any(|line| line.split_whitespace().collect::<Vec<_>>()[..2] == ["invoices", "4"]),
        "{list}"
    );
    let text = place.done("topics describe invoices").out;
    assert!(text.contains("UTF-8 text, the value's `customer_id`"), "{text}");
    let json = &place.done("topics describe invoices --format json").json()[0];
    assert_eq!(json["partitions"].as_array().unwrap().len(), 4);
    assert_eq!(json["schemas"][0]["schema"]["name"], "Invoice");
    assert_eq!(json["writers"][0], "simulate invoices");
}

#[test]
fn the_first_command_decides_the_partitions() {
    let place = Place::new();
    place.done("simulate invoices --count 10 --partitions 2");
    place.done("process totals --until-end");
    let list = place.done("topics list --format json").json();
    let partitions = |name: &str| list.iter().find(|row| row["topic"] == name).unwrap()["partitions"].clone();
    assert_eq!(
        (partitions("customer-totals"), partitions("invoices"), partitions("totals-late")),
        (2.into(), 2.into(), 2.into())
    );
    place.fails("simulate invoices --count 10 --app more --partitions 3", 4, "has 2 partitions");
}

#[test]
fn quiet_says_nothing_and_the_data_directory_may_come_from_the_environment() {
    let place = Place::new();
    let output = place
        .command("simulate invoices --count 10 -q")
        .env("TIDEGATE_DATA_DIR", "elsewhere")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
    assert_eq!(files(&place.path("")), ["elsewhere"]);
}
