//! Reads the body of a request within the limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::timeout;

use super::{budget::Reservation, inflate::Encoding};

/// What is read and thrown away of a body over the limit, bytes: a client that is still sending when the connection
/// closes may never see the answer.
const DISCARD_BYTES: usize = 1 << 20;

/// How long the rest of such a body is waited for.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than the limit")]
    TooLarge,
    #[error("too many bytes are on their way in")]
    Spent,
    #[error("the body took longer than {0:?} to arrive")]
    TooSlow(Duration),
    #[error("the body could not be read to its end: {0}")]
    Broken(String),
    #[error("the body is not valid {}, as its encoding says it is: {reason}", .encoding.word())]
    NotEncoded { encoding: Encoding, reason: String },
}

/// Reads a body to its end. `announced` says how long it will be from its first bytes, if they tell.
pub(super) async fn read<B>(
    body: B,
    limit: usize,
    patience: Duration,
    reservation: &mut Reservation,
    announced: impl Fn(&[u8]) -> Option<usize>,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let collected = timeout(patience, collect(body, limit, reservation, announced)).await;
    collected.unwrap_or(Err(BodyError::TooSlow(patience)))
}

async fn collect<B>(
    mut body: B,
    limit: usize,
    reservation: &mut Reservation,
    announced: impl Fn(&[u8]) -> Option<usize>,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
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
            // Others go on with these bytes while the rest is thrown away.
            reservation.release();
            drop((first, all));
            return discard(body, BodyError::Spent).await;
        }
        // A body that comes in one piece is not copied.
        if first.is_empty() && all.is_empty() {
            expected = expected.max(announced(&data).unwrap_or_default());
            if expected > limit {
                return discard(body, BodyError::TooLarge).await;
            }
            first = data;
        } else {
            if all.is_empty() {
                // The budget is asked for bytes that have come, so a promise is no reason to take much memory.
                all.reserve(expected.min(PROMISED_BYTES).max(first.len() + data.len()));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// What is made ready for a body because of its announced length alone, bytes.
const PROMISED_BYTES: usize = 1 << 20;

async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B, error: BodyError) -> Result<Bytes, BodyError> {
    let rest = async {
        let mut discarded = 0;
        while discarded < DISCARD_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            discarded += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // A client that sends slowly is answered all the same.
    let _ = timeout(DISCARD_TIME, rest).await;
    Err(error)
}
