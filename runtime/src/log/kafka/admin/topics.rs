//! Topics as the cluster knows them: described, listed, made, removed.
//!
//! No request here lets a broker make a topic by itself. Answers come from one broker's metadata, which lags behind a change for a
//! moment: whoever changed something waits until it shows.
#![allow(unsafe_code, reason = "librdkafka's admin interface, see `request`")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int};

use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as Kind;

use super::super::fault::{Code, Failure};
use super::super::native::{Client, c_name, is_fine, text_of};
use super::request::{Answer, REQUEST_MS, Request, each};
use crate::error::{Error, Result};
use crate::log::{Cleanup, TopicInfo, TopicSpec};

/// A topic in a broker's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its topic id, if the broker has any.
    pub(super) id: Option<String>,
    pub(super) partitions: u32,
    /// Every partition has a leader: it can be written and read.
    pub(super) is_led: bool,
}

impl Seen {
    /// What the log's interface says of it.
    pub(super) fn info(&self, name: &str, cleanup: Cleanup) -> TopicInfo {
        TopicInfo { name: name.to_owned(), id: self.id.clone(), partitions: self.partitions, cleanup }
    }
}

/// These topics, those that exist.
pub(super) fn describe(client: &Client, names: &[&str], what: &str) -> Result<BTreeMap<String, Seen>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<CString> = names.iter().map(|name| c_name(name)).collect::<Result<_>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS)
        .map_err(|failure| failure.named(what))?;
    // SAFETY: the names live through the call, which copies them; the collection is destroyed once, after the call that copies it.
    let request = request.send(|client, options, queue| unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        sys::rd_kafka_TopicCollection_destroy(topics);
    });
    let answer = request.answer().map_err(|failure| failure.named(what))?;
    let mut found = BTreeMap::new();
    // SAFETY: everything read belongs to the answer, which lives through the block.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DescribeTopics_result(answer.as_ptr());
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for topic in each(topics, count) {
            let name = text_of(sys::rd_kafka_TopicDescription_name(topic));
            let error = sys::rd_kafka_TopicDescription_error(topic);
            let code = if error.is_null() { Code::NoError } else { sys::rd_kafka_error_code(error).into() };
            match code {
                Code::NoError | Code::LeaderNotAvailable => {
                    found.insert(name, seen(topic));
                }
                code => {
                    let failure = Failure::new(code, text_of(sys::rd_kafka_error_string(error)));
                    if !failure.is_unknown_topic() {
                        return Err(failure.named(&format!("{what} (topic `{name}`)")));
                    }
                }
            }
        }
    }
    Ok(found)
}

/// # Safety
/// `topic` belongs to an answer that lives.
unsafe fn seen(topic: *const sys::rd_kafka_TopicDescription_t) -> Seen {
    let mut count = 0;
    // SAFETY: as the caller says.
    unsafe {
        let partitions = each(sys::rd_kafka_TopicDescription_partitions(topic, &raw mut count), count);
        let led = |partition: &*const _| !sys::rd_kafka_TopicPartitionInfo_leader(*partition).is_null();
        Seen {
            id: topic_id(topic),
            partitions: u32::try_from(count).unwrap_or(u32::MAX),
            is_led: partitions.iter().all(led),
        }
    }
}

/// The topic id as Kafka's own tools print it. A broker without topic ids answers with one of zeros.
///
/// # Safety
/// `topic` belongs to an answer that lives.
unsafe fn topic_id(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<String> {
    // SAFETY: as the caller says; the text stands in the id, which nobody else writes to.
    let text =
        unsafe { text_of(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic))) };
    let is_one = text.bytes().any(|byte| byte != b'A');
    // Kafka's tools print the URL-safe alphabet, librdkafka the other one.
    is_one.then(|| text.replace('+', "-").replace('/', "_"))
}

/// The names of all topics, but for Kafka's own.
pub(super) fn list(client: &Client) -> Result<Vec<String>> {
    let mut metadata = std::ptr::null();
    // SAFETY: the client lives; on success the metadata is ours until it is destroyed below.
    let code = unsafe {
        sys::rd_kafka_metadata(client.as_ptr(), 1, std::ptr::null_mut(), &raw mut metadata, REQUEST_MS)
    };
    if !is_fine(code) {
        return Err(client.failure(code, None).named("list the topics"));
    }
    client.succeeded();
    let mut topics = Vec::new();
    // SAFETY: `topic_cnt` topics stand at `topics`; everything read is copied before the metadata is destroyed.
    unsafe {
        let count = usize::try_from((*metadata).topic_cnt).unwrap_or(0);
        for index in 0..count {
            let topic = (*metadata).topics.add(index);
            let name = text_of((*topic).topic);
            if (*topic).partition_cnt > 0 && !name.starts_with("__") {
                topics.push(name);
            }
        }
        sys::rd_kafka_metadata_destroy(metadata);
    }
    Ok(topics)
}

/// How making topics ended.
pub(super) enum Made {
    /// All are made, or would be.
    All,
    /// Somebody else has made one of them meanwhile.
    Raced,
}

/// Makes topics with what every topic of ours has and `more` settings; with `only_checked`, asks whether that would succeed.
pub(super) fn create(
    client: &Client,
    specs: &[&TopicSpec],
    more: &[(&CStr, &CStr)],
    only_checked: bool,
) -> Result<Made> {
    let what = "make the topics";
    let made = NewTopics::new(specs, more)?;
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_CREATETOPICS)
        .map_err(|failure| failure.named(what))?
        .waiting_for_the_change();
    let request = if only_checked { request.only_checked() } else { request };
    let mut pointers = made.0.clone();
    // SAFETY: the topics live through the call, which copies them.
    let request = request.send(|client, options, queue| unsafe {
        sys::rd_kafka_CreateTopics(client, pointers.as_mut_ptr(), pointers.len(), options, queue);
    });
    let answer = request.answer().map_err(|failure| failure.named(what))?;
    // SAFETY: the result belongs to the answer.
    let results = unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_CreateTopics_result(answer.as_ptr());
        each(sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count), count)
    };
    match failures(&answer, &results).into_iter().next() {
        None => Ok(Made::All),
        Some((_, failure)) if failure.code == Code::TopicAlreadyExists => Ok(Made::Raced),
        Some((name, failure)) => Err(failure.named(&format!("make topic `{name}`"))),
    }
}

/// Removes a topic.
pub(super) fn delete(client: &Client, name: &str) -> Result<()> {
    let what = format!("remove topic `{name}`");
    let c_name = c_name(name)?;
    let request = Request::new(client, Kind::RD_KAFKA_ADMIN_OP_DELETETOPICS)
        .map_err(|failure| failure.named(&what))?
        .waiting_for_the_change();
    // SAFETY: the name is copied; the topic object is destroyed once, after the call that copies it.
    let request = request.send(|client, options, queue| unsafe {
        let mut topic = sys::rd_kafka_DeleteTopic_new(c_name.as_ptr());
        sys::rd_kafka_DeleteTopics(client, &raw mut topic, 1, options, queue);
        sys::rd_kafka_DeleteTopic_destroy(topic);
    });
    let answer = request.answer().map_err(|failure| failure.about(name, &what))?;
    // SAFETY: the result belongs to the answer.
    let results = unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_DeleteTopics_result(answer.as_ptr());
        each(sys::rd_kafka_DeleteTopics_result_topics(result, &raw mut count), count)
    };
    match failures(&answer, &results).into_iter().next() {
        Some((_, failure)) => Err(failure.about(name, &what)),
        None => Ok(()),
    }
}

/// What went wrong, per topic; the results belong to the answer.
fn failures(_: &Answer, results: &[*const sys::rd_kafka_topic_result_t]) -> Vec<(String, Failure)> {
    let mut failures = Vec::new();
    for result in results {
        // SAFETY: the results live as long as the answer.
        unsafe {
            let code = sys::rd_kafka_topic_result_error(*result);
            if !is_fine(code) {
                let text = text_of(sys::rd_kafka_topic_result_error_string(*result));
                failures.push((
                    text_of(sys::rd_kafka_topic_result_name(*result)),
                    Failure::new(code.into(), text),
                ));
            }
        }
    }
    failures
}

/// Topics to be made.
struct NewTopics(Vec<*mut sys::rd_kafka_NewTopic_t>);

impl NewTopics {
    fn new(specs: &[&TopicSpec], more: &[(&CStr, &CStr)]) -> Result<NewTopics> {
        let mut topics = NewTopics(Vec::with_capacity(specs.len()));
        for spec in specs {
            let name = c_name(&spec.name)?;
            let cleanup = c_name(&spec.cleanup.to_string())?;
            let partitions = c_int::try_from(spec.partitions).unwrap_or(c_int::MAX);
            let mut text = [0; 512];
            // SAFETY: the name is copied; -1 leaves the number of replicas to the broker.
            let topic = unsafe {
                sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, -1, text.as_mut_ptr(), text.len())
            };
            if topic.is_null() {
                return Err(Error::Refused {
                    what: format!("topic `{}` cannot be made: {}", spec.name, text_of(text.as_ptr())),
                    remedy: "ask for another number of partitions".to_owned(),
                });
            }
            topics.0.push(topic);
            // Kafka deletes by record time, which is event time here: without a limit, or records of another year are gone at once.
            // It also refuses times in the future, which a wrong clock at a source must not turn into a standstill.
            let settings = [
                (c"cleanup.policy", cleanup.as_c_str()),
                (c"retention.ms", c"-1"),
                (c"message.timestamp.after.max.ms", c"9223372036854775807"),
            ];
            for (name, value) in settings.iter().chain(more) {
                // SAFETY: the topic is ours, both texts are copied.
                unsafe { sys::rd_kafka_NewTopic_set_config(topic, name.as_ptr(), value.as_ptr()) };
            }
        }
        Ok(topics)
    }
}

impl Drop for NewTopics {
    fn drop(&mut self) {
        for topic in &self.0 {
            // SAFETY: each was made for us and is destroyed once.
            unsafe { sys::rd_kafka_NewTopic_destroy(*topic) };
        }
    }
}
