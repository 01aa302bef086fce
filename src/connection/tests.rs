//! A cluster from flags, variables and files: what comes of it, what is refused, and that no secret is shown.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory as _;

use super::*;
use crate::cli::Cli;
use crate::config;

/// A secret that no message may show.
const SECRET: &str = "hunter2";

/// What these words, variables and files come to; `FILE` in a word is the file with `text` in it.
struct Try<'t> {
    words: &'t str,
    variables: &'t [(&'t str, &'t str)],
    text: &'t str,
}

fn outcome(given: &Try<'_>) -> (Result<Where>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    write_private(&file, given.text);
    let words = format!("tidegate {} topics list", given.words.replace("FILE", file.to_str().unwrap()));
    let arguments = words.split_whitespace().map(OsString::from).collect();
    let variables = |name: &str| {
        given.variables.iter().find(|(found, _)| *found == name).map(|(_, value)| OsString::from(value))
    };
    let mut warnings = Vec::new();
    let chosen = config::complete(Cli::command(), arguments, &variables).and_then(|completed| {
        let matches = Cli::command().get_matches_from(&completed.arguments);
        let args = <KafkaArgs as clap::FromArgMatches>::from_arg_matches(&matches)?;
        assert!(!format!("{args:?} {:?}", completed.given).contains(SECRET), "shown by Debug");
        choose(&args, &completed.given, Need::Brokers, &mut warnings)
    });
    (chosen, warnings)
}

fn write_private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn kafka(words: &str, variables: &[(&str, &str)], text: &str) -> Connection {
    match outcome(&Try { words, variables, text }).0 {
        Ok(Where::Kafka(connection)) => {
            assert!(!format!("{connection:?}").contains(SECRET), "shown by Debug");
            connection
        }
        other => panic!("`{words}`: {other:?}"),
    }
}

fn refused(words: &str, variables: &[(&str, &str)], text: &str) -> String {
    let error = outcome(&Try { words, variables, text }).0.unwrap_err();
    let said = format!("{error:#}");
    assert!(!said.contains(SECRET), "`{words}`: {said}");
    said
}

fn properties(connection: &Connection) -> Vec<(&str, &str)> {
    connection.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn brokers_choose_the_cluster_from_wherever_they_are_named() {
    assert_eq!(kafka("-b one:9092,two:9093", &[], "").brokers, "one:9092,two:9093");
    assert_eq!(kafka("", &[("TIDEGATE_BROKERS", "one")], "").brokers, "one");
    assert_eq!(kafka("--config FILE", &[], "[kafka]\nbrokers = 'one:1'").brokers, "one:1");
    assert_eq!(kafka("-X bootstrap.servers=one:1", &[], "").brokers, "one:1");
    assert_eq!(kafka("--properties FILE", &[], "bootstrap.servers=one:1").brokers, "one:1");
    assert_eq!(
        kafka("-b two:2 --properties FILE", &[], "bootstrap.servers=one:1").brokers,
        "two:2",
        "a flag wins"
    );
    assert_eq!(kafka("-b [::1]:9092", &[], "").brokers, "[::1]:9092");
    let embedded = outcome(&Try {
        words: "--brokers=",
        variables: &[("TIDEGATE_BROKERS", "one"), ("TIDEGATE_TLS", "1")],
        text: "",
    });
    assert!(matches!(embedded.0, Ok(Where::Embedded)), "an empty word takes it back");
    assert!(matches!(outcome(&Try { words: "", variables: &[], text: "" }).0, Ok(Where::Embedded)));
}

#[test]
fn who_says_anything_of_a_cluster_and_names_none_is_not_put_on_the_embedded_log() {
    for (words, said) in [
        ("--tls", "`--tls` is about a Kafka cluster, and none is named; give --brokers"),
        ("--registry http://one", "`--registry`"),
        ("-X linger.ms=5", "`-X linger.ms`"),
        ("--properties FILE", "`linger.ms`"),
        ("--brokers= --tls", "`--brokers ''` asks for the embedded log"),
        ("-b one:port", "`one:port` is no broker"),
        ("-b one:1,", "`` is no broker"),
        ("-b one:0", "`one:0` is no broker"),
    ] {
        let refused = refused(words, &[], "linger.ms=5");
        assert!(refused.contains(said), "`{words}`: {refused}");
    }
    let from_elsewhere = refused("", &[("TIDEGATE_REGISTRY", "http://one")], "");
    assert!(from_elsewhere.contains("`--registry` (the variable `TIDEGATE_REGISTRY`)"), "{from_elsewhere}");
}

#[test]
fn flags_become_librdkafkas_properties() {
    let connection = kafka(
        "-b one --tls --tls-ca FILE --sasl scram-sha-512 --user me",
        &[("TIDEGATE_PASSWORD", SECRET)],
        "pem",
    );
    let found = properties(&connection);
    let ca = connection.properties["ssl.ca.location"].as_str();
    assert_eq!(
        found,
        [
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.password", SECRET),
            ("sasl.username", "me"),
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", ca),
        ]
    );
    assert_eq!(properties(&kafka("-b one --tls", &[], "")), [("security.protocol", "SSL")]);
    assert_eq!(
        kafka("-b one --tls-cert FILE --tls-key FILE", &[], "pem").properties["security.protocol"],
        "SSL"
    );
    assert_eq!(
        properties(&kafka("-b one", &[("TIDEGATE_PASSWORD", SECRET)], "")),
        [],
        "a password for others"
    );
    let by_file = kafka("-b one --sasl plain --user me --password-file FILE", &[], "hunter2\nmore");
    assert_eq!(by_file.properties["sasl.password"], SECRET);
    assert_eq!(by_file.properties["security.protocol"], "SASL_PLAINTEXT");
}

#[test]
fn every_property_comes_from_its_greatest_source() {
    let file = "[kafka]\nbrokers = 'one'\n[kafka.properties]\n'linger.ms' = 1\n'batch.size' = 1000\n'client.rack' = 'file'";
    let variables = [("TIDEGATE_PROPERTY", "linger.ms=2\nbatch.size=2000")];
    let connection = kafka("--config FILE -X linger.ms=3", &variables, file);
    assert_eq!(
        properties(&connection),
        [("batch.size", "2000"), ("client.rack", "file"), ("linger.ms", "3")]
    );
    let by_file = kafka(
        "-b one --properties FILE",
        &variables,
        "# a comment\n\n! another\n linger.ms = 7 \nclient.rack=a=b",
    );
    assert_eq!(properties(&by_file), [("batch.size", "2000"), ("client.rack", "a=b"), ("linger.ms", "2")]);
}

#[test]
fn contradictions_are_refused_and_both_sides_are_named() {
    for (words, text, both) in [
        ("--tls -X security.protocol=plaintext", "", ["`--tls`", "`-X security.protocol`"]),
        ("--tls -X security.protocol=sasl_plaintext", "", ["`--tls`", "`-X security.protocol`"]),
        ("--tls-ca FILE -X ssl.ca.location=/other", "", ["`--tls-ca`", "`-X ssl.ca.location`"]),
        ("--sasl plain -X sasl.mechanism=SCRAM-SHA-256", "", ["`--sasl`", "`-X sasl.mechanisms`"]),
        ("--sasl plain -X security.protocol=ssl", "", ["`--sasl`", "`-X security.protocol`"]),
        ("-X linger.ms=1 -X linger.ms=2", "", ["`-X linger.ms`", "contradict"]),
        ("-X metadata.broker.list=two", "", ["`--brokers`", "`-X bootstrap.servers`"]),
        // Encryption is never taken away or passed over, whichever place counts more.
        ("--tls --properties FILE", "security.protocol=PLAINTEXT", ["`--tls`", "`security.protocol` (`"]),
        ("--properties FILE", "linger.ms=1\nlinger.ms=2", ["line 1", "line 2"]),
    ] {
        let refused = refused(&format!("-b one {words}"), &[("TIDEGATE_PASSWORD", SECRET)], text);
        assert!(both.iter().all(|side| refused.contains(side)), "`{words}`: {refused}");
    }
    let same = kafka(
        "-b one --sasl plain --user me -X sasl.mechanism=plain --properties FILE",
        &[("TIDEGATE_PASSWORD", SECRET)],
        "security.protocol=sasl_ssl",
    );
    assert_eq!(same.properties["security.protocol"], "sasl_ssl", "a file that asks for TLS is heard");
    let twice = refused(
        "-b one --sasl plain --user me",
        &[("TIDEGATE_PASSWORD", SECRET), ("TIDEGATE_PASSWORD_FILE", "FILE")],
        "",
    );
    assert!(twice.contains("two passwords"), "{twice}");
    let lower = kafka(
        "-b one --sasl plain --user me --password-file FILE",
        &[("TIDEGATE_PASSWORD", SECRET)],
        "typed",
    );
    assert_eq!(lower.properties["sasl.password"], "typed", "the flag counts more than the variable");
}

#[test]
fn a_secret_on_the_command_line_is_refused_with_the_remedy() {
    for name in [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.jaas.config",
    ] {
        let refused = refused(&format!("-b one -X {name}={SECRET}"), &[], "");
        assert!(
            refused.contains(&format!("`{name}` is a secret")) && refused.contains("--properties"),
            "{refused}"
        );
    }
    let by_variable = kafka("-b one", &[("TIDEGATE_PROPERTY", "ssl.key.password=hunter2")], "");
    assert_eq!(properties(&by_variable), [("ssl.key.password", SECRET)]);
    for words in ["-b one -X hunter2", "-b one -X =hunter2", "-b one --registry http://me:hunter2@one"] {
        refused(words, &[], "");
    }
}

#[test]
fn a_login_needs_a_name_a_password_and_a_mechanism() {
    let password = [("TIDEGATE_PASSWORD", SECRET)];
    for (words, variables, said) in [
        ("--sasl plain", &password[..], "give --user NAME"),
        ("--sasl plain --user me", &[][..], "`TIDEGATE_PASSWORD` or with --password-file"),
        ("--user me", &password, "`--user` is for logging in"),
        ("--password-file FILE", &[], "has no password in its first line"),
        ("--sasl plain --user me --password-file FILE", &[], "has no password in its first line"),
        ("--registry http://one --registry-user me", &[], "`TIDEGATE_REGISTRY_PASSWORD`"),
        ("--registry http://one --registry-password-file FILE", &[], "has no password in its first line"),
        ("--no-register", &[], "`--no-register` is about a schema registry"),
        ("--tls-ca nowhere.pem", &[], "`nowhere.pem`"),
        ("--properties nowhere", &[], "`nowhere`"),
    ] {
        let refused = refused(&format!("-b one {words}"), variables, "");
        assert!(refused.contains(said), "`{words}`: {refused}");
    }
}

#[test]
fn a_line_that_librdkafka_does_not_know_is_named() {
    for (text, said) in [
        ("linger.ms=5\nlinger=hunter2", "line 2: property `linger` is unknown"),
        ("ssl.truststore.location=/x", "line 1: property `ssl.truststore.location` is unknown; Java"),
        ("\n\nlinger.ms hunter2", "line 3: a property is written `key=value`"),
        ("linger.ms=hunter2", "line 1: the value of property `linger.ms` does not fit"),
        ("isolation.level=read_uncommitted", "line 1: property `isolation.level` cannot be set"),
    ] {
        let refused = refused("-b one --properties FILE", &[], text);
        assert!(refused.contains(said), "{refused}");
    }
    let in_config = refused("--config FILE", &[], "kafka.brokers = 'one'\n[kafka.properties]\nlinger = 5");
    assert!(in_config.contains("line 3: property `linger` is unknown"), "{in_config}");
    assert!(refused("-b one -X linger=5", &[], "").contains("property `linger` is unknown"));
    assert!(
        refused("-b one", &[("TIDEGATE_PROPERTY", "linger=5")], "")
            .contains("`TIDEGATE_PROPERTY`: property `linger`")
    );
}

#[test]
fn the_registry_is_named_like_the_cluster() {
    let file = format!(
        "[kafka]\nbrokers = 'one'\nregistry = ['https://a', 'https://b']\nregistry-user = 'me'\nregistry-password = '{SECRET}'\nno-register = true"
    );
    let registry = kafka("--config FILE", &[], &file).registry;
    assert_eq!(registry.urls, ["https://a", "https://b"]);
    assert_eq!(registry.user, Some(("me".to_owned(), SECRET.to_owned())));
    assert!(registry.lookup_only && registry.ca.is_none());
    let variables = [("TIDEGATE_REGISTRY_PASSWORD", "other")];
    assert_eq!(kafka("--config FILE", &variables, &file).registry.user.unwrap().1, "other");
}

#[test]
fn what_is_better_not_done_is_warned_of() {
    let warned = |words, variables| outcome(&Try { words, variables, text: "" }).1;
    let password = [("TIDEGATE_PASSWORD", SECRET), ("TIDEGATE_REGISTRY_PASSWORD", SECRET)];
    let plain = warned("-b one --sasl plain --user me", &password);
    assert!(plain.len() == 1 && plain[0].contains("in clear"), "{plain:?}");
    assert!(warned("-b one --sasl plain --user me --tls", &password).is_empty());
    assert!(warned("-b one --sasl scram-sha-256 --user me", &password).is_empty());
    assert_eq!(warned("-b one --registry http://one --registry-user me", &password).len(), 1);
}
