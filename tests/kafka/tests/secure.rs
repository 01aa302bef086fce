//! A cluster that asks for TLS and a login: every way in, and whom it turns away.
#![allow(missing_docs, reason = "tests are read, not published")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tidegate_kafka_tests::cluster::{Cluster, Doors, Settings};
use tidegate_kafka_tests::reader::count;
use tidegate_kafka_tests::world::{World, words};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate-under-test");
const REFUSED: Option<i32> = Some(4);
/// What nobody may ever read.
const SECRET: &str = "correct-horse-battery-staple";

fn world() -> World {
    World::on(|| Cluster::own(Settings { secure: true, ..Settings::default() }), PROGRAM)
}

/// The flags for a door, with the certificates of the cluster.
fn by_tls(doors: &Doors, brokers: &str) -> String {
    let ca = doors.secrets.join("ca.pem");
    let (ca, registry) = (ca.display(), &doors.registry);
    format!("-b {brokers} --tls --tls-ca {ca} --registry {registry} --registry-ca {ca}")
}

/// The same with a login: each user is named after the mechanism it is known to.
fn by_login(doors: &Doors, mechanism: &str, user: &str, password: &Path) -> String {
    let (tls, password) = (by_tls(doors, &doors.login), password.display());
    format!("{tls} --sasl {mechanism} --user {user} --password-file {password}")
}

fn password(doors: &Doors, user: &str) -> PathBuf {
    doors.secrets.join(format!("{user}.password"))
}

#[test]
fn every_way_in_leads_to_the_same_log() {
    let world = world();
    let doors = world.cluster.doors();
    let logins = ["plain", "scram-sha-256", "scram-sha-512"]
        .map(|user| (user, by_login(&doors, user, user, &password(&doors, user))));
    let mut known = 0;
    for (name, flags) in logins.into_iter().chain([("tls", by_tls(&doors, &doors.tls))]) {
        for line in [
            format!("simulate invoices --count 100 --app simulate-{name}"),
            format!("process totals --until-end --app totals-{name}"),
        ] {
            let output = world.command_on(&words(&flags), name, &words(&line)).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}, `{line}`: {said}");
        }
        let found = count(world.brokers(), "customer-totals");
        assert!(found > known, "{name} has added nothing to {known} totals");
        known = found;
    }
}

#[test]
fn whoever_is_turned_away_is_told_why_and_no_secret_is_told() {
    let world = world();
    let doors = world.cluster.doors();
    let wrong = world.path("password");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&wrong).unwrap();
    std::io::Write::write_all(&mut file, SECRET.as_bytes()).unwrap();
    let right = password(&doors, "plain");
    let stranger = format!("-b {} --tls --registry {}", doors.tls, doors.registry);
    let login = "check the user, the password and the SASL mechanism";
    for (flags, code, remedy) in [
        (by_login(&doors, "plain", "plain", &wrong), REFUSED, login),
        (by_login(&doors, "scram-sha-256", "scram-sha-256", &wrong), REFUSED, login),
        (by_login(&doors, "scram-sha-512", "plain", &right), REFUSED, login),
        // Who cannot be trusted is out of reach.
        (stranger, Some(8), "check the security protocol and the certificates"),
    ] {
        let line = words("process totals --until-end");
        let output = world.command_on(&words(&flags), "state", &line).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "`{flags}`: {said}");
        assert!(said.contains(remedy), "`{flags}`: {said}");
        for secret in [SECRET, std::fs::read_to_string(&right).unwrap().trim()] {
            assert!(!said.contains(secret), "`{flags}`: {said}");
        }
    }
}
