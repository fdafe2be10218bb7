//! Reads the body of an HTTP request within the limits, and inflates it.

use std::io::{self, Read as _};

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::timeout;

use super::{BODY_TIMEOUT, budget::Reservation};

/// What is read and thrown away of a body over the limit, bytes: a client that is still sending when the connection
/// closes may never see the answer.
const DISCARD_BYTES: usize = 1 << 20;

/// Bytes inflated at once.
const INFLATE_BYTES: usize = 64 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than the limit")]
    TooLarge,
    #[error("too many bytes are on their way in")]
    Spent,
    #[error("the body took longer than {} seconds to arrive", BODY_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the body could not be read to its end: {0}")]
    Broken(String),
    #[error("the body is not valid gzip, as Content-Encoding says it is: {0}")]
    NotGzip(io::Error),
}

impl Encoding {
    /// The encoding that the headers name; `None` for one that is not supported.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Some(Self::Plain) };
        let value = value.to_str().ok()?.trim();
        if values.next().is_some() {
            None
        } else if value.is_empty() || value.eq_ignore_ascii_case("identity") {
            Some(Self::Plain)
        } else if value.eq_ignore_ascii_case("gzip") || value.eq_ignore_ascii_case("x-gzip") {
            Some(Self::Gzip)
        } else {
            None
        }
    }
}

/// Reads a body to its end.
pub(super) async fn read<B>(body: B, limit: usize, reservation: &mut Reservation) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    timeout(BODY_TIMEOUT, collect(body, limit, reservation)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect<B>(mut body: B, limit: usize, reservation: &mut Reservation) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > limit {
        return discard(body, BodyError::TooLarge).await;
    }
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return discard(body, BodyError::TooLarge).await;
        }
        if reservation.grow(data.len()).is_err() {
            return discard(body, BodyError::Spent).await;
        }
        // A body that comes in one piece is not copied.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.reserve(expected.max(first.len() + data.len()));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B, error: BodyError) -> Result<Bytes, BodyError> {
    let mut discarded = 0;
    while discarded < DISCARD_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        discarded += frame.data_ref().map_or(0, Bytes::len);
    }
    Err(error)
}

/// Inflates a gzip body; blocks.
pub(super) fn inflate(body: &[u8], limit: usize, reservation: &mut Reservation) -> Result<Bytes, BodyError> {
    let mut inflated = Vec::new();
    let mut decoder = MultiGzDecoder::new(body);
    let mut piece = vec![0; INFLATE_BYTES];
    loop {
        let length = decoder.read(&mut piece).map_err(BodyError::NotGzip)?;
        if length == 0 {
            return Ok(inflated.into());
        }
        if inflated.len() + length > limit {
            return Err(BodyError::TooLarge);
        }
        reservation.grow(length).map_err(|_| BodyError::Spent)?;
        inflated.extend_from_slice(&piece[..length]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::doors::budget::Budget;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflation_stops_at_the_limit_and_at_the_budget() {
        let bomb = gzip(&vec![0; 10 << 20]);
        let budget = Budget::new(8 << 20);
        let inflate = |limit| inflate(&bomb, limit, &mut budget.reservation());
        assert!(matches!(inflate(1 << 20), Err(BodyError::TooLarge)));
        assert!(matches!(inflate(64 << 20), Err(BodyError::Spent)));
        let exact = gzip(&[1; 1000]);
        let inflate = |limit| super::inflate(&exact, limit, &mut budget.reservation());
        assert_eq!(inflate(1000).unwrap().len(), 1000);
        assert!(matches!(inflate(999), Err(BodyError::TooLarge)));
    }

    #[test]
    fn broken_gzip_is_said_so() {
        let budget = Budget::new(1 << 20);
        let good = gzip(&[1; 1000]);
        let truncated = &good[..good.len() - 9];
        let mut wrong_sum = good.clone();
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        for bytes in [b"plain text".as_slice(), truncated, &wrong_sum, &[&good[..], b"garbage"].concat()] {
            assert!(matches!(inflate(bytes, 10_000, &mut budget.reservation()), Err(BodyError::NotGzip(_))));
        }
    }

    #[test]
    fn encodings_are_read_in_any_case_and_never_nested() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
            }
            Encoding::of(&headers)
        };
        assert_eq!(of(&[]), Some(Encoding::Plain));
        assert_eq!(of(&[""]), Some(Encoding::Plain));
        assert_eq!(of(&["GZip"]), Some(Encoding::Gzip));
        assert_eq!(of(&["identity"]), Some(Encoding::Plain));
        for unknown in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"]] {
            assert_eq!(of(unknown), None);
        }
    }
}
