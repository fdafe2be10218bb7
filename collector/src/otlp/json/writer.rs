//! Puts protobuf fields into a buffer.

use super::schema::{Field, Kind};

/// A protobuf message that grows at its end.
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Messages that are begun and not ended.
    depth: usize,
    /// Messages that were left empty.
    cut: u64,
}

/// An open message.
pub(super) struct Open {
    /// Where its first field stands.
    start: usize,
    /// Bytes before that for its length.
    room: usize,
}

/// From this depth on, which only values within values reach, a length has [`ROOM`] from the start. Else each message
/// would be moved to make room for the length of each that it lies in.
const DEEP: usize = 16;

/// Bytes for a length whatever it is: 35 bits.
const ROOM: usize = 5;

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), depth: 0, cut: 0 }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn varint_field(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.varint(value);
    }

    pub(super) fn fixed64_field(&mut self, number: u32, value: u64) {
        self.tag(number, 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed32_field(&mut self, number: u32, value: u32) {
        self.tag(number, 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn len_field(&mut self, number: u32, value: &[u8]) {
        self.tag(number, 2);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// How many messages are begun and not ended.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Counts a message that is left empty.
    pub(super) fn count_cut(&mut self) {
        self.cut += 1;
    }

    /// How many messages were left empty.
    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    /// Begins a message within the message.
    pub(super) fn open(&mut self, number: u32) -> Open {
        self.tag(number, 2);
        // Most messages are shorter than 128 bytes, so that one byte is room enough for their length.
        let room = if self.depth < DEEP { 1 } else { ROOM };
        self.bytes.resize(self.bytes.len() + room, 0);
        self.depth += 1;
        Open { start: self.bytes.len(), room }
    }

    /// Ends the message that was begun last.
    pub(super) fn close(&mut self, Open { start, room }: Open) {
        self.depth -= 1;
        let end = self.bytes.len();
        if room == ROOM {
            // A varint may be longer than it must be.
            let mut length = end - start;
            for byte in &mut self.bytes[start - ROOM..start] {
                *byte = length as u8 | 0x80;
                length >>= 7;
            }
            self.bytes[start - 1] &= 0x7f;
            return;
        }
        self.varint((end - start) as u64);
        let width = self.bytes.len() - end;
        if width > 1 {
            let mut length = [0; 10];
            length[..width].copy_from_slice(&self.bytes[end..]);
            self.bytes.copy_within(start..end, start + width - 1);
            self.bytes[start - 1..start - 1 + width].copy_from_slice(&length[..width]);
            self.bytes.truncate(end + width - 1);
        } else {
            self.bytes[start - 1] = self.bytes[end];
            self.bytes.truncate(end);
        }
    }

    /// Writes the default of a repeated field's kind.
    pub(super) fn default_of(&mut self, field: &Field) {
        match field.kind {
            Kind::Text | Kind::Base64 | Kind::HexId | Kind::Message(_) => self.len_field(field.number, &[]),
            Kind::Bool | Kind::Int | Kind::IntOrDouble(_) | Kind::Sint | Kind::Enum(_) => {
                self.varint_field(field.number, 0);
            }
            Kind::Fixed32 => self.fixed32_field(field.number, 0),
            Kind::Fixed64 | Kind::Sfixed64OrDouble(_) | Kind::Double => self.fixed64_field(field.number, 0),
        }
    }

    fn tag(&mut self, number: u32, wire_type: u32) {
        self.varint(u64::from(number << 3 | wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}
