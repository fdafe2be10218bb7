//! Reads the JSON form of messages without serde's code for each type, for programs that must be small: the page.
//!
//! One parser for all messages follows tables of their fields and writes what it reads in the binary form of protobuf,
//! which prost reads; its code for a field takes a fifth of serde's. The tables are generated (`tests/generated.rs`), and
//! a test below compares what is read with what serde reads. Unknown fields are ignored, missing and null ones keep their
//! defaults, as with serde.

use std::borrow::Cow;

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

use crate::v1;

/// How deep lists and objects may stand in each other; no message comes near it.
const MAX_DEPTH: usize = 64;

/// A message that can be read.
pub trait Read: prost::Message + Default {
    /// Its fields.
    #[doc(hidden)]
    const SHAPE: &'static Shape;
}

/// Why a text is no message: what was expected, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expected} expected at byte {at}")]
pub struct Unreadable {
    /// What would have been right.
    pub expected: &'static str,
    /// Where, in bytes from the begin of the text.
    pub at: usize,
}

/// Reads a message from its JSON form.
///
/// # Errors
/// When the text is not JSON, or a field has a value of another type.
pub fn read<M: Read>(text: &str) -> Result<M, Unreadable> {
    let binary = transcribe(text, M::SHAPE)?;
    // What was written follows the tables, which are made of the same schema as the reader.
    M::decode(binary.as_slice()).map_err(|_| Unreadable { expected: "a message of this version", at: 0 })
}

/// The number that a text is, as JSON writes numbers.
pub fn number(text: &str) -> Option<f64> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let number = reader.double().ok()?;
    (reader.at == text.len()).then_some(number)
}

/// The text that stands in a JSON object under a name, or in objects under each other under several.
pub fn text_at(text: &str, names: &[&str]) -> Option<String> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let mut found = None;
    reader.text_at(names, &mut found).ok()?;
    found
}

/// The fields of a message, in the order in which they are written.
#[doc(hidden)]
pub type Shape = &'static [Field];

/// A field of a message.
#[doc(hidden)]
#[derive(Debug)]
pub struct Field {
    name: &'static str,
    number: u32,
    kind: Kind,
}

/// What a field holds, once or as a list.
#[derive(Debug)]
enum Kind {
    Double,
    Count,
    Bool,
    Text,
    Time,
    Word(fn(&str) -> Option<i32>),
    Message(&'static Shape),
}

include!("generated/shapes.rs");

fn transcribe(text: &str, shape: &Shape) -> Result<Vec<u8>, Unreadable> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let mut out = Vec::with_capacity(text.len() / 2);
    reader.message(shape, &mut out)?;
    reader.skip_space();
    if reader.at < text.len() { Err(reader.expected("the end")) } else { Ok(out) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn message(&mut self, shape: &Shape, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        // Fields usually come in the order of the table: the search goes on where it ended.
        let mut next = 0;
        self.object(&mut |reader, name| {
            let found = (0..shape.len()).map(|step| (next + step) % shape.len()).find(|at| shape[*at].name == name);
            let Some(at) = found else { return reader.skip() };
            next = at + 1;
            reader.field(&shape[at], out)
        })
    }

    fn field(&mut self, field: &Field, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match self.peek() {
            b'n' => self.word("null"),
            b'[' => self.list(&mut |reader| reader.value(field, out)),
            _ => self.value(field, out),
        }
    }

    fn value(&mut self, field: &Field, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let number = field.number;
        match &field.kind {
            Kind::Double => {
                let value = self.double()?;
                encode_key(number, WireType::SixtyFourBit, out);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Count => {
                let value = self.count()?;
                encode_key(number, WireType::Varint, out);
                encode_varint(value, out);
            }
            Kind::Bool => {
                let value = self.peek() == b't';
                self.word(if value { "true" } else { "false" })?;
                encode_key(number, WireType::Varint, out);
                encode_varint(value.into(), out);
            }
            Kind::Text => {
                let text = self.string()?;
                put(number, text.as_bytes(), out);
            }
            Kind::Time => {
                let (at, text) = (self.at, self.string()?);
                let time: prost_types::Timestamp = text.parse().map_err(|_| Unreadable { expected: "a time", at })?;
                put(number, &time.encode_to_vec(), out);
            }
            Kind::Word(meaning) => {
                let (at, text) = (self.at, self.string()?);
                let value = meaning(&text).ok_or(Unreadable { expected: "a known word", at })?;
                encode_key(number, WireType::Varint, out);
                encode_varint(u64::from(value.unsigned_abs()), out);
            }
            Kind::Message(shape) => {
                let mut inner = Vec::new();
                self.message(shape, &mut inner)?;
                put(number, &inner, out);
            }
        }
        Ok(())
    }

    fn text_at(&mut self, names: &[&str], found: &mut Option<String>) -> Result<(), Unreadable> {
        let Some((first, rest)) = names.split_first() else {
            *found = Some(self.string()?.into_owned());
            return Ok(());
        };
        self.object(&mut |reader, name| if name == *first { reader.text_at(rest, found) } else { reader.skip() })
    }

    /// Steps over a value that nobody asked for.
    fn skip(&mut self) -> Result<(), Unreadable> {
        match self.peek() {
            b'{' => self.object(&mut |reader, _| reader.skip()),
            b'[' => self.list(&mut Self::skip),
            b'"' => self.string().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.double().map(drop),
        }
    }

    fn object(&mut self, entry: &mut dyn FnMut(&mut Self, &str) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
        self.sequence(b'{', b'}', "an object", &mut |reader| {
            reader.peek();
            let name = reader.string()?;
            reader.byte(b':', "a colon")?;
            reader.peek();
            entry(reader, &name)
        })
    }

    fn list(&mut self, item: &mut dyn FnMut(&mut Self) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
        self.sequence(b'[', b']', "a list", &mut |reader| {
            reader.peek();
            item(reader)
        })
    }

    fn sequence(
        &mut self,
        open: u8,
        close: u8,
        what: &'static str,
        item: &mut dyn FnMut(&mut Self) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.byte(open, what)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.expected("less depth"));
        }
        if self.peek() != close {
            loop {
                item(self)?;
                if self.peek() != b',' {
                    break;
                }
                self.at += 1;
            }
        }
        self.depth -= 1;
        self.byte(close, "a comma or the end of a list or an object")
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Unreadable> {
        self.byte(b'"', "a text")?;
        let mut text = Cow::Borrowed("");
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find(['"', '\\']).ok_or_else(|| self.expected("the end of a text"))?;
            text += &rest[..end];
            self.at += end + 1;
            if rest.as_bytes()[end] == b'"' {
                return Ok(text);
            }
            text.to_mut().push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Result<char, Unreadable> {
        let letter = self.text.as_bytes().get(self.at).copied().unwrap_or_default();
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut units = vec![self.unit()?];
                if (0xd800..0xdc00).contains(&units[0]) && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    units.push(self.unit()?);
                }
                char::decode_utf16(units).next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => {
                self.at -= 1;
                return Err(self.expected("an escape"));
            }
        })
    }

    fn unit(&mut self) -> Result<u16, Unreadable> {
        let digits = self.text.get(self.at..self.at + 4);
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    /// A whole number.
    fn count(&mut self) -> Result<u64, Unreadable> {
        let end = self.end_of_number();
        let value = self.text[self.at..end].parse().map_err(|_| self.expected("a number"))?;
        self.at = end;
        Ok(value)
    }

    /// A number in double precision, to the last digit or the one before: the parser of the standard library, which finds
    /// the nearest double for any text, would weigh as much as a page.
    fn double(&mut self) -> Result<f64, Unreadable> {
        const EXACT: u64 = u64::MAX / 10 - 1;
        let end = self.end_of_number();
        let number = &self.text[self.at..end];
        let wrong = self.expected("a number");
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let mut power: i32 = exponent.parse().map_err(|_| wrong.clone())?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        if digits.is_empty() {
            return Err(wrong);
        }
        let mut value = 0_u64;
        for (is_fraction, digit) in digits.bytes().map(|it| (false, it)).chain(fraction.bytes().map(|it| (true, it))) {
            if !digit.is_ascii_digit() {
                return Err(wrong);
            }
            let kept = value <= EXACT;
            if kept {
                value = value * 10 + u64::from(digit - b'0');
            }
            power = power.saturating_add(i32::from(!kept) - i32::from(is_fraction));
        }
        self.at = end;
        let value = scaled(value as f64, power);
        Ok(if whole.starts_with('-') { -value } else { value })
    }

    fn end_of_number(&self) -> usize {
        let rest = &self.text[self.at..];
        let length = rest.find(|it: char| !matches!(it, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        self.at + length.unwrap_or(rest.len())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Unreadable> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.expected(word))
    }

    fn byte(&mut self, wanted: u8, what: &'static str) -> Result<(), Unreadable> {
        if self.peek() != wanted {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is no space; 0 at the end.
    fn peek(&mut self) -> u8 {
        self.skip_space();
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|it| it.is_ascii_whitespace()).count();
    }

    fn expected(&self, expected: &'static str) -> Unreadable {
        Unreadable { expected, at: self.at }
    }
}

/// A value times a power of ten. Up to 22 these are exact.
fn scaled(mut value: f64, power: i32) -> f64 {
    let mut left = power.unsigned_abs().min(700);
    while left > 0 {
        let step = left.min(22);
        let factor = (0..step).fold(1.0, |factor, _| factor * 10.0);
        value = if power < 0 { value / factor } else { value * factor };
        left -= step;
    }
    value
}

fn put(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
