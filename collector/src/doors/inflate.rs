//! Opens compressed bodies, within the limits: what a few bytes become is counted while it comes out.

use std::{
    io::{self, Read},
    mem,
};

use bytes::{Buf as _, Bytes, buf::Reader};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use zstd::stream::read::Decoder as ZstdDecoder;

use super::{body::BodyError, budget::Reservation};

/// Bytes inflated at once.
const PIECE_BYTES: usize = 64 << 10;

/// What is inflated beside other connections; the rest is done on a thread that may block.
const INLINE_BYTES: usize = 1 << 20;

/// The window that zstd may ask memory for, as a power of two: RFC 9659 allows no more in HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The encodings, as headers name them.
pub(super) const ENCODINGS: &str = "gzip, zstd, deflate";

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    /// The zlib format, as RFC 9110 says.
    Deflate,
    Zstd,
}

impl Encoding {
    /// The encoding that `Content-Encoding` names; `None` for one that is not supported.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Some(Self::Plain) };
        if values.next().is_some() { None } else { Self::named(value.to_str().ok()?.trim()) }
    }

    /// The encoding of this name; `None` for one that is not supported.
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = [
            ("", Self::Plain),
            ("identity", Self::Plain),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("zstd", Self::Zstd),
            ("deflate", Self::Deflate),
        ];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, encoding)| encoding)
    }

    /// The word for people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate (in the zlib format)",
            Self::Zstd => "zstd",
        }
    }
}

/// Inflates a body; gives it back with the reservation of its bytes, as it gives back one that is plain.
pub(super) async fn inflate(
    body: Bytes,
    encoding: Encoding,
    limit: usize,
    mut reservation: Reservation,
) -> Result<(Bytes, Reservation), BodyError> {
    if encoding == Encoding::Plain {
        return Ok((body, reservation));
    }
    // The cap has room for the largest request, and not for its packed bytes beside it.
    reservation.release();
    let mut inflation = Inflation::new(body, encoding, limit, reservation)?;
    if inflation.run(INLINE_BYTES)? {
        return Ok(inflation.finish());
    }
    // A few bytes may inflate for long; other connections are served meanwhile.
    let rest = tokio::task::spawn_blocking(move || inflation.run(usize::MAX).map(|_| inflation.finish())).await;
    rest.unwrap_or_else(|died| Err(BodyError::Broken(died.to_string())))
}

/// A body that is being inflated.
struct Inflation {
    decoder: Decoder,
    encoding: Encoding,
    limit: usize,
    reservation: Reservation,
    piece: Vec<u8>,
    inflated: Vec<u8>,
}

enum Decoder {
    Gzip(MultiGzDecoder<Reader<Bytes>>),
    Deflate(ZlibDecoder<Reader<Bytes>>),
    Zstd(Box<ZstdDecoder<'static, Reader<Bytes>>>),
}

impl Inflation {
    fn new(body: Bytes, encoding: Encoding, limit: usize, reservation: Reservation) -> Result<Self, BodyError> {
        let not_encoded = |error: io::Error| BodyError::NotEncoded { encoding, reason: error.to_string() };
        let decoder = match encoding {
            Encoding::Plain | Encoding::Gzip => Decoder::Gzip(MultiGzDecoder::new(body.reader())),
            Encoding::Deflate => Decoder::Deflate(ZlibDecoder::new(body.reader())),
            Encoding::Zstd => {
                let mut decoder = ZstdDecoder::with_buffer(body.reader()).map_err(not_encoded)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(not_encoded)?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { decoder, encoding, limit, reservation, piece: vec![0; PIECE_BYTES], inflated: Vec::new() })
    }

    /// Goes on until the end or until this many bytes are inflated; true at the end.
    fn run(&mut self, until: usize) -> Result<bool, BodyError> {
        while self.inflated.len() < until {
            let length = self.decoder.read(&mut self.piece).map_err(|error| self.not_encoded(&error))?;
            if length == 0 {
                return self.at_end().map(|()| true);
            }
            if self.inflated.len() + length > self.limit {
                return Err(BodyError::TooLarge);
            }
            self.reserve(length)?;
            self.inflated.extend_from_slice(&self.piece[..length]);
        }
        Ok(false)
    }

    fn reserve(&mut self, length: usize) -> Result<(), BodyError> {
        // zstd keeps its window beside what has come out of it. That counts while there is room, so that a cap which
        // just fits the largest request never sends it away for ever.
        let keeps_window = self.encoding == Encoding::Zstd && self.inflated.len() < 1 << ZSTD_WINDOW_LOG;
        if keeps_window && self.reservation.grow(2 * length).is_ok() {
            return Ok(());
        }
        self.reservation.grow(length).map_err(|_| BodyError::Spent)
    }

    /// A zlib stream ends by itself; what stands behind it belongs to nobody.
    fn at_end(&self) -> Result<(), BodyError> {
        match &self.decoder {
            Decoder::Deflate(decoder) if decoder.get_ref().get_ref().has_remaining() => {
                Err(self.not_encoded(&io::Error::other("bytes after its end")))
            }
            _ => Ok(()),
        }
    }

    fn not_encoded(&self, error: &io::Error) -> BodyError {
        BodyError::NotEncoded { encoding: self.encoding, reason: error.to_string() }
    }

    fn finish(mut self) -> (Bytes, Reservation) {
        (mem::take(&mut self.inflated).into(), self.reservation)
    }
}

impl Read for Decoder {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(piece),
            Self::Deflate(decoder) => decoder.read(piece),
            Self::Zstd(decoder) => decoder.read(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::*;
    use crate::doors::budget::Budget;

    const ALL: [Encoding; 3] = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    fn packed(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Plain => bytes.to_vec(),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn open(encoding: Encoding, bytes: &[u8], limit: usize, budget: usize) -> Result<Bytes, BodyError> {
        let reservation = Budget::new(budget).reservation();
        let mut inflation = Inflation::new(Bytes::copy_from_slice(bytes), encoding, limit, reservation)?;
        assert!(inflation.run(usize::MAX)?);
        Ok(inflation.finish().0)
    }

    #[test]
    fn inflation_stops_at_the_limit_and_at_the_budget() {
        for encoding in ALL {
            let bomb = packed(encoding, &vec![0; 10 << 20]);
            assert!(matches!(open(encoding, &bomb, 1 << 20, 8 << 20), Err(BodyError::TooLarge)), "{encoding:?}");
            assert!(matches!(open(encoding, &bomb, 64 << 20, 8 << 20), Err(BodyError::Spent)), "{encoding:?}");
            let exact = packed(encoding, &[1; 1000]);
            assert_eq!(open(encoding, &exact, 1000, 8 << 20).unwrap().len(), 1000);
            assert!(matches!(open(encoding, &exact, 999, 8 << 20), Err(BodyError::TooLarge)));
        }
    }

    #[test]
    fn a_window_that_is_too_large_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG + 1).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.write_all(&[7; 100]).unwrap();
        let huge = encoder.finish().unwrap();
        let opened = open(Encoding::Zstd, &huge, 1 << 20, 1 << 20);
        assert!(matches!(opened, Err(BodyError::NotEncoded { .. })), "{opened:?}");
    }

    #[test]
    fn broken_bodies_are_said_so() {
        for encoding in ALL {
            let good = packed(encoding, &[1; 1000]);
            let truncated = &good[..good.len() - 3];
            let mut wrong_sum = good.clone();
            let at = wrong_sum.len() - if encoding == Encoding::Gzip { 6 } else { 2 };
            wrong_sum[at] ^= 1;
            for bytes in [b"plain text".as_slice(), truncated, &wrong_sum, &[&good[..], b"garbage"].concat()] {
                let opened = open(encoding, bytes, 10_000, 1 << 20);
                assert!(matches!(opened, Err(BodyError::NotEncoded { .. })), "{encoding:?}: {opened:?}");
            }
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
