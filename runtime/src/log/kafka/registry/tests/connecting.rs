use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// A server that sends blanks for as long as anybody takes them, and how many it could send on one connection at most.
fn endless(head: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, most) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut sent) = (stream.unwrap(), 0);
            let (blanks, mut asked) = ([b' '; 16 * 1024], [0; 4096]);
            // A request of ours is short: it comes at once.
            let _ = stream.read(&mut asked).and_then(|_| stream.write_all(head.as_bytes()));
            while stream.write_all(&blanks).is_ok() {
                sent += blanks.len();
                seen.fetch_max(sent, Ordering::Relaxed);
            }
        }
    });
    (url, most)
}

#[test]
fn an_answer_is_read_up_to_its_bound() {
    for head in [
        "HTTP/1.1 200 Said\r\n\r\n",
        "HTTP/1.1 500 Said\r\n\r\n",
        "HTTP/1.1 200 Said\r\nContent-Length: 99999999999\r\n\r\n",
    ] {
        let (url, most) = endless(head);
        let registry = registry(&url);
        assert_transient(registry.schema(SchemaId(7)), "sent an answer of more than 10485760 bytes");
        // What the system keeps of a connection comes on top.
        assert!(most.load(Ordering::Relaxed) < 40_000_000, "{head}: {most:?}");
    }
}

#[test]
fn an_answer_that_drips_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4096];
        let _ = stream.read(&mut asked).and_then(|_| stream.write_all(b"HTTP/1.1 200 Said\r\n\r\n"));
        // Never silent for as long as one read may take.
        while stream.write_all(b" ").is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let patience = Patience { request: Duration::from_millis(300), ..patience() };
    let registry = ConfluentRegistry::with(&at(&[&url]), patience).unwrap();
    assert_transient(registry.schema(SchemaId(7)), "did not end its answer in time");
}
