//! Settings of topics and brokers, as the cluster keeps them.
#![allow(unsafe_code, reason = "librdkafka's admin interface, see `request`")]

use std::collections::BTreeMap;

use rdkafka_sys as sys;
use sys::rd_kafka_ResourceType_t as Resource;
use sys::rd_kafka_admin_op_t as Kind;

use super::super::fault::{Code, Failure};
use super::super::native::{Client, c_name, is_fine, text_of};
use super::request::{Request, each};
use crate::error::Result;
use crate::log::Cleanup;

/// Every setting in force, its default included, with its value as text; one that is kept secret is left out.
pub type Settings = BTreeMap<String, String>;

/// What each of those that were asked about has answered.
pub(in super::super) type Answers<T> = BTreeMap<String, Result<T, Failure>>;

/// The cleanup policy of every topic that can be asked for it, in one request.
pub(super) fn cleanup(client: &Client, names: &[&str]) -> Result<Answers<Cleanup>> {
    let policies = |settings: Settings| {
        // A topic with both policies counts as compacted: records before the latest of their key may go.
        let compacted = settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
        if compacted { Cleanup::Compact } else { Cleanup::Delete }
    };
    let found = of_topics(client, names).map_err(|failure| failure.named("read the settings of topics"))?;
    Ok(found.into_iter().map(|(name, settings)| (name, settings.map(policies))).collect())
}

/// The settings of every topic that can be asked for them, in one request.
pub(super) fn of_topics(client: &Client, names: &[&str]) -> Result<Answers<Settings>, Failure> {
    if names.is_empty() {
        Ok(BTreeMap::new())
    } else {
        describe(client, Resource::RD_KAFKA_RESOURCE_TOPIC, names)
    }
}

/// The settings of one broker, answered by itself.
pub(super) fn of_broker(client: &Client, id: i32) -> Result<Settings, Failure> {
    let name = id.to_string();
    let mut answers = describe(client, Resource::RD_KAFKA_RESOURCE_BROKER, &[&name])?;
    answers.remove(&name).unwrap_or_else(|| Err(Failure::new(Code::Fail, "the answer was about others")))
}

fn describe(client: &Client, kind: Resource, names: &[&str]) -> Result<Answers<Settings>, Failure> {
    let resources = Resources::new(kind, names)?;
    let mut pointers = resources.0.clone();
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS)?;
    // SAFETY: the resources live through the call, which copies them.
    let request = request.send(|client, options, queue| unsafe {
        sys::rd_kafka_DescribeConfigs(client, pointers.as_mut_ptr(), pointers.len(), options, queue);
    });
    let answer = request.answer()?;
    let mut found = BTreeMap::new();
    // SAFETY: everything read belongs to the answer, which lives through the block.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeConfigs_result(answer.as_ptr());
        let described = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        for one in each(described, count) {
            let name = text_of(sys::rd_kafka_ConfigResource_name(one));
            let code = sys::rd_kafka_ConfigResource_error(one);
            let outcome = match is_fine(code) {
                true => Ok(settings_of(one)),
                false => {
                    let text = text_of(sys::rd_kafka_ConfigResource_error_string(one));
                    Err(Failure::new(code.into(), text))
                }
            };
            found.insert(name, outcome);
        }
    }
    Ok(found)
}

/// # Safety
/// `resource` belongs to an answer that lives.
unsafe fn settings_of(resource: *const sys::rd_kafka_ConfigResource_t) -> Settings {
    let mut count = 0;
    let mut settings = Settings::new();
    // SAFETY: as the caller says; a value is null or ends with a zero.
    unsafe {
        for entry in each(sys::rd_kafka_ConfigResource_configs(resource, &raw mut count), count) {
            let value = sys::rd_kafka_ConfigEntry_value(entry);
            if !value.is_null() {
                settings.insert(text_of(sys::rd_kafka_ConfigEntry_name(entry)), text_of(value));
            }
        }
    }
    settings
}

/// What is asked about.
struct Resources(Vec<*mut sys::rd_kafka_ConfigResource_t>);

impl Resources {
    fn new(kind: Resource, names: &[&str]) -> Result<Resources> {
        let mut resources = Resources(Vec::with_capacity(names.len()));
        for name in names {
            let name = c_name(name)?;
            // SAFETY: the name is copied.
            let resource = unsafe { sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
            resources.0.push(resource);
        }
        Ok(resources)
    }
}

impl Drop for Resources {
    fn drop(&mut self) {
        for resource in &self.0 {
            // SAFETY: each was made for us and is destroyed once.
            unsafe { sys::rd_kafka_ConfigResource_destroy(*resource) };
        }
    }
}
