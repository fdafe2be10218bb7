//! OTLP/JSON to protobuf bytes, in one pass over the text and by a table of the messages.
//!
//! The journal holds protobuf only, and the walkers beside this module are the only judges of what is in it: so this
//! module is lenient, and an id that cannot be right becomes an id that the walker rejects. Refused are texts that are
//! not JSON, fields given twice, and values that their field cannot hold. Values that lie too deep within values are left
//! empty, and fields that the table does not have are skipped without recursion: no text takes more stack than
//! [`MESSAGE_DEPTH`] messages do.
//!
//! - `schema` is the table.
//! - `scalar` reads numbers, texts and ids in all the forms that exporters write.
//! - `writer` puts protobuf fields into a buffer.

mod scalar;
mod schema;
mod writer;

use std::fmt;

use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use self::{
    schema::{Field, Kind, Message},
    writer::Writer,
};
use super::Signal;

/// Bound on messages within messages, of which attribute values have two for each list and three for each list of pairs:
/// room for 128 lists of pairs in one another, while OpenTelemetry's SDKs cut values at a depth of 64.
pub const MESSAGE_DEPTH: usize = 400;

/// A request as protobuf.
#[derive(Debug)]
pub struct Converted {
    /// The request.
    pub protobuf: Vec<u8>,
    /// Values beyond [`MESSAGE_DEPTH`], which are empty now.
    pub values_cut: u64,
}

/// Why a body is not an OTLP/JSON request.
#[derive(Debug, thiserror::Error)]
#[error("the body is not a valid OTLP/JSON {} request: {cause}", .signal.word())]
pub struct JsonError {
    signal: Signal,
    cause: serde_json::Error,
}

impl JsonError {
    /// Where in the text it is wrong: the line, from 1, and what is wrong there.
    pub fn place(&self) -> (usize, String) {
        let whole = self.cause.to_string();
        let what = whole.split(" at line ").next().unwrap_or(&whole).to_owned();
        (self.cause.line(), what)
    }
}

/// Turns an OTLP/JSON request into the protobuf request that says the same.
///
/// # Errors
/// When the text is not JSON, or a field holds what it cannot hold; the error names the place.
pub fn to_protobuf(signal: Signal, json: &[u8]) -> Result<Converted, JsonError> {
    let message = match signal {
        Signal::Traces => &schema::TRACES,
        Signal::Logs => &schema::LOGS,
        Signal::Metrics => &schema::METRICS,
    };
    // Protobuf takes about half of the room.
    let mut writer = Writer::with_capacity(json.len() / 2);
    let mut json = serde_json::Deserializer::from_slice(json);
    // Its limit is lower than that of OpenTelemetry's SDKs, and refuses the whole request.
    json.disable_recursion_limit();
    MessageSeed { message, writer: &mut writer }
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|cause| JsonError { signal, cause })?;
    let values_cut = writer.cut();
    Ok(Converted { protobuf: writer.into_bytes(), values_cut })
}

/// Reads the fields of a message into the writer.
struct MessageSeed<'w> {
    message: &'static Message,
    writer: &'w mut Writer,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the fields of {}", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0_u32;
        while let Some(key) = map.next_key_seed(KeySeed(self.message))? {
            let Some(index) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &self.message.fields[index];
            if seen & (1 << index) != 0 {
                return Err(A::Error::duplicate_field(field.name));
            }
            seen |= 1 << index;
            map.next_value_seed(FieldSeed { field, writer: self.writer })?;
        }
        Ok(())
    }
}

/// Finds a field by its JSON name; `None` for a field that is not in the table.
struct KeySeed(&'static Message);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().position(|field| field.name == key))
    }
}

/// Reads the value of a field; `null` stands for the default, which protobuf does not write.
struct FieldSeed<'w> {
    field: &'static Field,
    writer: &'w mut Writer,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of {}", self.field.name)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.field.repeated {
            deserializer.deserialize_seq(ListVisitor(self))
        } else {
            ValueSeed(self).deserialize(deserializer)
        }
    }
}

/// Reads the values of a repeated field.
struct ListVisitor<'w>(FieldSeed<'w>);

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of values of {}", self.0.field.name)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let FieldSeed { field, writer } = self.0;
        while list.next_element_seed(ElementSeed(FieldSeed { field, writer }))?.is_some() {}
        Ok(())
    }
}

/// Reads one value of a repeated field; `null` stands for an empty one, so that the places of the others stay.
struct ElementSeed<'w>(FieldSeed<'w>);

impl<'de> DeserializeSeed<'de> for ElementSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ElementSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        let FieldSeed { field, writer } = self.0;
        writer.default_of(field);
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        ValueSeed(self.0).deserialize(deserializer)
    }
}

/// Reads a value that is there.
struct ValueSeed<'w>(FieldSeed<'w>);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let FieldSeed { field, writer } = self.0;
        if let Kind::Message(message) = field.kind {
            let open = writer.open(field.number);
            if writer.depth() > MESSAGE_DEPTH {
                IgnoredAny::deserialize(deserializer)?;
                writer.count_cut();
            } else {
                MessageSeed { message, writer }.deserialize(deserializer)?;
            }
            writer.close(open);
            Ok(())
        } else {
            deserializer.deserialize_any(scalar::ScalarVisitor { field, writer })
        }
    }
}

#[cfg(test)]
mod tests;
