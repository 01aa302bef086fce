//! Is the schema registry reachable, and how do our schemas stand to it?

use tidegate_runtime::log::Standing;
use tidegate_runtime::log::kafka::diagnosis::RegistryTold;

use super::finding::{Finding, Verdict};

/// Each address of `--registry`, with what it answered.
pub(super) fn judge(told: &[(String, Result<RegistryTold, String>)]) -> Vec<Finding> {
    if told.is_empty() {
        let remedy = "give --registry URL, or set TIDEGATE_REGISTRY";
        return vec![Finding::fail("registry", "none is named, and no value can be read without", remedy)];
    }
    let is_one_reached = told.iter().any(|(_, answer)| answer.is_ok());
    let judge = |(address, answer): &(String, Result<RegistryTold, String>)| {
        let verdict = match answer {
            Ok(told) => rule(told),
            Err(reason) if is_one_reached => Verdict::warn(reason, remedy(reason)),
            Err(reason) => Verdict::fail(reason, remedy(reason)),
        };
        verdict.about(format!("registry {address}"))
    };
    told.iter().map(judge).collect()
}

/// We compare a new schema with every older version ourselves, whatever the rule; others may not.
fn rule(told: &RegistryTold) -> Verdict {
    let RegistryTold { version, compatibility, .. } = told;
    let version = version.as_deref().unwrap_or("of a kind that does not tell its release");
    let found = format!("reached, {version}, compatibility {compatibility}");
    if compatibility.contains("BACKWARD") || compatibility.contains("FULL") {
        return Verdict::ok(found);
    }
    let then = match compatibility.starts_with("FORWARD") {
        true => "it may refuse a schema that can read all older records",
        false => "other clients may register a schema that cannot read older records",
    };
    Verdict::warn(format!("{found}: {then}"), "set it to BACKWARD_TRANSITIVE")
}

fn remedy(reason: &str) -> &'static str {
    let says = |word: &str| reason.to_lowercase().contains(word);
    if says("does not let us in") {
        "check --registry-user, its password, and what it may do"
    } else if says("no `/config`") || says("no schema registry") {
        "check the path of --registry: some have theirs behind `/apis/ccompat/v7`"
    } else if says("dns") || says("lookup") || says("resolve") {
        "check the name, and that this machine's name server knows it"
    } else if says("certificate") || says("tls") || says("ssl") {
        "check `http` or `https`, --registry-ca, and the name in its certificate"
    } else if says("refused") {
        "start it, or correct the port"
    } else {
        "check its address, and routes and firewalls between here and there"
    }
}

/// The schema of one topic's values; `may_register` is false under `--no-register`.
pub(super) fn schema(subject: &str, standing: &Result<Standing, String>, may_register: bool) -> Finding {
    let what = format!("schema {subject}");
    let register = "`tidegate schemas register` does it";
    match standing {
        Ok(Standing::Registered(id)) => Finding::ok(what, format!("registered under id {id}")),
        Ok(Standing::Overtaken(_, why)) => Finding::fail(
            what,
            why,
            "use a program that knows that version, or register one after it that this program can read",
        ),
        Ok(Standing::Compatible | Standing::Missing) if !may_register => Finding::fail(
            what,
            "not registered, and --no-register keeps this program from doing it",
            register,
        ),
        Ok(Standing::Compatible) => {
            Finding::ok(what, "to be registered as its next version by the first command that writes")
        }
        Ok(Standing::Missing) => Finding::ok(what, "to be registered by the first command that writes"),
        Ok(Standing::Incompatible(why)) => {
            Finding::fail(what, why, "use the program that registered it, or another topic's name")
        }
        Err(reason) => Finding::skip(what, format!("could not be compared: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tidegate_runtime::log::SchemaId;

    use super::super::finding::Level;
    use super::*;

    fn told(compatibility: &str) -> RegistryTold {
        let now = SystemTime::UNIX_EPOCH;
        let version = Some("Confluent 8.0.0".to_owned());
        RegistryTold { version, compatibility: compatibility.to_owned(), date: None, asked: (now, now) }
    }

    fn judged(answers: &[Result<RegistryTold, &str>]) -> Vec<Finding> {
        let named =
            answers.iter().map(|answer| ("http://r".to_owned(), answer.clone().map_err(str::to_owned)));
        judge(&named.collect::<Vec<_>>())
    }

    #[test]
    fn a_rule_that_lets_unreadable_schemas_in_is_told() {
        for (rule, level, words) in [
            ("BACKWARD_TRANSITIVE", Level::Ok, "reached, Confluent 8.0.0, compatibility BACKWARD_TRANSITIVE"),
            ("BACKWARD", Level::Ok, "BACKWARD"),
            ("FULL", Level::Ok, "FULL"),
            ("NONE", Level::Warn, "other clients"),
            ("FORWARD", Level::Warn, "it may refuse"),
            ("FORWARD_TRANSITIVE", Level::Warn, "it may refuse"),
        ] {
            let found = judged(&[Ok(told(rule))]).remove(0);
            assert_eq!(found.level, level, "{found}");
            assert!(found.found.contains(words), "{found}");
        }
    }

    #[test]
    fn one_address_that_answers_is_enough() {
        let levels = |found: Vec<Finding>| found.iter().map(|one| one.level).collect::<Vec<_>>();
        assert_eq!(levels(judged(&[])), [Level::Fail]);
        assert_eq!(levels(judged(&[Err("tcp connect error: Connection refused")])), [Level::Fail]);
        assert_eq!(levels(judged(&[Err("operation timed out"), Ok(told("FULL"))])), [Level::Warn, Level::Ok]);
    }

    #[test]
    fn every_kind_of_reason_has_its_remedy() {
        for (reason, words) in [
            ("it does not let us in (401 Unauthorized)", "--registry-user"),
            ("it knows no `/config` there (404 Not Found)", "/apis/ccompat/v7"),
            ("dns error: failed to lookup address information", "name server"),
            ("certificate verify failed", "--registry-ca"),
            ("tcp connect error: Connection refused (os error 111)", "start it"),
            ("operation timed out", "firewalls"),
        ] {
            assert!(remedy(reason).contains(words), "{reason}");
        }
    }

    #[test]
    fn schemas_are_judged_by_what_may_be_done_about_them() {
        for (standing, may_register, level) in [
            (Ok(Standing::Registered(SchemaId(3))), false, Level::Ok),
            (Ok(Standing::Overtaken(SchemaId(3), "`x` cannot read it".to_owned())), true, Level::Fail),
            (Ok(Standing::Missing), true, Level::Ok),
            (Ok(Standing::Missing), false, Level::Fail),
            (Ok(Standing::Compatible), true, Level::Ok),
            (Ok(Standing::Compatible), false, Level::Fail),
            (Ok(Standing::Incompatible("`x` cannot read it".to_owned())), true, Level::Fail),
            (Err("it answers 500".to_owned()), true, Level::Skip),
        ] {
            let found = schema("readings-value", &standing, may_register);
            assert_eq!(found.level, level, "{found}");
        }
        let known = schema("readings-value", &Ok(Standing::Registered(SchemaId(3))), true);
        assert_eq!(known.to_string(), "ok    schema readings-value: registered under id 3");
    }
}
