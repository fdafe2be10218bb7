//! The JSON form of times and enumerations.
//!
//! Everything else follows from serde's derives on the generated types.

/// Times as RFC 3339 text in UTC; an absent time is `null`.
pub mod timestamp {
    use prost_types::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    /// Writes the time as text.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the time from text.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $module:ident, $type:ident, $prefix:literal) => {
        $(#[$doc])*
        pub mod $module {
            use crate::v1::$type;
            use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

            impl $type {
                /// The lower-case word of the JSON form.
                pub fn word(self) -> String {
                    self.as_str_name().trim_start_matches($prefix).to_ascii_lowercase()
                }

                /// Reads the lower-case word of the JSON form.
                pub fn from_word(word: &str) -> Option<Self> {
                    Self::from_str_name(&format!("{}{}", $prefix, word.to_ascii_uppercase()))
                }
            }

            /// Writes the enumeration as a word.
            ///
            /// # Errors
            /// Only those of the serializer.
            pub fn serialize<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$type::try_from(*value).unwrap_or_default().word())
            }

            /// Reads the enumeration from a word.
            ///
            /// # Errors
            /// When the word is not one of the enumeration.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
                let word = String::deserialize(deserializer)?;
                $type::from_word(&word)
                    .map(i32::from)
                    .ok_or_else(|| D::Error::custom(format!("unknown {} {word:?}", stringify!($module))))
            }
        }
    };
}

word!(
    /// The state of a loop as a lower-case word.
    loop_state, LoopState, "LOOP_STATE_"
);
word!(
    /// The severity of a finding as a lower-case word.
    severity, Severity, "SEVERITY_"
);
