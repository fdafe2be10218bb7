//! Replays lists of operations that a fuzzer makes up: `cargo +nightly fuzz run operations` in `analyzer/`.

#![no_main]

#[path = "../operations.rs"]
mod operations;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| operations::replay(bytes));
