//! Bytes as OTLP requests in protobuf: `LOOPSCOPE_SKIP_UI=1 cargo +nightly fuzz run protobuf fuzz/corpus/protobuf
//! fuzz/seeds/protobuf` in `collector/`.

#![no_main]

#[path = "../decoders.rs"]
#[expect(dead_code, reason = "the rest is for the other target")]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::protobuf(bytes));
