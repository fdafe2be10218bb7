//! The `loopscope` program.

fn main() {}
