//! The fifty nasty inputs: each gets a good answer, and the next good request works.

use super::items::{Item, Level, Proof};

pub(crate) mod bytes;
pub(crate) mod spans;

pub(crate) const OTHERS: &[Item] = &[
    Item {
        name: "n44_a_panic_is_no_reason_to_send_again",
        level: Level::Advice,
        expected: "a handler panics: 500 / INTERNAL, and the server lives",
        peers: "tonic, as Rotel uses it: CANCELLED, which SDKs send again for ever",
        proof: Proof::Beside { file: "collector/src/doors/grpc.rs", test: "a_panic_is_an_internal_error" },
    },
    Item {
        name: "n45_a_stop_under_load_loses_nothing",
        level: Level::Advice,
        expected: "a stop under load: what is under way is answered, nothing acknowledged is lost",
        peers: "",
        proof: Proof::Beside {
            file: "collector/tests/binary/durability.rs",
            test: "a_stop_under_load_is_quick_and_loses_nothing",
        },
    },
    Item {
        name: "n50_wrong_tokens",
        level: Level::Advice,
        expected: "no token, a wrong one, one in the query: 401 with a Status before the body is read",
        peers: "",
        proof: Proof::Pending("there is no authentication yet"),
    },
];
