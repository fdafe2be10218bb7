//! Reads key-value pairs and keeps those that the analyzer knows.

use std::str;

use loopscope_analyzer::attribute::{self, Attributes};

use crate::otlp::{
    limits::ItemLimits,
    wire::{Fields, Value, WireError},
};

/// One key-value pair, still in wire bytes.
pub(in crate::otlp) struct Attribute<'a> {
    key: &'a [u8],
    value: AnyValue<'a>,
    /// True when key or value are said by their place in a table.
    is_in_table: bool,
}

#[derive(Clone, Copy)]
enum AnyValue<'a> {
    Empty,
    /// The place of a text in the table that only profiles have.
    InTable,
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(&'a [u8]),
}

/// What was kept of the attributes of a span, a resource or a log record.
#[derive(Default)]
pub(in crate::otlp) struct Gathered {
    /// Those that the analyzer knows.
    pub(in crate::otlp) known: Attributes,
    /// How many there were.
    seen: usize,
    /// Attributes beyond the bound, which were not read.
    pub(in crate::otlp) dropped: u64,
    /// Texts of known attributes that were cut.
    pub(in crate::otlp) cut: u64,
}

impl Gathered {
    /// Takes the next attribute within the limits.
    pub(in crate::otlp) fn take(&mut self, attribute: &Attribute<'_>, limits: &ItemLimits) {
        if self.seen == limits.attributes {
            self.dropped += 1;
            return;
        }
        self.seen += 1;
        self.cut += u64::from(attribute.keep(&mut self.known, limits.text_bytes));
    }
}

/// Field numbers of `KeyValue`, `AnyValue` and `ArrayValue`.
mod field {
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const KEY_IN_TABLE: u32 = 3;
    pub(super) const TEXT: u32 = 1;
    pub(super) const BOOL: u32 = 2;
    pub(super) const INT: u32 = 3;
    pub(super) const DOUBLE: u32 = 4;
    pub(super) const ARRAY: u32 = 5;
    pub(super) const KVLIST: u32 = 6;
    pub(super) const BYTES: u32 = 7;
    pub(super) const TEXT_IN_TABLE: u32 = 8;
    pub(super) const ARRAY_VALUES: u32 = 1;
}

/// Reads a `KeyValue`; arrays and lists in it are not entered.
pub(in crate::otlp) fn read(bytes: &[u8]) -> Result<Attribute<'_>, WireError> {
    let mut attribute = Attribute { key: &[], value: AnyValue::Empty, is_in_table: false };
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            field::KEY => attribute.key = field.value.len()?,
            field::VALUE => attribute.value = read_value(field.value.len()?)?,
            field::KEY_IN_TABLE => attribute.is_in_table = true,
            _ => {}
        }
    }
    attribute.is_in_table |= matches!(attribute.value, AnyValue::InTable);
    Ok(attribute)
}

/// Cuts a text to at most `max` bytes, at the border of a character.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl<'a> Attribute<'a> {
    /// Adds the attribute if the analyzer knows its key and can hold its value; true when its text was cut.
    fn keep(&self, attributes: &mut Attributes, max: usize) -> bool {
        if let Ok(key) = str::from_utf8(self.key)
            && let Some((known, rank)) = attribute::Attribute::of(key)
            && let Some(value) = self.value.to_known(max)
        {
            attributes.insert_known(known, rank, value);
            return matches!(self.value, AnyValue::Text(text) if text.len() > max);
        }
        false
    }

    /// The id of a message, if that is what the attribute says.
    pub(super) fn message_id(&self, max: usize) -> Option<&'a str> {
        let key = str::from_utf8(self.key).ok()?;
        match (attribute::Attribute::of(key)?, self.value) {
            ((attribute::Attribute::MessageId, _), AnyValue::Text(bytes)) => {
                text(bytes, max).filter(|id| !id.is_empty())
            }
            _ => None,
        }
    }

    /// True when key or value are said by their place in a table that only profiles have.
    pub(super) fn is_in_table(&self) -> bool {
        self.is_in_table
    }

    /// True for the attribute by which older exporters mark a failed span.
    pub(super) fn says_error(&self) -> bool {
        self.key == b"error"
            && match self.value {
                AnyValue::Bool(truth) => truth,
                AnyValue::Text(text) => text.eq_ignore_ascii_case(b"true"),
                _ => false,
            }
    }
}

fn read_value(bytes: &[u8]) -> Result<AnyValue<'_>, WireError> {
    let mut value = AnyValue::Empty;
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        value = match (field.number, field.value) {
            (field::TEXT, Value::Len(text)) => AnyValue::Text(text),
            (field::BOOL, Value::Varint(truth)) => AnyValue::Bool(truth != 0),
            (field::INT, Value::Varint(number)) => AnyValue::Int(number.cast_signed()),
            (field::DOUBLE, Value::Fixed64(bits)) => AnyValue::Double(f64::from_bits(bits)),
            (field::ARRAY, Value::Len(array)) => AnyValue::Array(array),
            (field::KVLIST | field::BYTES, Value::Len(_)) => AnyValue::Empty,
            (field::TEXT..=field::BYTES, _) => return Err(WireError::WrongType),
            (field::TEXT_IN_TABLE, _) => AnyValue::InTable,
            _ => value,
        }
    }
    Ok(value)
}

impl AnyValue<'_> {
    fn to_known(self, max: usize) -> Option<attribute::Value> {
        match self {
            Self::Text(bytes) => Some(attribute::Value::Text(text(bytes, max)?.into())),
            Self::Bool(truth) => Some(attribute::Value::Bool(truth)),
            Self::Int(number) => Some(attribute::Value::Int(number)),
            Self::Double(number) => Some(attribute::Value::Text(number.to_string().into())),
            Self::Array(array) => joined(array, max).ok().map(|text| attribute::Value::Text(text.into())),
            Self::Empty | Self::InTable => None,
        }
    }

    /// Adds the value as text; `None` if it has no text.
    fn push_to(self, list: &mut String, max: usize) -> Option<()> {
        match self {
            Self::Text(bytes) => list.push_str(text(bytes, max)?),
            Self::Bool(truth) => list.push_str(if truth { "true" } else { "false" }),
            Self::Int(number) => list.push_str(&number.to_string()),
            Self::Double(number) => list.push_str(&number.to_string()),
            Self::Array(_) | Self::Empty | Self::InTable => return None,
        }
        Some(())
    }
}

/// The text of a value, cut to its bound; `None` if it is not UTF-8.
fn text(bytes: &[u8], max: usize) -> Option<&str> {
    str::from_utf8(bytes).ok().map(|text| cut(text, max))
}

/// The values of an array with commas between them; values that are not text or numbers are left out.
fn joined(array: &[u8], max: usize) -> Result<String, WireError> {
    let mut text = String::new();
    let mut fields = Fields::new(array);
    while let Some(field) = fields.next()? {
        if field.number != field::ARRAY_VALUES {
            continue;
        }
        let end = text.len();
        if end > 0 {
            text.push(',');
        }
        let pushed = read_value(field.value.len()?)?.push_to(&mut text, max);
        // The whole list obeys the bound of one text: a name that is cut in two would be a wrong name.
        if pushed.is_none() || text.len() > max {
            text.truncate(end);
        }
        if text.len() >= max {
            break;
        }
    }
    Ok(text)
}
