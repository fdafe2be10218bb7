//! Lists of operations, made up: what the fuzzer runs for hours, for a moment.

use proptest::prelude::*;

#[path = "../fuzz/operations.rs"]
mod operations;

proptest! {
    #[test]
    fn nothing_that_is_sent_breaks_the_engine(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        operations::replay(&bytes);
    }
}
