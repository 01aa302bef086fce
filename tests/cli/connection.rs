//! Naming a Kafka cluster: by flags, variables and a file; what contradicts itself, what may not be shown, what is unknown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::program::{Ended, Place, files, until};

/// A password that must never be seen.
const SECRET: &str = "hunter2";

/// Nobody listens there: the discard port.
const NOWHERE: &str = "127.0.0.1:9";

fn ended(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file that only its owner reads, as a secret's should be.
fn write_private(place: &Place, name: &str, text: &str) {
    place.write(name, text);
    fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn contradictions_and_half_sentences_are_usage_errors() {
    let place = Place::new();
    place.write("ca.pem", "");
    for (line, words) in [
        (
            "-b one --tls -X security.protocol=PLAINTEXT topics list",
            "`--tls` and `-X security.protocol` contradict",
        ),
        ("topics list -b one --tls-ca ca.pem -X ssl.ca.location=b.pem", "contradict each other"),
        ("topics list -b one --sasl scram-sha-256 --user me", "TIDEGATE_PASSWORD"),
        ("topics list -b one --sasl kerberos", "kerberos"),
        ("topics list -b one --tls-cert ca.pem", "--tls-key"),
        ("topics list --tls", "none is named; give --brokers"),
        ("topics list -b one:two", "`one:two` is no broker"),
        ("-X a=b topics list -X c=d -b one", "every `-X` behind the subcommand"),
        (
            "topics list -b one -X isolation.level=read_uncommitted",
            "property `isolation.level` cannot be set",
        ),
        ("topics list -b one -X linger=5", "property `linger` is unknown"),
        ("demo --brokers one", "`demo` takes no `--brokers`: it runs on an embedded log of its own"),
        ("batch discount --date 2010-12-01 --from f -b one", "`batch` takes no `--brokers`"),
        ("schemas list -b one", "no schema registry is named"),
        ("process totals --static-membership", "`--static-membership` is for Kafka"),
        ("process totals --group-protocol consumer", "`--group-protocol` is for Kafka"),
        ("process totals --at-least-once", "`--at-least-once` is for Kafka"),
        ("process totals --transaction-timeout 3s", "`--transaction-timeout` is for Kafka"),
        ("process totals -b one --at-least-once --transaction-timeout 3s", "cannot be used with"),
        (
            "process totals -b one --group-protocol consumer --session-timeout 9s",
            "the session timeout is the broker's",
        ),
    ] {
        place.fails(line, 2, words);
    }
    for (line, words) in [
        ("process totals -b one --transaction-timeout 6s", "not below the session timeout of `6s`"),
        ("process totals -b one --commit-interval 9ms", "at least `10ms`"),
        ("process totals -b one --commit-interval 5s", "not above the commit interval"),
    ] {
        place.fails(line, 7, words);
    }
    assert_eq!(files(&place.path("")), ["ca.pem"], "nothing was made");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_line() {
    let place = Place::new();
    place.write("client.properties", "# ours\nlinger.ms=5\nssl.truststore.password=hunter2\n");
    place.fails(
        "topics list -b one --properties client.properties",
        3,
        "`client.properties`, line 3: property `ssl.truststore.password` is unknown",
    );
    place.fails("topics list -b one --properties nowhere", 5, "`nowhere`");
    place.fails("topics list -b one --tls-ca nowhere.pem", 5, "`nowhere.pem`");
    place.fails("topics list --config nowhere.toml", 5, "`nowhere.toml`");
    place.write("t.toml", "\n[process.totals]\nsise = '5s'\n");
    place.fails("process totals --config t.toml", 3, "`t.toml`, line 3: there is no flag `sise`");
    place.write("t.toml", "\n[process.totals]\nsize = '5'\n");
    place.fails("process totals --config t.toml", 2, "`--size` comes from `t.toml`, line 3");
    place.done("process totals --config t.toml --describe --size 5s");
    let mut by_variable = place.command("process totals --describe");
    by_variable.env("TIDEGATE_SIZE", "5");
    let by_variable = ended(by_variable);
    assert_eq!(by_variable.code, Some(2));
    assert!(by_variable.err.contains("`--size` comes from the variable `TIDEGATE_SIZE`"), "{by_variable:?}");
}

/// Where the size of a window comes from, seen in what the program prints.
#[test]
fn a_flag_wins_over_its_variable_that_over_the_file_that_over_the_default() {
    let place = Place::new();
    place.write("t.toml", "[process]\ngrace = '3s'\n[process.totals]\nsize = '30s'\n");
    let size = |line: &str, variables: &[(&str, &str)]| {
        let mut command = place.command(&format!("process totals --describe {line}"));
        command.envs(variables.iter().copied());
        let ended = ended(command);
        let found = ended
            .out
            .lines()
            .find_map(|line| line.trim().strip_prefix("parameter  size = "))
            .map(str::to_owned);
        found.unwrap_or_else(|| panic!("{ended:?}"))
    };
    let file = ("TIDEGATE_CONFIG", "t.toml");
    let variable = ("TIDEGATE_SIZE", "20s");
    assert_eq!(size("", &[]), "5000ms");
    assert_eq!(size("", &[file]), "30000ms");
    assert_eq!(size("--config t.toml", &[]), "30000ms");
    assert_eq!(size("", &[file, variable]), "20000ms");
    assert_eq!(size("--size 10s", &[file, variable]), "10000ms");
    assert_eq!(size("--size 10s", &[file]), "10000ms");
    assert_eq!(size("--size 10s", &[variable]), "10000ms");
    let all = place.done("process totals --describe --config t.toml").out;
    assert!(all.contains("grace = 3000ms"), "what is said of all processors: {all}");
}

#[test]
fn a_whole_command_can_stand_in_the_file() {
    let place = Place::new();
    place.write(
        "t.toml",
        "data = 'elsewhere'\nquiet = true\n[simulate.invoices]\ncount = 20\nlate = 0.5\n[sink.sqlite]\ntopic = ['invoices', 'owners']\nout = \
         'read.sqlite3'\nuntil-end = true\n",
    );
    let simulated = place.done("simulate invoices --config t.toml");
    assert_eq!(simulated.err, "", "quiet");
    place.done("sink sqlite --config t.toml");
    assert_eq!(files(&place.path("")), ["elsewhere", "read.sqlite3", "read.sqlite3.lock", "t.toml"]);
    place.fails("--config t.toml simulate invoices --count 30", 4, "reset --app simulate-invoices");
}

#[test]
fn a_cluster_out_of_reach_or_not_has_nothing_to_do_with_commands_without_one() {
    let place = Place::new();
    for (name, value) in
        [("TIDEGATE_BROKERS", NOWHERE), ("TIDEGATE_REGISTRY", "http://127.0.0.1:9"), ("TIDEGATE_TLS", "true")]
    {
        let mut command = place.command("batch discount --date 2010-12-01 --from nowhere.sqlite3");
        let ended = ended({
            command.env(name, value);
            command
        });
        assert!(ended.err.contains("there is no read store"), "{ended:?}");
    }
    let mut embedded = place.command("simulate invoices --count 5 --brokers=");
    embedded.env("TIDEGATE_BROKERS", NOWHERE);
    assert_eq!(ended(embedded).code, Some(0), "an empty --brokers asks for the embedded log");
    assert!(place.path("tidegate-data/log.sqlite3").exists());
}

/// A port that was free a moment ago: nobody listens there.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_broker_out_of_reach_has_a_code_of_its_own() {
    let (place, nowhere) = (Place::new(), nowhere());
    place.fails(&format!("topics list -b {nowhere}"), 8, &nowhere);
    assert!(files(&place.path("")).is_empty(), "nothing was made");
}

#[test]
fn a_registry_out_of_reach_has_the_same_and_needs_no_broker() {
    let (place, nowhere) = (Place::new(), nowhere());
    place.fails(&format!("schemas list --registry http://{nowhere}"), 8, &nowhere);
}

#[test]
fn a_secret_is_refused_on_the_command_line_and_shown_nowhere() {
    let place = Place::new();
    write_private(
        &place,
        "client.properties",
        &format!("sasl.mechanism={SECRET}\nsasl.password={SECRET}\nlinger.ms={SECRET}\n"),
    );
    write_private(&place, "t.toml", &format!("[kafka]\nbrokers = 'one'\npassword = {SECRET}\n"));
    let lines = [
        format!("topics list -b one -X sasl.password={SECRET}"),
        format!("topics list -b one -X ssl.key.password={SECRET}"),
        format!("topics list -b one -X {SECRET}"),
        format!("topics list -b one --password {SECRET}"),
        format!("topics list -b one --password={SECRET}"),
        format!("topics list -b one --registry http://me:{SECRET}@one"),
        "topics list -b one --properties client.properties".to_owned(),
        "topics list --config t.toml".to_owned(),
    ];
    for line in lines {
        let ended = place.run(&line);
        assert!(matches!(ended.code, Some(2 | 3)), "{ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
        assert!(!format!("{ended:?}").contains(SECRET), "{ended:?}");
    }
    let refused = place.run(&format!("topics list -b one -X sasl.password={SECRET}"));
    assert!(
        refused.err.contains("everybody on this machine can see a command line; give it in a file"),
        "{refused:?}"
    );
    for line in ["--help", "topics list --help", "topics list -h", "process totals --help"] {
        let mut command = place.command(line);
        let variables = ["PASSWORD", "REGISTRY_PASSWORD", "USER", "BROKERS", "PROPERTY"]
            .map(|name| format!("TIDEGATE_{name}"));
        command.envs(variables.iter().map(|name| (name, SECRET)));
        let ended = ended(command);
        assert_eq!(ended.code, Some(0));
        assert!(!ended.out.contains(SECRET), "`{line}` shows the environment");
    }
}

/// What `ps` shows of a running process stays as it was typed, wherever the secrets came from.
#[test]
fn the_process_list_shows_no_secret() {
    let place = Place::new();
    write_private(
        &place,
        "t.toml",
        &format!(
            "[simulate.invoices]\ncount = 100000\nrate = 10\n[kafka]\npassword = '{SECRET}'\n[kafka.properties]\n\"ssl.key.password\" = '{SECRET}'\n"
        ),
    );
    let mut command = place.command("simulate invoices --config t.toml --brokers=");
    command.env("TIDEGATE_PASSWORD", SECRET).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    until("the first records", || place.records("invoices") > 0);
    let shown = fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    let shown = String::from_utf8(shown).unwrap().replace('\0', " ");
    child.kill().unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(shown.ends_with("simulate invoices --config t.toml --brokers= "), "{shown}");
    assert!(!String::from_utf8(said.stderr).unwrap().contains(SECRET));
}

#[test]
fn a_file_with_a_secret_that_everybody_can_read_is_warned_of() {
    let place = Place::new();
    let warned = |name: &str, text: &str, mode: u32, line: &str| {
        place.write(name, text);
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
        let ended = place.run(line);
        assert!(!ended.err.contains(SECRET), "{ended:?}");
        ended
            .err
            .contains(&format!("warning: `{name}` holds a secret and everybody on this machine can read it"))
    };
    let secret = format!("[kafka]\npassword = '{SECRET}'\n");
    let describe = "process totals --describe --config t.toml";
    assert!(warned("t.toml", &secret, 0o644, describe));
    assert!(!warned("t.toml", &secret, 0o640, describe));
    assert!(!warned("t.toml", "quiet = false", 0o644, describe));
    let describe = "process totals --describe -b one --properties p";
    assert!(warned("p", &format!("ssl.key.password={SECRET}"), 0o604, describe));
    assert!(!warned("p", "linger.ms=5", 0o604, describe));
    let describe = "process totals --describe -b one --sasl scram-sha-256 --user me --password-file w";
    assert!(warned("w", SECRET, 0o644, describe));
    assert!(!warned("w", SECRET, 0o600, describe));
}

/// The short help is for a first look: what few need is in the long one.
#[test]
fn the_short_help_stays_short_and_the_long_one_has_it_all() {
    let place = Place::new();
    let (short, long) = (place.done("topics list -h").out, place.done("topics list --help").out);
    for heading in ["Kafka:", "Kafka security:", "Schema registry:", "Global options:"] {
        assert!(long.contains(&format!("\n{heading}\n")), "{heading}");
    }
    for flag in ["--brokers", "--registry", "--data", "--config"] {
        assert!(short.contains(flag) && long.contains(flag), "{flag}");
    }
    // Where it would be refused it is not offered.
    let without = [place.done("demo --help").out, place.done("batch discount --help").out];
    assert!(
        without.iter().all(|help| !help.contains("\nKafka") && !help.contains("-b, --brokers")),
        "{without:?}"
    );
    for flag in
        ["--tls", "--sasl", "--password-file", "--property", "--properties", "--registry-ca", "--no-register"]
    {
        assert!(!short.contains(&format!("{flag} ")) && long.contains(flag), "{flag}");
    }
    assert!(short.lines().count() < 30, "{short}");
}
