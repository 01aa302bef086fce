//! What a topic must look like, checked before any home is asked to make it.

use std::fmt;

use super::{Cleanup, TopicInfo, TopicSpec};
use crate::error::{Error, Result};

impl TopicSpec {
    /// Refuses what no home could make.
    pub(super) fn check(&self) -> Result<()> {
        let name = &self.name;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=249).contains(&name.len()) && name != "." && name != "..";
        if !fits || !name.bytes().all(legal) {
            return Err(Error::Refused {
                what: format!("`{name}` cannot name a topic"),
                remedy: "use 1 to 249 letters, digits, `.`, `_` and `-`, and neither `.` nor `..` alone"
                    .to_owned(),
            });
        }
        if self.partitions == 0 {
            let what = format!("topic `{name}` would have 0 partitions");
            return Err(Error::Refused { what, remedy: "give it at least one".to_owned() });
        }
        Ok(())
    }

    /// Refuses a topic that exists in another shape, naming both.
    pub(super) fn check_same(&self, found: &TopicInfo) -> Result<()> {
        self.check_shape(found.partitions, found.cleanup)
    }

    /// Refuses another shape of the same topic, naming both.
    pub(super) fn check_shape(&self, partitions: u32, cleanup: Cleanup) -> Result<()> {
        if (self.partitions, self.cleanup) == (partitions, cleanup) {
            return Ok(());
        }
        Err(Error::Refused {
            what: format!(
                "topic `{}` has {} partitions and cleanup `{}`, not {} and `{}`",
                self.name, partitions, cleanup, self.partitions, self.cleanup
            ),
            remedy: "ask for what is there, or use another topic".to_owned(),
        })
    }
}

/// Kafka's word for a cleanup policy.
impl fmt::Display for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cleanup::Delete => "delete",
            Cleanup::Compact => "compact",
        })
    }
}
