//! How messages stand in the body of a gRPC call: one byte that says whether they are compressed, four with the length.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Bytes before each message.
pub(super) const PREFIX_BYTES: usize = 5;

/// Bound on the messages of one call: a body of empty ones would take eight times its bytes.
const MESSAGES_PER_CALL: usize = 16;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) is_compressed: bool,
    pub(super) bytes: Bytes,
}

/// Why a body is not a list of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the call has no message")]
    Missing,
    #[error("the message ends before its length says it does")]
    Truncated,
    #[error("the call has more than {MESSAGES_PER_CALL} messages")]
    TooMany,
    #[error("the flag before the message is {0}, and not 0 or 1")]
    BadFlag(u8),
}

/// How long the body will be at least, by the first of its messages.
pub(super) fn announced(start: &[u8]) -> Option<usize> {
    let (_, length) = start.split_first_chunk::<1>()?;
    let length = u32::from_be_bytes(*length.first_chunk()?);
    usize::try_from(length).ok()?.checked_add(PREFIX_BYTES)
}

/// The messages of a body, one at least. OTLP calls have one; protobuf reads several in a row as if they were one.
pub(super) fn messages(mut body: Bytes) -> Result<Vec<Message>, FrameError> {
    if body.is_empty() {
        return Err(FrameError::Missing);
    }
    let mut messages = Vec::with_capacity(1);
    while body.has_remaining() {
        if messages.len() == MESSAGES_PER_CALL {
            return Err(FrameError::TooMany);
        }
        if body.len() < PREFIX_BYTES {
            return Err(FrameError::Truncated);
        }
        let flag = body.get_u8();
        let length = usize::try_from(body.get_u32()).map_err(|_| FrameError::Truncated)?;
        if flag > 1 {
            return Err(FrameError::BadFlag(flag));
        }
        if body.len() < length {
            return Err(FrameError::Truncated);
        }
        messages.push(Message { is_compressed: flag == 1, bytes: body.split_to(length) });
    }
    Ok(messages)
}

/// A message as the body of an answer.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    body.put_u8(0);
    // Answers are bounded far below this.
    body.put_u32(u32::try_from(message.len()).unwrap_or_default());
    body.put_slice(message);
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_is_read_again() {
        let body = [framed(b"one"), framed(b"")].concat();
        let found = messages(body.into()).unwrap();
        assert_eq!(found.iter().map(|message| &message.bytes[..]).collect::<Vec<_>>(), [&b"one"[..], b""]);
        assert!(!found[0].is_compressed);
        assert_eq!(announced(&framed(b"one")), Some(8));
        assert_eq!(announced(&[1, 0, 0]), None);
    }

    #[test]
    fn broken_frames_are_typed_errors() {
        let of = |body: &'static [u8]| messages(Bytes::from_static(body)).unwrap_err();
        assert_eq!(of(b""), FrameError::Missing);
        assert_eq!(of(&[0, 0, 0]), FrameError::Truncated);
        assert_eq!(of(&[0, 0, 0, 0, 9, 1]), FrameError::Truncated);
        assert_eq!(of(&[5, 0, 0, 0, 0]), FrameError::BadFlag(5));
        assert_eq!(of(&[0, 0, 0, 0, 0, 1]), FrameError::Truncated);
        assert_eq!(of(&[0; 1000]), FrameError::TooMany);
        assert_eq!(messages(vec![0; PREFIX_BYTES * MESSAGES_PER_CALL].into()).unwrap().len(), MESSAGES_PER_CALL);
    }
}
