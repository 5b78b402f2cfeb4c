//! Reads the objects of a JSON file one at a time, so that the file is never in memory as a whole.
//!
//! In: an object of objects keyed by plate, as Predator writes its lists, or a list of objects.
//! Out: each object with its key and its number, from 1.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::ReadError;

/// Called with every object; returns whether to go on.
type Sink<'s, E> = &'s mut dyn FnMut(u64, &str, &Value) -> Result<bool, E>;

/// Reads a file's objects.
pub(super) fn each_object<E: From<ReadError>>(
    reader: impl Read,
    sink: Sink<'_, E>,
) -> Result<(), E> {
    let mut failed = None;
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let done = Objects { sink, failed: &mut failed }.deserialize(&mut deserializer);
    match (failed, done) {
        (Some(Stop::Failed(e)), _) => Err(e),
        (Some(Stop::Enough), _) => Ok(()),
        (None, Err(e)) => Err(ReadError::Json(without_content(&e)).into()),
        (None, Ok(())) => {
            deserializer.end().map_err(|e| ReadError::Json(without_content(&e)).into())
        }
    }
}

/// The place of the error only: the library's own message may repeat what it read.
fn without_content(e: &serde_json::Error) -> String {
    let kind = match e.classify() {
        serde_json::error::Category::Io => return e.to_string(),
        serde_json::error::Category::Syntax => "syntax error",
        serde_json::error::Category::Data => "not an object of objects or a list of objects",
        serde_json::error::Category::Eof => "the file ends too soon",
    };
    format!("{kind}, line {} column {}", e.line(), e.column())
}

/// Why reading ended before the end of the file.
enum Stop<E> {
    Enough,
    Failed(E),
}

struct Objects<'s, 'f, E> {
    sink: Sink<'s, E>,
    failed: &'f mut Option<Stop<E>>,
}

impl<E> Objects<'_, '_, E> {
    fn visit_object<D: serde::de::Error>(
        &mut self,
        number: u64,
        key: &str,
        value: &Value,
    ) -> Result<(), D> {
        match (self.sink)(number, key, value) {
            Ok(true) => return Ok(()),
            Ok(false) => *self.failed = Some(Stop::Enough),
            Err(e) => *self.failed = Some(Stop::Failed(e)),
        }
        Err(D::custom("stopped"))
    }
}

impl<'de, E> DeserializeSeed<'de> for Objects<'_, '_, E> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de, E> Visitor<'de> for Objects<'_, '_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of objects or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            number += 1;
            self.visit_object::<A::Error>(number, &key, &value)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(value) = list.next_element::<Value>()? {
            number += 1;
            self.visit_object::<A::Error>(number, "", &value)?;
        }
        Ok(())
    }
}
