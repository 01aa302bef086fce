//! Are the brokers reachable, under which addresses, and of which release?
//!
//! A client takes from `--brokers` only the first step: it asks one of them where all of them are, and goes there. An address that brokers
//! tell and that means nothing here, or something else, is the classic trap, so each of them is asked too.

use std::collections::BTreeMap;

use tidegate_runtime::log::kafka::diagnosis::{Broker, Told};

use super::finding::Finding;
use super::release::{self, OLDEST, Release};
use super::units::counted;

/// What each address has answered, or why not.
pub(super) type Asked = BTreeMap<String, Result<Told, String>>;

/// The addresses of `--brokers`.
pub(super) fn bootstrap(asked: &Asked) -> Vec<Finding> {
    let reached = asked.values().filter(|answer| answer.is_ok()).count();
    let judge = |(address, answer): (&String, &Result<Told, String>)| {
        let what = format!("address {address}");
        match answer {
            Ok(_) => Finding::ok(what, "reached"),
            Err(reason) if reached > 0 => Finding::warn(what, reason, remedy(reason)),
            Err(reason) => Finding::fail(what, reason, remedy(reason)),
        }
    };
    let mut findings: Vec<Finding> = asked.iter().map(judge).collect();
    findings.extend(cluster(asked));
    findings
}

/// One cluster answers, at all of them.
fn cluster(asked: &Asked) -> Option<Finding> {
    let mut answers = asked.iter().filter_map(|(address, answer)| Some((address, answer.as_ref().ok()?)));
    let (first, told) = answers.next()?;
    let id = told.cluster_id.as_deref().unwrap_or("without an id");
    if let Some((other, strange)) = answers.find(|(_, other)| other.cluster_id != told.cluster_id) {
        let other_id = strange.cluster_id.as_deref().unwrap_or("without an id");
        let found = format!("`{first}` belongs to `{id}` and `{other}` to `{other_id}`");
        return Some(Finding::fail("cluster", found, "name brokers of one cluster in --brokers"));
    }
    let places = told.brokers.iter().map(|broker| format!("{} at {}", broker.id, broker.address));
    let places: Vec<String> = places.collect();
    let number = i64::try_from(places.len()).unwrap_or(i64::MAX);
    let brokers = counted(number, "broker");
    Some(Finding::ok("cluster", format!("{id}, {brokers}: {}", places.join(", "))))
}

/// Every broker of the cluster, by the address it tells its clients; `wants_assignment` if it must spread the tasks of groups.
pub(super) fn advertised(
    cluster_id: Option<&str>,
    brokers: &[Broker],
    asked: &Asked,
    wants_assignment: bool,
) -> Vec<Finding> {
    let judge = |broker: &Broker| {
        let what = format!("broker {}", broker.id);
        let address = &broker.address;
        match asked.get(address) {
            None => Finding::skip(what, format!("`{address}` was not asked")),
            Some(Err(reason)) => {
                let found =
                    format!("it sends clients to `{address}`, where it is not reached from here: {reason}");
                let remedy = format!(
                    "set its `advertised.listeners` to an address that is known here, or make `{address}` lead to it"
                );
                Finding::fail(what, found, remedy)
            }
            Some(Ok(told)) if told.cluster_id.as_deref() != cluster_id => {
                let found =
                    format!("it sends clients to `{address}`, where another cluster answers from here");
                Finding::fail(
                    what,
                    found,
                    "set its `advertised.listeners` to an address that leads to it from here",
                )
            }
            Some(Ok(told)) if told.topics.is_none() => {
                let leads_on = told.brokers.iter().find(|on| on.id == broker.id && on.address != *address);
                let (found, remedy) = match leads_on {
                    Some(on) => (
                        format!(
                            "from {address}, where it is reached, it sends clients on to `{}`",
                            on.address
                        ),
                        "set its `advertised.listeners` to one address that leads to it from here",
                    ),
                    None => (
                        format!("reached at {address}, and it did not list its topics in time"),
                        "see in its log what keeps it, and ask again",
                    ),
                };
                Finding::fail(what, found, remedy)
            }
            Some(Ok(told)) => able(what, address, told, wants_assignment),
        }
    };
    brokers.iter().map(judge).collect()
}

/// Whether it understands what is asked of it.
fn able(what: String, address: &str, told: &Told, wants_assignment: bool) -> Finding {
    if told.apis.is_empty() {
        let found = format!("reached at {address}, and it did not tell what it understands");
        return Finding::warn(what, found, "see that it is Apache Kafka 3.6 or later");
    }
    let release = Release::of(&told.apis);
    let spreads = release::has_broker_assignment(&told.apis);
    let by_broker = if spreads { "--group-protocol consumer works" } else { "no --group-protocol consumer" };
    let found = format!("reached at {address}, {release} by what it understands, transactions, {by_broker}");
    if !release::has_transactions(&told.apis) {
        return Finding::fail(
            what,
            format!("{release} at {address} has no transactions"),
            "use a broker that has",
        );
    }
    if !release.reaches(OLDEST) {
        let remedy = format!("use Kafka {}.{} or later, which new topics need", OLDEST.0, OLDEST.1);
        return Finding::fail(what, format!("{release} at {address}"), remedy);
    }
    if wants_assignment && !spreads {
        return Finding::fail(what, found, "use Kafka 4.0 or later, or leave --group-protocol out");
    }
    Finding::ok(what, found)
}

/// What to do about an address that does not answer; the reasons are librdkafka's and OpenSSL's.
fn remedy(reason: &str) -> &'static str {
    let says = |word: &str| reason.to_lowercase().contains(word);
    if says("resolve") {
        "check the name, and that this machine's name server knows it"
    } else if says("connection refused") {
        "start the broker, or correct the port"
    } else if says("apiversion") || says("connecting to a") {
        "the listener expects something else than what it was given: check --tls, --sasl and the port"
    } else if says("certificate") || says("ssl") {
        "check --tls-ca, the name in the broker's certificate, and that the port is the one with TLS"
    } else if says("sasl") || says("authentication") {
        "check --sasl, --user and the password"
    } else if says("timed out") || says("unreachable") {
        "check routes and firewalls between here and there"
    } else {
        "see the broker's log"
    }
}

#[cfg(test)]
mod tests {
    use tidegate_runtime::log::kafka::diagnosis::Apis;

    use super::super::finding::Level;
    use super::*;

    /// What Kafka 4.1 answers to the requests that matter.
    fn apis() -> Apis {
        let told = [(0, 13), (1, 18), (2, 10), (11, 9), (16, 6), (22, 5), (24, 5), (28, 5), (35, 4), (68, 1)];
        told.into_iter().map(|(api, newest)| (api, (0, newest))).collect()
    }

    fn told(cluster: &str, addresses: &[&str]) -> Told {
        let brokers =
            addresses.iter().zip(1..).map(|(address, id)| Broker { id, address: (*address).to_owned() });
        let (cluster_id, brokers) = (Some(cluster.to_owned()), brokers.collect());
        Told { cluster_id, brokers, apis: apis(), topics: Some(BTreeMap::new()) }
    }

    fn asked(answers: &[(&str, Result<Told, &str>)]) -> Asked {
        let own = |(address, answer): &(&str, Result<Told, &str>)| {
            ((*address).to_owned(), answer.clone().map_err(str::to_owned))
        };
        answers.iter().map(own).collect()
    }

    fn lines(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_address_that_answers_is_enough_for_a_start() {
        let refused = "Connect to ipv4#1.2.3.4:9092 failed: Connection refused";
        let one = asked(&[("a:9092", Ok(told("x", &["a:9092"]))), ("b:9092", Err(refused))]);
        assert_eq!(
            lines(&bootstrap(&one)),
            [
                "ok    address a:9092: reached",
                "warn  address b:9092: Connect to ipv4#1.2.3.4:9092 failed: Connection refused; start the broker, or correct the port",
                "ok    cluster: x, 1 broker: 1 at a:9092",
            ]
        );
        let none = asked(&[("b:9092", Err(refused))]);
        assert_eq!(bootstrap(&none).iter().map(|one| one.level).collect::<Vec<_>>(), [Level::Fail]);
    }

    #[test]
    fn addresses_of_two_clusters_are_a_mistake() {
        let two = asked(&[("a:1", Ok(told("x", &["a:1"]))), ("b:1", Ok(told("y", &["b:1"])))]);
        let cluster = bootstrap(&two).pop().unwrap();
        assert_eq!(
            (cluster.level, cluster.found.as_str()),
            (Level::Fail, "`a:1` belongs to `x` and `b:1` to `y`")
        );
    }

    fn advertised_by(answer: Result<Told, &str>, wants_assignment: bool) -> Finding {
        let asked = asked(&[("kafka:9092", answer)]);
        let brokers = told("x", &["kafka:9092"]).brokers;
        advertised(Some("x"), &brokers, &asked, wants_assignment).pop().unwrap()
    }

    #[test]
    fn an_advertised_address_must_lead_to_its_broker() {
        let good = advertised_by(Ok(told("x", &[])), true);
        assert_eq!(
            good.to_string(),
            "ok    broker 1: reached at kafka:9092, Kafka 4.1 by what it understands, transactions, --group-protocol consumer works"
        );
        let unknown = advertised_by(Err("Failed to resolve 'kafka:9092': Name or service not known"), false);
        assert!(unknown.level == Level::Fail && unknown.remedy.unwrap().contains("`advertised.listeners`"));
        let other = advertised_by(Ok(told("y", &[])), false);
        assert!(other.level == Level::Fail && other.found.contains("another cluster"), "{other}");
        let silent = advertised_by(Ok(Told { topics: None, ..told("x", &[]) }), false);
        assert!(silent.level == Level::Fail && silent.found.contains("did not list its topics"), "{silent}");
        let on = advertised_by(Ok(Told { topics: None, ..told("x", &["b:2"]) }), false);
        assert!(on.level == Level::Fail && on.found.contains("sends clients on to `b:2`"), "{on}");
        let missing = advertised(Some("x"), &told("x", &["kafka:9092"]).brokers, &Asked::new(), false);
        assert_eq!(missing[0].level, Level::Skip);
    }

    #[test]
    fn a_broker_must_understand_what_is_asked_of_it() {
        let without = |gone: &[i16], changed: &[(i16, i16)]| {
            let mut told = told("x", &[]);
            told.apis.retain(|api, _| !gone.contains(api));
            told.apis.extend(changed.iter().map(|(api, newest)| (*api, (0, *newest))));
            told
        };
        let old = advertised_by(Ok(without(&[68], &[(1, 15), (24, 3)])), false);
        assert!(old.level == Level::Fail && old.found.contains("Kafka 3.5"), "{old}");
        let no_transactions = advertised_by(Ok(without(&[22], &[])), false);
        assert!(no_transactions.level == Level::Fail && no_transactions.found.contains("no transactions"));
        let classic = without(&[68], &[]);
        assert_eq!(advertised_by(Ok(classic.clone()), false).level, Level::Ok);
        assert_eq!(advertised_by(Ok(classic), true).level, Level::Fail);
        let mute = Told { apis: Apis::new(), ..told("x", &[]) };
        assert_eq!(advertised_by(Ok(mute), false).level, Level::Warn);
    }

    #[test]
    fn every_kind_of_reason_has_its_remedy() {
        for (reason, words) in [
            ("Failed to resolve 'kafka:9092': Name or service not known", "name server"),
            ("Connect to ipv4#127.0.0.1:1 failed: Connection refused", "start the broker"),
            ("Connection setup timed out in state CONNECT", "firewalls"),
            ("Local: Timed out", "firewalls"),
            (
                "Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol configuration \
                 (connecting to a SSL listener?) or broker version is < 0.10",
                "check --tls",
            ),
            ("SSL handshake failed: error:0A000086: certificate verify failed", "--tls-ca"),
            (
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                "check --tls, --sasl",
            ),
            (
                "SASL authentication error: Authentication failed: Invalid username or password",
                "the password",
            ),
            ("something new", "broker's log"),
        ] {
            assert!(remedy(reason).contains(words), "{reason}: {}", remedy(reason));
        }
    }
}
