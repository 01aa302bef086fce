//! A registry in memory: any schema is compatible with any other.

use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::log::{SchemaId, SchemaRegistry};

/// Knows what was registered in this process.
#[derive(Default)]
pub(super) struct MemoryRegistry(Mutex<Vec<(String, String)>>);

impl SchemaRegistry for MemoryRegistry {
    fn register(&self, subject: &str, schema: &str) -> Result<SchemaId> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().position(|(_, text)| text == schema);
        let at = found.unwrap_or_else(|| {
            known.push((subject.to_owned(), schema.to_owned()));
            known.len() - 1
        });
        Ok(SchemaId(at as u32 + 1))
    }

    fn schema(&self, id: SchemaId) -> Result<Option<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (id.0 as usize).checked_sub(1);
        Ok(at.and_then(|at| known.get(at)).map(|(_, schema)| schema.clone()))
    }

    fn versions(&self, subject: &str) -> Result<Vec<(SchemaId, String)>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = known.iter().enumerate().filter(|(_, (of, _))| of == subject);
        Ok(numbered.map(|(at, (_, schema))| (SchemaId(at as u32 + 1), schema.clone())).collect())
    }

    fn subjects(&self) -> Result<Vec<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subjects: Vec<String> = known.iter().map(|(subject, _)| subject.clone()).collect();
        subjects.sort();
        subjects.dedup();
        Ok(subjects)
    }
}
