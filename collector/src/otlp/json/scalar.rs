//! Reads single values in all the forms that exporters write: numbers bare, quoted, with fraction or exponent,
//! enumerations by number or name, ids in either case, base64 in either alphabet.

use std::{borrow::Cow, fmt};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::de::{Error, Unexpected, Visitor};

use super::{
    schema::{Field, Kind},
    writer::Writer,
};

/// Writes one value of a field that is no message.
pub(super) struct ScalarVisitor<'w> {
    pub(super) field: &'static Field,
    pub(super) writer: &'w mut Writer,
}

/// Stands for an id that is not hexadecimal: no id has one byte, so it is rejected where ids are judged.
const BAD_ID: &[u8] = &[0];

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A number as JSON has it.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Real(f64),
}

impl Visitor<'_> for ScalarVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match self.field.kind {
            Kind::Text => "text",
            Kind::Base64 => "bytes in base64",
            Kind::HexId => "an id in hexadecimal digits",
            Kind::Bool => "true or false",
            Kind::Enum(_) => "the number of an enumeration",
            Kind::Message(message) => message.name,
            _ => "a number",
        };
        write!(f, "{wanted} for {}", self.field.name)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => self.writer.varint_field(self.field.number, u64::from(value)),
            Kind::HexId => self.writer.len_field(self.field.number, BAD_ID),
            _ => return Err(E::invalid_type(Unexpected::Bool(value), &self)),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(Number::Whole(value.into()), Unexpected::Signed(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(Number::Whole(value.into()), Unexpected::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(Number::Real(value), Unexpected::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let Self { field, writer } = self;
        match field.kind {
            Kind::Text => writer.len_field(field.number, text.as_bytes()),
            Kind::Base64 => match BASE64.decode(standard_alphabet(text).as_bytes()) {
                Ok(bytes) => writer.len_field(field.number, &bytes),
                Err(_) => return Err(E::invalid_value(Unexpected::Str(text), &Self { field, writer })),
            },
            Kind::HexId => write_id(writer, field.number, text),
            Kind::Bool if text.eq_ignore_ascii_case("true") => writer.varint_field(field.number, 1),
            Kind::Bool if text.eq_ignore_ascii_case("false") => writer.varint_field(field.number, 0),
            Kind::Enum(by_name) if text.parse::<i128>().is_err() => {
                // A name from a newer version means as much as no value.
                writer.varint_field(field.number, i64::from(by_name(text).unwrap_or(0)).cast_unsigned());
            }
            _ => {
                return match parse(text) {
                    Some(number) => Self { field, writer }.number(number, Unexpected::Str(text)),
                    None => Err(E::invalid_value(Unexpected::Str(text), &Self { field, writer })),
                };
            }
        }
        Ok(())
    }
}

impl ScalarVisitor<'_> {
    fn number<E: Error>(self, value: Number, given: Unexpected<'_>) -> Result<(), E> {
        let Self { field, writer } = self;
        let Field { number, kind, .. } = field;
        match *kind {
            Kind::Double => writer.fixed64_field(*number, value.real().to_bits()),
            Kind::IntOrDouble(_) if value.fits() => writer.varint_field(*number, value.signed().cast_unsigned()),
            Kind::Sfixed64OrDouble(_) if value.fits() => {
                writer.fixed64_field(*number, value.signed().cast_unsigned());
            }
            Kind::IntOrDouble(double) | Kind::Sfixed64OrDouble(double) => {
                writer.fixed64_field(double, value.real().to_bits());
            }
            // Protobuf writes enumerations and 32-bit numbers below zero as 64 bits.
            Kind::Enum(_) => writer.varint_field(*number, value.signed().cast_unsigned()),
            Kind::Int => writer.varint_field(*number, value.unsigned()),
            Kind::Sint => {
                let value = value.signed().clamp(i32::MIN.into(), i32::MAX.into());
                writer.varint_field(*number, (value << 1 ^ value >> 63).cast_unsigned());
            }
            Kind::Fixed32 => {
                writer.fixed32_field(*number, u32::try_from(value.unsigned()).unwrap_or(u32::MAX));
            }
            Kind::Fixed64 => writer.fixed64_field(*number, value.unsigned()),
            Kind::HexId => writer.len_field(*number, BAD_ID),
            Kind::Text | Kind::Base64 | Kind::Bool | Kind::Message(_) => {
                return Err(E::invalid_type(given, &Self { field, writer }));
            }
        }
        Ok(())
    }
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }

    /// Cuts off a fraction; numbers out of range, which are broken clocks or counters, become the nearest in range.
    fn signed(self) -> i64 {
        match self {
            Self::Whole(number) => number.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
            Self::Real(number) => number as i64,
        }
    }

    fn unsigned(self) -> u64 {
        match self {
            Self::Whole(number) => number.clamp(0, u64::MAX.into()) as u64,
            Self::Real(number) => number as u64,
        }
    }

    /// True for a whole number within 64 bits.
    fn fits(self) -> bool {
        match self {
            Self::Whole(number) => i64::try_from(number).is_ok(),
            Self::Real(number) => number.fract() == 0.0 && number.abs() < i64::MAX as f64,
        }
    }
}

fn parse(text: &str) -> Option<Number> {
    match text {
        "NaN" => Some(Number::Real(f64::NAN)),
        "Infinity" => Some(Number::Real(f64::INFINITY)),
        "-Infinity" => Some(Number::Real(f64::NEG_INFINITY)),
        "" => Some(Number::Whole(0)),
        _ => match text.parse() {
            Ok(whole) => Some(Number::Whole(whole)),
            // Rust also knows "inf" and "nan" as numbers, which JSON does not.
            Err(_) if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => {
                text.parse().ok().map(Number::Real)
            }
            Err(_) => None,
        },
    }
}

fn write_id(writer: &mut Writer, number: u32, digits: &str) {
    /// The longest id, a trace id.
    const BYTES: usize = 16;
    let mut id = [0; BYTES];
    let digits = digits.as_bytes();
    let decoded = digits.len().is_multiple_of(2)
        && digits.len() <= 2 * BYTES
        && digits.chunks_exact(2).zip(&mut id).all(|(pair, byte)| {
            let both = nibble(pair[0]).zip(nibble(pair[1]));
            both.map(|(high, low)| *byte = high << 4 | low).is_some()
        });
    writer.len_field(number, if decoded { &id[..digits.len() / 2] } else { BAD_ID });
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn standard_alphabet(text: &str) -> Cow<'_, str> {
    if text.contains(['-', '_']) { text.replace('-', "+").replace('_', "/").into() } else { text.into() }
}
