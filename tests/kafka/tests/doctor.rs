//! `doctor` on a real cluster: a sound one, one whose topics were changed behind its back, and one that is set up badly.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::process::Command;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;
use tidegate_kafka_tests::cluster::{Cluster, Settings, free_port};
use tidegate_kafka_tests::proxy::{Mode, Protocol, Proxy};
use tidegate_kafka_tests::world::{World, log_flags, words};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate-under-test");
const UNFIT: Option<i32> = Some(9);

fn world() -> World {
    World::on(Cluster::any, PROGRAM)
}

/// What a doctor has found.
struct Diagnosis {
    code: Option<i32>,
    lines: Vec<Value>,
}

impl Diagnosis {
    /// Asks a doctor about the log these flags name.
    fn of(log: &[String], line: &str) -> Diagnosis {
        let place = tempfile::tempdir().unwrap();
        let output = Command::new(PROGRAM)
            .args(log)
            .args(["--data", place.path().to_str().unwrap(), "doctor", "--format", "json"])
            .args(words(line))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "", "a doctor says what it has to say on standard output");
        let out = String::from_utf8(output.stdout).unwrap();
        let lines = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Diagnosis { code: output.status.code(), lines }
    }

    /// What is not `ok`, by what it is about.
    fn faults(&self, level: &str) -> Vec<&str> {
        let has = |line: &&Value| line["level"] == level;
        self.lines.iter().filter(has).map(|line| line["what"].as_str().unwrap()).collect()
    }

    /// The lines about something, each as `level: found`.
    fn about(&self, what: &str) -> Vec<String> {
        let of = |line: &&Value| line["what"] == what;
        let text = |line: &Value| {
            format!("{}: {}", line["level"].as_str().unwrap(), line["found"].as_str().unwrap())
        };
        self.lines.iter().filter(of).map(text).collect()
    }

    /// The only line about something begins so.
    fn says(&self, what: &str, start: &str) {
        let about = self.about(what);
        assert!(about.len() == 1 && about[0].starts_with(start), "{what}: {about:?} in {:#?}", self.lines);
    }
}

/// Changes a topic's settings as an operator would; those that are not named fall back to the broker's.
fn set(brokers: &str, topic: &str, settings: &[(&str, &str)]) {
    let resource = ResourceSpecifier::Topic(topic);
    let config = AlterConfig { specifier: resource, entries: settings.iter().copied().collect() };
    let (admin, runtime) = admin(brokers);
    let outcome = runtime.block_on(admin.alter_configs([&config], &AdminOptions::new())).unwrap();
    outcome.into_iter().for_each(|one| drop(one.unwrap()));
}

fn make(brokers: &str, topic: &str, partitions: i32) {
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let (admin, runtime) = admin(brokers);
    let outcome = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    outcome.into_iter().for_each(|one| drop(one.unwrap()));
}

fn admin(brokers: &str) -> (AdminClient<DefaultClientContext>, tokio::runtime::Runtime) {
    let admin = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    (admin, tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap())
}

#[test]
fn a_sound_cluster_is_told_to_be_sound() {
    let world = world();
    world.create_topics();
    world.run("simulate invoices --count 50");
    world.run("process totals --until-end");
    let diagnosis = Diagnosis::of(&world.program.log, "--probe");
    assert_eq!(diagnosis.code, Some(0), "{:#?}", diagnosis.lines);
    for level in ["FAIL", "skip"] {
        assert_eq!(diagnosis.faults(level), Vec::<&str>::new(), "{:#?}", diagnosis.lines);
    }
    for (what, start) in [
        ("broker 1", "ok: reached at "),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "ok: 1 s"),
        ("topic invoices", "ok: 4 partitions, kept for ever"),
        ("topic totals-changelog", "ok: 4 partitions, kept for ever"),
        ("inputs of process speeding", "ok: "),
        ("application totals", "ok: 4 tasks, reads invoices"),
        ("schema invoices-value", "ok: registered under id "),
        ("schema infractions-value", "ok: to be registered"),
        ("probe", "ok: a transaction was opened in "),
        ("clock of the broker", "ok: "),
    ] {
        diagnosis.says(what, start);
    }
    // The broker of the script; told by what it understands.
    assert!(diagnosis.about("broker 1")[0].contains("Kafka 4."), "{:?}", diagnosis.about("broker 1"));
    let left: Vec<_> =
        world.behind.topics().into_iter().filter(|topic| topic.starts_with("tidegate-doctor")).collect();
    assert_eq!(left, Vec::<String>::new(), "the probe's topic is gone");
}

#[test]
fn a_doctor_makes_nothing() {
    let world = world();
    let diagnosis = Diagnosis::of(&world.program.log, "--app totals");
    assert_eq!(diagnosis.code, Some(0), "{:#?}", diagnosis.lines);
    diagnosis.says("topic readings", "warn: not there");
    diagnosis.says("application totals", "warn: it has not run here");
    diagnosis.says("schema readings-value", "ok: to be registered");
    diagnosis.says("probe", "skip: give --probe");
    assert_eq!(world.behind.topics(), Vec::<String>::new());
    assert_eq!(world.registry.subjects(), Vec::<String>::new());
    assert_eq!(world.behind.groups(), Vec::<String>::new());
    let forbidden = [world.program.log.clone(), words("--no-register")].concat();
    let forbidden = Diagnosis::of(&forbidden, "");
    assert_eq!(forbidden.code, UNFIT);
    forbidden.says("schema readings-value", "FAIL: not registered, and --no-register");
}

#[test]
fn topics_that_were_changed_are_found() {
    let world = world();
    world.create_topics();
    world.run("simulate invoices --count 50");
    let brokers = world.brokers();
    let no_limit = "9223372036854775807";
    set(brokers, "invoices", &[("retention.ms", "604800000"), ("message.timestamp.after.max.ms", no_limit)]);
    set(
        brokers,
        "customer-totals",
        &[
            ("retention.ms", "-1"),
            ("cleanup.policy", "compact"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "1000"),
        ],
    );
    world.behind.delete_topics(&["vehicles"]);
    make(brokers, "vehicles", 3);
    let diagnosis = Diagnosis::of(&world.program.log, "");
    assert_eq!(diagnosis.code, UNFIT);
    diagnosis.says("topic invoices", "FAIL: `retention.ms` is 604800000 (7 days)");
    let totals = diagnosis.about("topic customer-totals").join("\n");
    for words in [
        "`cleanup.policy` is `compact`",
        "`LogAppendTime`",
        "after.max.ms` is 3600000 (1 h)",
        "is 1000: a value",
    ] {
        assert!(totals.contains(words), "{words}: {totals}");
    }
    diagnosis.says("topic vehicles", "warn: `message.timestamp.after.max.ms`");
    diagnosis.says("inputs of process speeding", "FAIL: `vehicles` has 3, `readings` has 4 partitions");
    let mut faults = vec!["topic invoices"];
    faults.extend(["topic customer-totals"; 4]);
    faults.push("inputs of process speeding");
    assert_eq!(diagnosis.faults("FAIL"), faults);
}

#[test]
fn an_application_whose_changelog_went_is_found() {
    let world = world();
    world.run("simulate invoices --count 50");
    world.run("process totals --app bills --until-end");
    world.behind.delete_topics(&["bills-changelog"]);
    // Named, since it is known by its changelog otherwise.
    let diagnosis = Diagnosis::of(&world.program.log, "--app bills");
    assert_eq!(diagnosis.code, UNFIT);
    diagnosis.says("application bills", "FAIL: its group has positions in `invoices`");
    diagnosis.says("topic bills-changelog", "warn: not there");
    diagnosis.says("topic bills-late", "ok: 4 partitions");
    make(world.brokers(), "bills-changelog", 3);
    let diagnosis = Diagnosis::of(&world.program.log, "");
    diagnosis.says("application bills", "FAIL: `bills-changelog` has 3 partitions, and `bills-");
}

#[test]
fn a_schema_that_cannot_be_read_is_found() {
    let world = world();
    world.registry.register(
        "readings-value",
        r#"{"type":"record","name":"Reading","fields":[{"name":"x","type":"string"}]}"#,
    );
    let diagnosis = Diagnosis::of(&world.program.log, "");
    assert_eq!(diagnosis.code, UNFIT);
    assert_eq!(diagnosis.faults("FAIL"), ["schema readings-value"]);
}

#[test]
fn who_does_not_answer_is_told_with_the_reason() {
    let world = world();
    let nowhere = format!("127.0.0.1:{}", free_port());
    let away = Diagnosis::of(&log_flags(&nowhere, &format!("http://{nowhere}")), "--probe");
    assert_eq!(away.code, UNFIT);
    let address = format!("address {nowhere}");
    away.says(&address, &format!("FAIL: Connect to ipv4#{nowhere} failed: Connection refused"));
    assert_eq!(away.faults("FAIL"), [address.as_str(), &format!("registry http://{nowhere}")]);
    let skipped = ["settings", "topics", "applications", "schemas", "probe", "clock of the broker"];
    assert_eq!(away.faults("skip"), skipped);

    let half =
        Diagnosis::of(&log_flags(&format!("{nowhere},{}", world.brokers()), &world.cluster.registry), "");
    assert_eq!(half.code, Some(0), "{:#?}", half.lines);
    half.says(&address, "warn: Connect to ");

    // A listener without TLS hangs up on who begins with it. Whether the client meets that in its handshake ("SSL handshake failed") or finds the
    // connection gone ("Disconnected: SSL connection closed by peer") depends on which of the two is faster.
    let tls = Diagnosis::of(&[world.program.log.clone(), words("--tls")].concat(), "");
    assert_eq!(tls.code, UNFIT);
    let address = format!("address {}", world.brokers());
    tls.says(&address, "FAIL: ");
    assert!(tls.about(&address)[0].contains("SSL"), "{:#?}", tls.lines);
    let remedy = tls.lines.iter().find(|line| line["what"] == address.as_str()).unwrap()["remedy"].clone();
    assert!(remedy.as_str().unwrap().contains("check --tls"), "{remedy}");
}

/// What a broker must not be told.
const BAD: [&str; 8] = [
    "transaction.max.timeout.ms=4000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=10000",
    "group.min.session.timeout.ms=7000",
    "offsets.retention.minutes=60",
    "auto.create.topics.enable=true",
    "message.max.bytes=500000",
    "log.message.timestamp.type=LogAppendTime",
    "min.insync.replicas=2",
];

#[test]
fn a_cluster_that_is_set_up_badly_is_told_what_to_change() {
    // The sound cluster idles meanwhile: it is enough for a machine to start one at a time.
    let _turn = world();
    let (listener, nowhere) = (free_port(), free_port());
    let settings = Settings {
        second_listener: Some((listener, nowhere)),
        more: &BAD,
        without_registry: true,
        secure: false,
    };
    let cluster = Cluster::own(settings);
    let log = ["-b".to_owned(), cluster.brokers.clone()];
    let diagnosis = Diagnosis::of(&log, "--probe");
    assert_eq!(diagnosis.code, UNFIT);
    for (what, start) in [
        ("transaction.max.timeout.ms", "FAIL: 4 s, and transactions ask for 5 s"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "warn: 10 s"),
        ("group.min.session.timeout.ms", "FAIL: 7 s, and --session-timeout is 6 s"),
        ("offsets.retention.minutes", "warn: 1 h"),
        ("auto.create.topics.enable", "warn: `true`"),
        ("message.max.bytes", "FAIL: 500000 bytes"),
        ("log.message.timestamp.type", "FAIL: `LogAppendTime`"),
        ("replication of new topics", "FAIL: 1 copies, of which 2"),
        ("registry", "FAIL: none is named"),
        ("topic readings", "warn: not there"),
        // The coordinator refuses a transaction that may last longer than it allows.
        ("probe", "FAIL: "),
        ("clock of the broker", "skip: the probe failed"),
    ] {
        diagnosis.says(what, start);
    }
    let topics = tidegate_kafka_tests::behind::Administrator::new(&cluster.brokers).topics();
    assert_eq!(
        topics,
        Vec::<String>::new(),
        "neither the probe's topic stays, nor was one made by asking for it"
    );
    let fitting = Diagnosis::of(&log, "--session-timeout 7s --transaction-timeout 4s");
    fitting.says("transaction.max.timeout.ms", "ok: 4 s");
    fitting.says("group.min.session.timeout.ms", "ok: 7 s");

    // Reached, and sent on to where nobody is.
    let is_a_trap = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        let trapped = Diagnosis::of(&["-b".to_owned(), address.clone()], "");
        assert_eq!(trapped.code, UNFIT);
        trapped.says(&format!("address {address}"), "ok: reached");
        trapped.says("broker 1", &format!("FAIL: it sends clients to `127.0.0.1:{nowhere}`"));
        trapped.says("settings", "skip: no broker is reached");
    };
    is_a_trap(listener);
    // The client learns where the broker is from what it asks itself, and may leave before what the doctor asks is answered.
    let proxy = Proxy::before(listener, Protocol::Kafka);
    proxy.set(Mode::TellBrokersOnce);
    is_a_trap(proxy.port);
}
