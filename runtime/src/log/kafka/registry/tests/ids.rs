use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::server::{Latch, Server};
use super::*;
use crate::log::{SchemaId, SchemaRegistry};

const INT: &str = r#""int""#;

/// A server that answers the n-th request by the n-th reply, and by the last one from then on.
fn one_after_the_other(replies: &[(u16, String)]) -> Server {
    let (replies, next) = (replies.to_vec(), AtomicUsize::new(0));
    Server::start(move |_| {
        let number = next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1);
        replies[number].clone()
    })
}

#[test]
fn an_id_is_asked_for_once_and_kept() {
    let server = Server::start(|_| holding(INT));
    let registry = registry(&server.url);
    for _ in 0..3 {
        assert_eq!(registry.schema(SchemaId(7)).unwrap().unwrap(), INT);
    }
    assert_eq!(server.lines(), ["GET /schemas/ids/7?deleted=true"]);
}

#[test]
fn an_unknown_id_is_unknown_for_a_moment_only() {
    let not_found = || error(404, 40403, "Schema 7 not found");
    let server = one_after_the_other(&[not_found(), not_found(), holding(INT)]);
    let registry = registry(&server.url);
    for _ in 0..3 {
        assert_eq!(registry.schema(SchemaId(7)).unwrap(), None);
    }
    assert_eq!(server.lines().len(), 1, "within the moment it is not asked for again");
    let hasty = Patience { unknown: Duration::ZERO, ..patience() };
    let registry = ConfluentRegistry::with(&at(&[&server.url]), hasty).unwrap();
    assert_eq!(registry.schema(SchemaId(7)).unwrap(), None);
    assert_eq!(registry.schema(SchemaId(7)).unwrap().unwrap(), INT, "registered meanwhile");
}

#[test]
fn an_answer_by_somebody_who_is_no_registry_is_a_passing_fault() {
    for (status, body, words) in [
        (404, "<html>no such page</html>".to_owned(), "404 Not Found: not as a schema registry does"),
        (404, r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#.to_owned(), "HTTP 404 Not Found"),
        (200, "<html>sign in, please</html>".to_owned(), "not as a schema registry does"),
        (200, r#"{"id": 7}"#.to_owned(), "not as a schema registry does"),
        (429, error(429, 42901, "slow down").1, "429 Too Many Requests: slow down"),
    ] {
        let server = one_after_the_other(&[(status, body), holding(INT)]);
        let registry = registry(&server.url);
        assert_transient(registry.schema(SchemaId(7)), words);
        assert_eq!(finally(|| registry.schema(SchemaId(7))).unwrap().unwrap(), INT, "{words}");
    }
}

#[test]
fn a_failed_question_is_asked_again_in_the_background() {
    let broken = || error(500, 50001, "the store is gone");
    let server = one_after_the_other(&[broken(), broken(), broken(), holding(INT)]);
    let registry = registry(&server.url);
    assert_transient(registry.schema(SchemaId(7)), "500 Internal Server Error: the store is gone");
    until("the last question", || server.lines().len() == 4);
    assert_eq!(finally(|| registry.schema(SchemaId(7))).unwrap().unwrap(), INT);
    assert_eq!(server.lines().len(), 4);
}

#[test]
fn a_registry_out_of_reach_delays_nobody_twice() {
    let back = Latch::default();
    let held = back.clone();
    let down = AtomicBool::new(true);
    let server = Server::start(move |_| {
        if down.swap(false, Ordering::SeqCst) {
            return error(503, 50301, "soon");
        }
        held.wait();
        holding(INT)
    });
    let registry = registry(&server.url);
    // The first one is told of the fault; everybody after it would wait for ever, if they waited.
    for id in [1, 1, 2, 3, 2] {
        assert_transient(registry.schema(SchemaId(id)), "503 Service Unavailable: soon");
    }
    back.open();
    for id in [1, 2, 3] {
        assert_eq!(finally(|| registry.schema(SchemaId(id))).unwrap().unwrap(), INT);
    }
}

#[test]
fn a_registry_that_comes_up_later_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let registry = registry(&format!("http://{address}"));
    assert_transient(registry.schema(SchemaId(7)), "Connection refused");
    let _server = Server::on(TcpListener::bind(address).unwrap(), None, |_| holding(INT));
    assert_eq!(finally(|| registry.schema(SchemaId(7))).unwrap().unwrap(), INT);
}

#[test]
fn a_slow_answer_holds_up_no_other_question() {
    let slow = Latch::default();
    let held = slow.clone();
    let server = Server::start(move |asked| {
        if asked.line.contains("/1?") {
            held.wait();
        }
        holding(INT)
    });
    let hasty = Patience { first_answer: Duration::from_millis(200), ..patience() };
    let registry = ConfluentRegistry::with(&at(&[&server.url]), hasty).unwrap();
    assert_transient(registry.schema(SchemaId(1)), "has not answered yet");
    assert_eq!(finally(|| registry.schema(SchemaId(2))).unwrap().unwrap(), INT);
    assert_transient(registry.schema(SchemaId(1)), "has not answered yet");
    slow.open();
    assert_eq!(finally(|| registry.schema(SchemaId(1))).unwrap().unwrap(), INT);
    let firsts = server.lines().iter().filter(|line| line.contains("/1?")).count();
    assert_eq!(firsts, 1, "the slow answer was waited for");
}

#[test]
fn an_id_that_nobody_wants_any_more_is_asked_for_no_more() {
    let server = Server::start(|_| error(500, 50001, "down"));
    let forgetful = Patience { forget: Duration::ZERO, longest_pause: Duration::ZERO, ..patience() };
    let registry = ConfluentRegistry::with(&at(&[&server.url]), forgetful).unwrap();
    assert_transient(registry.schema(SchemaId(7)), "down");
    let questions = registry.reached().unwrap().questions.clone();
    until("the end of the questions", || questions.under_way() == 0);
}

#[test]
fn a_schema_that_refers_to_another_comes_whole() {
    let server = Server::start(|asked| {
        let body = if asked.line.contains("/schemas/ids/7") {
            serde_json::json!({
                "schema": r#"{"type": "record", "name": "Outer", "fields": [{"name": "inner", "type": "Inner"}]}"#,
                "references": [{ "name": "Inner", "subject": "inner/value", "version": 3 }],
            })
        } else {
            assert_eq!(asked.line, "GET /subjects/inner%2Fvalue/versions/3");
            let inner = r#"{"type": "record", "name": "Inner", "fields": [{"name": "n", "type": "int"}]}"#;
            serde_json::json!({ "id": 6, "schema": inner })
        };
        (200, body.to_string())
    });
    let schema = registry(&server.url).schema(SchemaId(7)).unwrap().unwrap();
    let parsed = apache_avro::Schema::parse_str(&schema).unwrap();
    assert!(parsed.canonical_form().contains(r#"{"name":"n","type":"int"}"#), "{schema}");
}

#[test]
fn what_is_not_avro_is_never_taken_for_avro() {
    let server =
        Server::start(|_| (200, r#"{"schemaType": "JSON", "schema": "{\"type\": \"string\"}"}"#.to_owned()));
    let schema = registry(&server.url).schema(SchemaId(7)).unwrap().unwrap();
    assert!(apache_avro::Schema::parse_str(&schema).is_err(), "{schema}");
}
