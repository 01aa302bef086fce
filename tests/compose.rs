//! `docker-compose.kafka.yml` and `scripts/kafka` run the same broker and the same registry: the same versions, and every setting the
//! same, but for those listed here with a reason. No container engine runs where this is developed, so that the script is what
//! gets tested and this comparison is what carries it over; a setting changed on one side alone breaks it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should end")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// Settings that must differ: the key, what the compose file says instead (nothing: it says nothing) and the reason.
const BROKER_DIFFERENCES: [(&str, Option<&str>); 2] = [
    // Docker publishes a port to the container's own address, so that the broker cannot listen on its loopback alone.
    ("listeners", Some("PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093")),
    // The volume is mounted where the image expects it.
    ("log.dirs", Some("/var/lib/kafka/data")),
];

const REGISTRY_DIFFERENCES: [(&str, Option<&str>); 5] = [
    // The volume's place.
    ("apicurio.datasource.url", Some("jdbc:h2:file:/var/lib/registry/schemas;WRITE_DELAY=0")),
    // The image listens on port 8080 of every address of its container, and the compose file publishes that as 8081.
    ("quarkus.http.host", None),
    ("quarkus.http.port", None),
    // In a container the management port is its own and is in nobody's way.
    ("quarkus.management.host", None),
    ("quarkus.management.port", None),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    #[allow(dead_code, reason = "named so that any other key is refused")]
    name: String,
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<()>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    image: String,
    #[allow(dead_code, reason = "named so that any other key is refused")]
    user: Option<String>,
    ports: Vec<String>,
    environment: BTreeMap<String, String>,
    volumes: Vec<String>,
    healthcheck: HealthCheck,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthCheck {
    test: Vec<String>,
    #[allow(dead_code, reason = "named so that any other key is refused")]
    interval: String,
    #[allow(dead_code, reason = "named so that any other key is refused")]
    timeout: String,
    retries: u32,
    #[allow(dead_code, reason = "named so that any other key is refused")]
    start_period: String,
}

type Settings = BTreeMap<String, String>;

fn compose() -> Compose {
    let text = fs::read_to_string(root().join("docker-compose.kafka.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `scripts/kafka settings SECTION` prints for an instance that nobody has made yet: the defaults.
fn script(section: &str) -> Settings {
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("scripts/kafka"))
        .args(["settings", section, "--dir"])
        .arg(scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut settings = Settings::new();
    for line in lines {
        let (key, value) = line.split_once('=').unwrap();
        assert!(settings.insert(key.to_owned(), value.to_owned()).is_none(), "`{key}` is set twice");
    }
    settings
}

/// The name under which Kafka's image takes a setting.
fn broker_variable(key: &str) -> String {
    let name: String = key
        .chars()
        .map(|letter| match letter {
            '.' => "_".to_owned(),
            '_' => "__".to_owned(),
            '-' => "___".to_owned(),
            other => other.to_uppercase().to_string(),
        })
        .collect();
    format!("KAFKA_{name}")
}

/// The name under which the registry (as every MicroProfile application) takes a setting.
fn registry_variable(key: &str) -> String {
    key.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect()
}

/// What the compose file should say, given the script's settings and the differences that have a reason.
fn expected(
    script: Settings,
    differences: &[(&str, Option<&str>)],
    variable: fn(&str) -> String,
) -> Settings {
    let mut settings = script;
    for (key, instead) in differences {
        let said = settings
            .remove(*key)
            .unwrap_or_else(|| panic!("the script does not set `{key}`, so it needs no exception"));
        if let Some(value) = instead {
            assert_ne!(&said, value, "`{key}` is the same on both sides and needs no exception");
            settings.insert((*key).to_owned(), (*value).to_owned());
        }
    }
    settings.into_iter().map(|(key, value)| (variable(&key), value)).collect()
}

/// Compares both ways and names every difference at once.
fn assert_same(service: &str, compose: &Settings, script: &Settings) {
    let mut differences = Vec::new();
    for (name, value) in script {
        match compose.get(name) {
            None => differences.push(format!("`{name}` stands in the script alone (`{value}`)")),
            Some(other) if other != value => {
                differences.push(format!("`{name}` is `{other}`, in the script `{value}`"))
            }
            Some(_) => {}
        }
    }
    for name in compose.keys().filter(|name| !script.contains_key(*name)) {
        differences.push(format!("`{name}` stands in the compose file alone"));
    }
    assert!(differences.is_empty(), "service `{service}`:\n{}", differences.join("\n"));
}

#[test]
fn the_broker_is_set_alike() {
    let wanted = expected(script("broker"), &BROKER_DIFFERENCES, broker_variable);
    assert!(wanted.len() > 20, "the script has more settings than that");
    assert_same("broker", &compose().services["broker"].environment, &wanted);
}

#[test]
fn the_registry_is_set_alike() {
    let wanted = expected(script("registry"), &REGISTRY_DIFFERENCES, registry_variable);
    assert!(!wanted.is_empty());
    assert_same("registry", &compose().services["registry"].environment, &wanted);
}

#[test]
fn the_images_are_of_the_versions_that_the_script_fetches() {
    let versions = script("versions");
    let services = compose().services;
    let images: Vec<_> =
        services.iter().map(|(name, service)| (name.as_str(), service.image.as_str())).collect();
    let kafka = format!("apache/kafka:{}", versions["kafka"]);
    let registry = format!("apicurio/apicurio-registry:{}", versions["registry"]);
    assert_eq!(
        images,
        [("broker", kafka.as_str()), ("registry", registry.as_str())],
        "one broker, one registry, nothing else"
    );
}

#[test]
fn each_service_is_checked_keeps_its_data_and_is_reached_from_this_machine_alone() {
    let compose = compose();
    let places = [
        ("broker", "127.0.0.1:9092:9092", "/var/lib/kafka/data"),
        ("registry", "127.0.0.1:8081:8080", "/var/lib/registry"),
    ];
    for (name, port, folder) in places {
        let service = &compose.services[name];
        assert_eq!(service.ports, [port]);
        assert_eq!(service.volumes, [format!("{name}:{folder}")]);
        assert!(
            service.environment.values().any(|value| value.contains(folder)),
            "`{name}` does not write into its volume"
        );
        assert_eq!(service.healthcheck.test[0], "CMD");
        assert!(service.healthcheck.retries > 0);
    }
    assert_eq!(compose.volumes.keys().collect::<Vec<_>>(), ["broker", "registry"]);
}

#[test]
fn names_become_variables_by_the_rules_of_each_image() {
    assert_eq!(broker_variable("a.b_c-d.ms"), "KAFKA_A_B__C___D_MS");
    assert_eq!(registry_variable("quarkus.http.access-log.enabled"), "QUARKUS_HTTP_ACCESS_LOG_ENABLED");
}
