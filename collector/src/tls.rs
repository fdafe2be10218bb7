//! The one choice of cryptography for outgoing HTTPS.

/// Makes `ring` the provider of this process, unless one was chosen before. Must run before an HTTP client is built.
pub fn install_provider() {
    // An error says that there is a provider already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
