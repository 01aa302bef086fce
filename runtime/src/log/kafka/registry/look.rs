//! What each address of a registry says about itself, for those who judge whether it is fit: `tidegate doctor`.
//!
//! Facts only. Promise: every address is asked, each within a bounded time, nothing is changed, and no user, password or CA stands in
//! an answer. Not to be called inside an async runtime.

use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use serde_json::Value;

use super::address::{Address, without_secrets};
use super::fault::causes;
use super::requests::bounded_body;
use super::servers::authorities;
use crate::error::Result;
use crate::log::kafka::RegistryConnection;

/// How long one address may take for one answer: registries answer within milliseconds, unless their machine is very busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the registry at one address has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryTold {
    /// Its name and release, if it is of a kind that tells.
    pub version: Option<String>,
    /// Its rule for schemas of subjects that have none of their own: `NONE`, `BACKWARD` and so on.
    pub compatibility: String,
    /// Its clock, as HTTP's `Date` header has it, to the second.
    pub date: Option<String>,
    /// Our clock, before it was asked and after it had answered.
    pub asked: (SystemTime, SystemTime),
}

/// Asks every address, and gives each without secrets beside its answer.
///
/// # Errors
/// Per address, the reason.
pub fn look(connection: &RegistryConnection) -> Vec<(String, Result<RegistryTold, String>)> {
    let ask = |text: &String| match Address::parse(text) {
        Ok(address) => (address.url.clone(), ask(&address, connection)),
        Err(error) => (without_secrets(text), Err(error.to_string())),
    };
    connection.urls.iter().map(ask).collect()
}

fn ask(address: &Address, connection: &RegistryConnection) -> Result<RegistryTold, String> {
    let authorities =
        connection.ca.as_deref().map(authorities).transpose().map_err(|error| error.to_string())?;
    let client = Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .connect_timeout(PATIENCE / 2)
        .tls_certs_merge(authorities.unwrap_or_default())
        .build()
        .map_err(|error| causes(&error))?;
    let get = |url: &str| {
        let request = client.get(url).header("Accept", "application/json");
        match address.user.as_ref().or(connection.user.as_ref()) {
            Some((user, password)) => request.basic_auth(user, Some(password)).send(),
            None => request.send(),
        }
    };
    let before = SystemTime::now();
    let config = get(&format!("{}/config", address.url)).map_err(|error| causes(&error))?;
    let asked = (before, SystemTime::now());
    if !config.status().is_success() {
        return Err(refusal(config.status()));
    }
    let date = config.headers().get("Date").and_then(|date| date.to_str().ok()).map(str::to_owned);
    let compatibility = field(config, "compatibilityLevel")
        .ok_or("what answers there is no schema registry: it gives no compatibility level")?;
    let version = places_of_versions(&address.url).iter().find_map(|(name, url)| {
        named_version(name, get(url).ok().filter(|answer| answer.status().is_success())?)
    });
    Ok(RegistryTold { version, compatibility, date, asked })
}

/// Where the known kinds tell their release, and their names where they do not tell them.
fn places_of_versions(url: &str) -> Vec<(&'static str, String)> {
    let confluent = ("Confluent", format!("{url}/v1/metadata/version"));
    let root = url.split_once("/apis/").map(|(root, _)| root);
    let apicurio = root.map(|root| ("Apicurio Registry", format!("{root}/apis/registry/v3/system/info")));
    std::iter::once(confluent).chain(apicurio).collect()
}

fn named_version(name: &str, answer: Response) -> Option<String> {
    field(answer, "version").map(|version| format!("{name} {version}"))
}

fn field(answer: Response, name: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(&bounded_body(answer, Instant::now() + PATIENCE).ok()?).ok()?;
    body.get(name)?.as_str().map(str::to_owned)
}

fn refusal(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("it does not let us in ({status})"),
        StatusCode::NOT_FOUND => format!("it knows no `/config` there ({status})"),
        _ => format!("it answers {status}"),
    }
}
