use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::server::{Asked, Latch, Reply, Server};
use super::*;
use crate::log::{SchemaId, SchemaRegistry, Standing};

const A: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}"#;
const B: &str = r#"{"type": "record", "name": "R", "fields": [{"name": "b", "type": "string"}]}"#;
const A_AND_C: &str = r#"{"type": "record", "name": "R", "fields":
    [{"name": "a", "type": "int"}, {"name": "c", "type": "int", "default": 7}]}"#;
/// A, with its attributes in another order.
const A_TURNED: &str = r#"{"name":"R","fields":[{"type":"int","name":"a"}],"type":"record"}"#;

const LOOK_UP: &str = "POST /subjects/t-value?deleted=false";
const ADD: &str = "POST /subjects/t-value/versions";
const ACCEPTS: &str = "POST /compatibility/subjects/t-value/versions";

/// A registry that recognises nothing, compares nothing, and has these versions of every subject.
fn simple(asked: &Asked, versions: &[&str]) -> (u16, String) {
    match asked.line.as_str() {
        LOOK_UP => error(404, 40403, "Schema not found"),
        ADD => (200, r#"{"id": 12}"#.to_owned()),
        ACCEPTS => (200, r#"{"is_compatible": true}"#.to_owned()),
        "GET /subjects/t-value/versions" if versions.is_empty() => error(404, 40401, "Subject not found"),
        "GET /subjects/t-value/versions" => (200, format!("{:?}", (1..=versions.len()).collect::<Vec<_>>())),
        line => {
            let number: usize =
                line.strip_prefix("GET /subjects/t-value/versions/").unwrap().parse().unwrap();
            let schema = versions[number - 1];
            (200, serde_json::json!({ "version": number, "id": number, "schema": schema }).to_string())
        }
    }
}

fn with_versions(versions: &'static [&str]) -> Server {
    Server::start(move |asked| simple(asked, versions))
}

/// With another answer to one of the questions.
fn but(line: &'static str, reply: (u16, String), versions: &'static [&str]) -> Server {
    let answer = move |asked: &Asked| -> Reply {
        if asked.line == line { reply.clone() } else { simple(asked, versions) }
    };
    Server::start(answer)
}

#[test]
fn a_registered_schema_is_looked_up_once_and_not_registered() {
    let server = but(LOOK_UP, holding(A), &[]);
    let registry = registry(&server.url);
    for schema in [A, A, A_TURNED] {
        assert_eq!(registry.register("t-value", schema).unwrap(), SchemaId(7));
    }
    assert_eq!(server.lines(), [LOOK_UP]);
    assert!(registry.schema(SchemaId(7)).unwrap().is_some(), "what is written next is read next");
    assert_eq!(server.lines(), [LOOK_UP]);
}

#[test]
fn a_new_schema_is_registered_in_one_spelling() {
    let server = with_versions(&[A]);
    assert_eq!(registry(&server.url).register("t-value", A_AND_C).unwrap(), SchemaId(12));
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.line, ADD);
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let spaces = A_AND_C.replace(char::is_whitespace, "");
    assert_eq!(body["schema"], *spaces);
    assert_eq!(body["schemaType"], "AVRO");
}

#[test]
fn a_version_the_registry_does_not_recognise_is_found_all_the_same() {
    let server = with_versions(&[A_AND_C, A_TURNED]);
    assert_eq!(registry(&server.url).register("t-value", A).unwrap(), SchemaId(2));
    assert!(!server.lines().contains(&ADD.to_owned()));
}

#[test]
fn what_cannot_read_an_older_version_is_refused_before_the_registry_is_told() {
    let server = with_versions(&[B, A]);
    let refusal = refused(registry(&server.url).register("t-value", A_AND_C));
    assert!(refusal.contains("the new schema of `t-value` cannot read version 1: "), "{refusal}");
    assert!(!server.lines().contains(&ADD.to_owned()));
}

#[test]
fn the_registrys_own_refusal_is_passed_on() {
    let reply = error(409, 409, "Incompatible artifact: t-value [AVRO]\n diff types: [b at /fields/0]");
    let server = but(ADD, reply, &[]);
    let refusal = refused(registry(&server.url).register("t-value", B));
    assert!(refusal.contains("the schema of `t-value`"), "{refusal}");
    assert!(
        refusal.contains("Incompatible artifact: t-value [AVRO] diff types: [b at /fields/0]"),
        "{refusal}"
    );
}

#[test]
fn what_is_no_schema_is_refused_without_asking() {
    let server = with_versions(&[]);
    let registry = registry(&server.url);
    for wrong in ["no json", r#"{"type": "no such type"}"#] {
        for refusal in
            [refused(registry.register("t-value", wrong)), refused(registry.check("t-value", wrong))]
        {
            assert!(refusal.contains("the schema of `t-value` is no Avro schema"), "{refusal}");
        }
    }
    assert!(!server.lines().contains(&ADD.to_owned()));
}

#[test]
fn whoever_may_only_look_up_registers_nothing() {
    let only = |url: &str| {
        let connection = RegistryConnection { lookup_only: true, ..at(&[url]) };
        ConfluentRegistry::with(&connection, patience()).unwrap()
    };
    let server = with_versions(&[A]);
    let refusal = refused(only(&server.url).register("t-value", A_AND_C));
    assert!(refusal.contains("the schema of `t-value` is not registered"), "{refusal}");
    assert!(refusal.contains("run `tidegate schemas register`"), "{refusal}");
    assert!(!server.lines().contains(&ADD.to_owned()));
    assert_eq!(only(&server.url).register("t-value", A).unwrap(), SchemaId(1));
}

#[test]
fn a_start_waits_out_a_passing_fault() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => error(503, 50301, "starting"),
        _ => holding(A),
    });
    assert_eq!(registry(&server.url).register("t-value", A).unwrap(), SchemaId(7));
}

#[test]
fn a_start_does_not_wait_for_ever() {
    let down = Server::start(|_| error(503, 50301, "starting"));
    // A pause longer than what is left: the first fault is the last.
    let slow = Patience { first_pause: DEADLINE, ..patience() };
    let registry = ConfluentRegistry::with(&at(&[&down.url]), slow).unwrap();
    assert_transient(registry.register("t-value", A), "503 Service Unavailable: starting");
    let never = Latch::default();
    let mute = Server::start(move |_| {
        never.wait();
        holding(A)
    });
    let hasty = Patience { start: Duration::from_millis(50), ..patience() };
    let registry = ConfluentRegistry::with(&at(&[&mute.url]), hasty).unwrap();
    assert_transient(registry.subjects(), "no answer within 50ms");
}

#[test]
fn a_check_says_how_a_schema_stands_and_adds_nothing() {
    let standing = |server: &Server, schema| registry(&server.url).check("t-value", schema).unwrap();
    let known = but(LOOK_UP, holding(A), &[]);
    assert_eq!(standing(&known, A), Standing::Registered(SchemaId(7)));
    let turned = with_versions(&[A_TURNED]);
    assert_eq!(standing(&turned, A), Standing::Registered(SchemaId(1)));
    assert_eq!(standing(&turned, A_AND_C), Standing::Compatible);
    assert_eq!(standing(&with_versions(&[]), A), Standing::Missing);
    let Standing::Incompatible(why) = standing(&turned, B) else { panic!() };
    assert!(why.contains("cannot read version 1"), "{why}");
    let stricter = but(ACCEPTS, (200, r#"{"is_compatible": false}"#.to_owned()), &[A]);
    let Standing::Incompatible(why) = standing(&stricter, A_AND_C) else { panic!() };
    assert!(why.contains("the schema registry's own rule refuses the new schema of `t-value`"), "{why}");
    for older in [(404, "nothing here".to_owned()), (405, "not so".to_owned())] {
        assert_eq!(standing(&but(ACCEPTS, older, &[A]), A_AND_C), Standing::Compatible);
    }
    for server in [known, turned, stricter] {
        assert!(!server.lines().contains(&ADD.to_owned()));
    }
}

#[test]
fn subjects_and_versions_are_listed_in_order() {
    let server = with_versions(&[B, A]);
    let registry = registry(&server.url);
    let versions = [(SchemaId(1), B.to_owned()), (SchemaId(2), A.to_owned())];
    assert_eq!(registry.versions("t-value").unwrap(), versions);
    let none = with_versions(&[]);
    assert!(self::registry(&none.url).versions("t-value").unwrap().is_empty());
    let list = Server::start(|_| (200, r#"["u-value", "t-value"]"#.to_owned()));
    assert_eq!(self::registry(&list.url).subjects().unwrap(), ["t-value", "u-value"]);
}
