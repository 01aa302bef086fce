//! A schema registry's few questions, asked plainly: the checker shares no client with what it checks.

use std::collections::HashMap;
use std::sync::Mutex;

use apache_avro::Schema;
use serde_json::{Value, json};

/// A Confluent-compatible registry.
pub struct Registry {
    url: String,
    client: reqwest::blocking::Client,
    schemas: Mutex<HashMap<u32, Option<Schema>>>,
}

impl Registry {
    pub fn new(url: &str) -> Registry {
        Registry {
            url: url.trim_end_matches('/').to_owned(),
            client: reqwest::blocking::Client::new(),
            schemas: Mutex::default(),
        }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}/{path}", self.url)).send().unwrap();
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return None;
        }
        answer.error_for_status().unwrap().json().unwrap()
    }

    /// The id of `schema` under `subject`, which is made if it is not there.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        let request = self.client.post(format!("{}/subjects/{subject}/versions", self.url));
        let answer: Value = request
            .json(&json!({ "schema": schema }))
            .send()
            .and_then(reqwest::blocking::Response::error_for_status)
            .and_then(reqwest::blocking::Response::json)
            .unwrap();
        u32::try_from(answer["id"].as_u64().unwrap()).unwrap()
    }

    /// `None` for an id that nobody registered.
    pub fn schema(&self, id: u32) -> Option<Schema> {
        let mut schemas = self.schemas.lock().unwrap();
        let schema = schemas.entry(id).or_insert_with(|| {
            let answer = self.get(&format!("schemas/ids/{id}"))?;
            Some(Schema::parse_str(answer["schema"].as_str().unwrap()).unwrap())
        });
        schema.clone()
    }

    pub fn subjects(&self) -> Vec<String> {
        let subjects = self.get("subjects").unwrap();
        subjects.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// Forgets every subject: first softly, as the protocol wants it, then for good.
    pub fn empty(&self) {
        for subject in self.subjects() {
            for query in ["", "?permanent=true"] {
                let request = self.client.delete(format!("{}/subjects/{subject}{query}", self.url));
                // The second is refused by registries whose first was for good already.
                let _ = request.send().unwrap();
            }
        }
        assert_eq!(self.subjects(), Vec::<String>::new(), "the registry forgets");
        self.schemas.lock().unwrap().clear();
    }
}
