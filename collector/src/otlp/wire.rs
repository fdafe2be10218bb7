//! Reads protobuf fields one after the other out of borrowed bytes.
//!
//! It knows the wire format and no message: which field number means what stands in the modules beside it. It never
//! allocates and never recurses, whatever the bytes say.

/// Why bytes are not protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A value is longer than what is left of its message.
    #[error("a field ends after the end of its message")]
    Truncated,
    /// A varint has more than ten bytes.
    #[error("a variable-length integer is longer than 64 bits")]
    VarintTooLong,
    /// A tag has field number zero, one above the protobuf limit, or a wire type that does not exist.
    #[error("a field tag is not valid")]
    BadTag,
    /// A group ends that did not begin, or does not end, or lies too deep.
    #[error("a group is not closed or is nested too deeply")]
    BadGroup,
    /// A known field has another type than its schema says.
    #[error("a field has another type than its schema says")]
    WrongType,
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Len(&'a [u8]),
    Fixed32(u32),
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
}

/// The fields of a message in wire order; groups are skipped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// Bound on groups within groups, the same as in common protobuf readers.
const GROUP_DEPTH: usize = 100;

const WIRE_VARINT: u32 = 0;
const WIRE_FIXED64: u32 = 1;
const WIRE_LEN: u32 = 2;
const WIRE_GROUP_START: u32 = 3;
const WIRE_GROUP_END: u32 = 4;
const WIRE_FIXED32: u32 = 5;

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The bytes after the last field that was read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field, or `None` at the end of the message.
    // Inlined, because it is the innermost step of every walk: the caller's match on the number and the match on the
    // wire type in here become one.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        while !self.rest.is_empty() {
            let (number, wire_type) = self.tag()?;
            let value = match wire_type {
                WIRE_LEN => Value::Len(self.slice()?),
                WIRE_VARINT => Value::Varint(self.varint()?),
                WIRE_FIXED64 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
                WIRE_FIXED32 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
                _ => {
                    self.skip_group(number, wire_type)?;
                    continue;
                }
            };
            return Ok(Some(Field { number, value }));
        }
        Ok(None)
    }

    #[inline(always)]
    fn tag(&mut self) -> Result<(u32, u32), WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::BadTag)?;
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number == 0 || wire_type > WIRE_FIXED32 { Err(WireError::BadTag) } else { Ok((number, wire_type)) }
    }

    #[inline(always)]
    fn slice(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(value)
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<u64, WireError> {
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        if let [low @ 0x80..=0xff, high @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(low & 0x7f) | u64::from(*high) << 7);
        }
        self.long_varint()
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit only.
            if i == 9 && *byte > 1 {
                return Err(WireError::VarintTooLong);
            }
            number |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 { WireError::Truncated } else { WireError::VarintTooLong })
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    /// Skips to the end of the group whose tag was read last.
    #[cold]
    fn skip_group(&mut self, number: u32, wire_type: u32) -> Result<(), WireError> {
        if wire_type != WIRE_GROUP_START {
            return Err(WireError::BadGroup);
        }
        let mut open = [0; GROUP_DEPTH];
        open[0] = number;
        let mut depth = 1;
        while depth > 0 {
            if self.rest.is_empty() {
                return Err(WireError::BadGroup);
            }
            match self.tag()? {
                (number, WIRE_GROUP_START) => {
                    *open.get_mut(depth).ok_or(WireError::BadGroup)? = number;
                    depth += 1;
                }
                (number, WIRE_GROUP_END) => {
                    depth -= 1;
                    if open[depth] != number {
                        return Err(WireError::BadGroup);
                    }
                }
                (_, WIRE_LEN) => drop(self.slice()?),
                (_, WIRE_FIXED64) => drop(self.array::<8>()?),
                (_, WIRE_FIXED32) => drop(self.array::<4>()?),
                (_, _) => drop(self.varint()?),
            }
        }
        Ok(())
    }
}

impl<'a> Value<'a> {
    /// The bytes of a string, of bytes or of a message.
    #[inline(always)]
    pub(crate) fn len(self) -> Result<&'a [u8], WireError> {
        if let Self::Len(bytes) = self { Ok(bytes) } else { Err(WireError::WrongType) }
    }

    /// A number, a truth or an enumeration.
    #[inline(always)]
    pub(crate) fn varint(self) -> Result<u64, WireError> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(WireError::WrongType) }
    }

    /// Eight bytes as a number.
    #[inline(always)]
    pub(crate) fn fixed64(self) -> Result<u64, WireError> {
        if let Self::Fixed64(number) = self { Ok(number) } else { Err(WireError::WrongType) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
        let mut fields = Fields::new(bytes);
        std::iter::from_fn(|| fields.next().transpose()).collect()
    }

    #[test]
    fn every_wire_type_is_read_and_groups_are_skipped() {
        let bytes = [
            0x08, 0x96, 0x01, // field 1: 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // field 2: fixed 1
            0x1b, 0x23, 0x08, 0x01, 0x24, 0x1c, // field 3: a group with a group in it
            0x22, 2, b'h', b'i', // field 4
            0x2d, 2, 0, 0, 0, // field 5
        ];
        assert_eq!(
            read(&bytes).unwrap(),
            [
                Field { number: 1, value: Value::Varint(150) },
                Field { number: 2, value: Value::Fixed64(1) },
                Field { number: 4, value: Value::Len(b"hi") },
                Field { number: 5, value: Value::Fixed32(2) },
            ]
        );
    }

    #[test]
    fn broken_bytes_are_typed_errors() {
        assert_eq!(read(&[0x0a, 5, 1]), Err(WireError::Truncated));
        assert_eq!(read(&[0x08, 0x80]), Err(WireError::Truncated));
        assert_eq!(
            read(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            Err(WireError::VarintTooLong)
        );
        assert_eq!(read(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Err(WireError::Truncated));
        assert_eq!(read(&[0x00, 0x00]), Err(WireError::BadTag));
        assert_eq!(read(&[0x0f]), Err(WireError::BadTag));
        assert_eq!(read(&[0x0b, 0x14]), Err(WireError::BadGroup));
        assert_eq!(read(&[0x0b]), Err(WireError::BadGroup));
        assert_eq!(read(&[0x0c]), Err(WireError::BadGroup));
        assert_eq!(read(&[0x0b; 1000]), Err(WireError::BadGroup));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut fields = Fields::new(&bytes);
            let mut read = 0;
            while let Ok(Some(_)) = fields.next() {
                read += 1;
            }
            prop_assert!(read <= bytes.len());
        }
    }
}
