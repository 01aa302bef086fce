use std::io::Write;
use std::net::TcpListener;

use super::server::Server;
use super::*;
use crate::log::{SchemaId, SchemaRegistry};

const INT: &str = r#""int""#;

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn without_an_address_every_question_is_answered_by_what_is_missing() {
    fn unnamed<T: std::fmt::Debug>(answer: Result<T>) -> String {
        let Err(error @ Error::Unnamed { .. }) = answer else { panic!("{answer:?}") };
        error.to_string()
    }
    let registry = ConfluentRegistry::with(&at(&[]), patience()).unwrap();
    for refusal in [
        unnamed(registry.register("t-value", INT)),
        unnamed(registry.schema(SchemaId(7))),
        unnamed(registry.versions("t-value")),
        unnamed(registry.check("t-value", INT)),
        unnamed(registry.subjects()),
    ] {
        let words = "no schema registry is named; give --registry URL or TIDEGATE_REGISTRY";
        assert_eq!(refusal, words);
    }
}

#[test]
fn the_next_server_is_asked_when_one_is_out_of_reach() {
    let server = Server::start(|_| holding(INT));
    let registry = ConfluentRegistry::with(&at(&[&nowhere(), &server.url]), patience()).unwrap();
    assert_eq!(registry.schema(SchemaId(7)).unwrap().unwrap(), INT);
}

#[test]
fn no_is_an_answer_and_the_next_server_is_not_asked() {
    let server = Server::start(|_| error(404, 40403, "Schema 7 not found"));
    let registry = ConfluentRegistry::with(&at(&[&server.url, &nowhere()]), patience()).unwrap();
    assert_eq!(registry.schema(SchemaId(7)).unwrap(), None);
}

#[test]
fn every_server_out_of_reach_is_named() {
    let (one, other) = (nowhere(), nowhere());
    let registry = ConfluentRegistry::with(&at(&[&one, &other]), patience()).unwrap();
    let answer = registry.schema(SchemaId(7));
    assert_transient(answer, &one);
    assert_transient(registry.schema(SchemaId(7)), &other);
}

#[test]
fn the_user_is_sent_and_the_one_in_the_address_comes_first() {
    let server = Server::start(|_| holding(INT));
    let user = Some(("me".to_owned(), "secret".to_owned()));
    let in_address = server.url.replace("http://", "http://you:se%63ret2@");
    for url in [&server.url, &in_address] {
        let connection = RegistryConnection { user: user.clone(), ..at(&[url]) };
        ConfluentRegistry::with(&connection, patience()).unwrap().schema(SchemaId(7)).unwrap();
    }
    let sent: Vec<_> = server.asked().into_iter().map(|asked| asked.authorization.unwrap()).collect();
    // me:secret and you:secret2 in base 64.
    assert_eq!(sent, ["Basic bWU6c2VjcmV0", "Basic eW91OnNlY3JldDI="]);
}

#[test]
fn no_error_and_no_debug_output_holds_a_secret() {
    let says_so = Server::start(|_| error(401, 40101, "me:secret is no user"));
    let fails = Server::start(|_| (500, "oops".to_owned()));
    for (url, words) in [
        (&says_so.url, "the schema registry does not let us; check the user and the password"),
        (&fails.url, "500 Internal Server Error"),
        (&nowhere(), "Connection refused"),
    ] {
        let url = url.replace("http://", "http://me:secret@");
        let connection = at(&[&url]);
        assert!(!format!("{connection:?}").contains("secret"), "{connection:?}");
        // A pause that is longer than a start takes: the first fault is the last.
        let hasty = Patience { first_pause: DEADLINE, ..patience() };
        let registry = ConfluentRegistry::with(&connection, hasty).unwrap();
        for error in [registry.schema(SchemaId(7)).unwrap_err(), registry.subjects().unwrap_err()] {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let shown = format!("{error}: {cause}: {error:?}");
            assert!(shown.contains(words), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}

#[test]
fn a_certificate_is_trusted_by_the_file_that_holds_it() {
    let (server, pem) = Server::start_tls(|_| holding(INT));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pem).unwrap();
    let trusting = RegistryConnection { ca: Some(file.path().to_owned()), ..at(&[&server.url]) };
    let registry = ConfluentRegistry::with(&trusting, patience()).unwrap();
    assert_eq!(registry.schema(SchemaId(7)).unwrap().unwrap(), INT);
    assert_transient(self::registry(&server.url).schema(SchemaId(7)), "certificate");
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let given = |path: &std::path::Path| {
        let connection = RegistryConnection { ca: Some(path.to_owned()), ..at(&["http://127.0.0.1:1"]) };
        ConfluentRegistry::with(&connection, patience()).err().unwrap()
    };
    let empty = given(file.path());
    assert!(matches!(empty, Error::Refused { .. }), "{empty}");
    assert!(empty.to_string().contains(file.path().to_str().unwrap()), "{empty}");
    let missing = given(std::path::Path::new("/no/such/file.pem"));
    assert!(matches!(missing, Error::Storage { .. }), "{missing}");
}

#[test]
fn it_can_be_asked_inside_an_async_runtime() {
    let server = Server::start(|_| holding(INT));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let registry = registry(&server.url);
        assert_eq!(registry.schema(SchemaId(7)).unwrap().unwrap(), INT);
        assert_eq!(registry.register("t-value", INT).unwrap(), SchemaId(7));
    });
}
