//! The secret that signs webhook messages.
//!
//! It is never shown: `Debug` is redacted and there is no `Display`.

use std::fmt;

/// Fewest bytes of a secret, as Standard Webhooks asks.
const MIN_SECRET_BYTES: usize = 24;

/// Prefix of a secret that is written in base64.
const BASE64_PREFIX: &str = "whsec_";

/// A shared secret of webhook messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a text is no secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is too short to be safe.
    #[error(
        "it is too short; give at least {MIN_SECRET_BYTES} bytes, for example whsec_ and the output of `openssl rand -base64 32`"
    )]
    TooShort,
    /// The text after `whsec_` is not base64.
    #[error("what follows whsec_ is not base64; give whsec_ and the output of `openssl rand -base64 32`")]
    NotBase64,
}

impl Secret {
    /// Reads `whsec_` followed by base64, or takes a plain text of at least 24 bytes as it is.
    ///
    /// # Errors
    /// When the secret is too short or cannot be decoded.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if let Some(base64) = text.strip_prefix(BASE64_PREFIX) {
            standardwebhooks::Webhook::new(text).map_err(|_| SecretError::NotBase64)?;
            // Base64 writes three bytes as four digits; the padding stands for none.
            let bytes = base64.trim_end_matches('=').len() * 3 / 4;
            return if bytes < MIN_SECRET_BYTES { Err(SecretError::TooShort) } else { Ok(Self(text.to_owned())) };
        }
        if text.len() < MIN_SECRET_BYTES { Err(SecretError::TooShort) } else { Ok(Self(text.to_owned())) }
    }

    /// What signs with this secret.
    ///
    /// # Errors
    /// Never for a secret that [`Secret::parse`] took.
    pub fn signer(&self) -> Result<standardwebhooks::Webhook, standardwebhooks::WebhookError> {
        if self.0.starts_with(BASE64_PREFIX) {
            standardwebhooks::Webhook::new(&self.0)
        } else {
            standardwebhooks::Webhook::from_bytes(self.0.clone().into_bytes())
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        assert!(Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
        assert!(Secret::parse("correct horse battery staple").is_ok());
        assert_eq!(Secret::parse("short"), Err(SecretError::TooShort));
        assert_eq!(Secret::parse("whsec_c2hvcnQ="), Err(SecretError::TooShort));
        assert_eq!(Secret::parse("whsec_not base64 at all, not even nearly"), Err(SecretError::NotBase64));
    }

    #[test]
    fn it_is_never_shown() {
        let secret = Secret::parse("correct horse battery staple").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
    }
}
