//! Which function or resource a span belongs to.

use std::sync::Arc;

use crate::attribute::Attributes;

/// What ran a span: the known attributes of its OTLP resource.
#[derive(Debug)]
pub struct Resource {
    /// The known attributes.
    pub attributes: Attributes,
}

impl Resource {
    /// Takes in the known attributes of an OTLP resource.
    pub fn new(attributes: Attributes) -> Arc<Self> {
        Arc::new(Self { attributes })
    }
}
