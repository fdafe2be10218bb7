//! What linker and aggregate know, as bytes and back: so that a start need not read everything again.
//!
//! Each type of that state says in one line, beside its definition, which fields it is made of. Bytes are read by the
//! same version of the engine that wrote them, on any machine; others are told apart by [`FORMAT`] and refused as a
//! whole, because a state that is half understood is worse than none. The shards are not part of it: what they hold is
//! minutes old at most, and comes back by replaying those minutes.
//!
//! ```text
//!   state!(Type { a, b });           a struct, by its fields
//!   state!(Type { a, b } else { c }) the same, where c begins anew
//!   state!(Type(inner));             a struct of one value
//!   state!(enum Type { A, B });      an enumeration without values
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    hash::{BuildHasher, Hash},
    sync::Arc,
    time::Duration,
};

use smallvec::SmallVec;

/// The format of the bytes. Raise it whenever a saved type changes; a test tells when.
pub const FORMAT: u32 = 9;

/// A part of the state.
pub(crate) trait State: Sized {
    /// Appends its bytes.
    fn save(&self, to: &mut Vec<u8>);

    /// Takes its bytes from the front; `None` when they are not its own.
    fn load(from: &mut &[u8]) -> Option<Self>;
}

/// The bytes of a value.
pub(crate) fn bytes_of(value: &impl State) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.save(&mut bytes);
    bytes
}

/// The value of bytes, all of which are its own.
pub(crate) fn value_of<T: State>(mut bytes: &[u8]) -> Option<T> {
    let value = T::load(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

macro_rules! state {
    ($type:ident { $($field:ident),* $(,)? }) => {
        state!($type { $($field),* } else {});
    };
    ($type:ident { $($field:ident),* $(,)? } else { $($fresh:ident),* }) => {
        impl $crate::state::State for $type {
            fn save(&self, to: &mut Vec<u8>) {
                $($crate::state::State::save(&self.$field, to);)*
            }

            fn load(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::state::State::load(from)?,)* $($fresh: Default::default(),)* })
            }
        }
    };
    ($type:ident(inner)) => {
        impl $crate::state::State for $type {
            fn save(&self, to: &mut Vec<u8>) {
                $crate::state::State::save(&self.0, to);
            }

            fn load(from: &mut &[u8]) -> Option<Self> {
                $crate::state::State::load(from).map(Self)
            }
        }
    };
    (enum $type:ident { $($variant:ident),* $(,)? }) => {
        impl $crate::state::State for $type {
            fn save(&self, to: &mut Vec<u8>) {
                to.push(*self as u8);
            }

            fn load(from: &mut &[u8]) -> Option<Self> {
                let number: u8 = $crate::state::State::load(from)?;
                [$(Self::$variant),*].into_iter().find(|variant| *variant as u8 == number)
            }
        }
    };
}
pub(crate) use state;

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl State for $number {
            fn save(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn load(from: &mut &[u8]) -> Option<Self> {
                let (own, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*own))
            }
        })*
    };
}
numbers!(u8, u16, u32, u64, u128, i32, i64, f32, f64);

impl State for usize {
    fn save(&self, to: &mut Vec<u8>) {
        (*self as u64).save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        u64::load(from)?.try_into().ok()
    }
}

impl State for bool {
    fn save(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        match u8::load(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl State for Duration {
    fn save(&self, to: &mut Vec<u8>) {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX).save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        u64::load(from).map(Self::from_nanos)
    }
}

impl State for Arc<str> {
    fn save(&self, to: &mut Vec<u8>) {
        self.len().save(to);
        to.extend_from_slice(self.as_bytes());
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        let length = usize::load(from)?;
        let (text, rest) = from.split_at_checked(length)?;
        *from = rest;
        std::str::from_utf8(text).ok().map(Self::from)
    }
}

impl<T: State> State for Option<T> {
    fn save(&self, to: &mut Vec<u8>) {
        self.is_some().save(to);
        if let Some(value) = self {
            value.save(to);
        }
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        if bool::load(from)? { T::load(from).map(Some) } else { Some(None) }
    }
}

impl<T: State> State for Box<T> {
    fn save(&self, to: &mut Vec<u8>) {
        (**self).save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        T::load(from).map(Self::new)
    }
}

impl<T: State> State for Arc<T> {
    fn save(&self, to: &mut Vec<u8>) {
        (**self).save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        T::load(from).map(Self::new)
    }
}

impl<A: State, B: State> State for (A, B) {
    fn save(&self, to: &mut Vec<u8>) {
        self.0.save(to);
        self.1.save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        Some((A::load(from)?, B::load(from)?))
    }
}

impl<T: State, const N: usize> State for [T; N] {
    fn save(&self, to: &mut Vec<u8>) {
        self.iter().for_each(|value| value.save(to));
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        let values: Option<Vec<T>> = (0..N).map(|_| T::load(from)).collect();
        values?.try_into().ok()
    }
}

fn save_all<'a, T: State + 'a>(count: usize, values: impl Iterator<Item = &'a T>, to: &mut Vec<u8>) {
    count.save(to);
    values.for_each(|value| value.save(to));
}

/// Keys with their values, in the form of a list of pairs.
pub(crate) fn save_pairs<'a, K: State + 'a, V: State + 'a>(
    pairs: impl ExactSizeIterator<Item = (&'a K, &'a V)>,
    to: &mut Vec<u8>,
) {
    pairs.len().save(to);
    for (key, value) in pairs {
        key.save(to);
        value.save(to);
    }
}

/// Reads one after the other, so that a count that is wrong asks for no memory.
pub(crate) fn load_all<T: State, C: FromIterator<T>>(from: &mut &[u8]) -> Option<C> {
    let count = usize::load(from)?;
    (0..count).map(|_| T::load(from)).collect()
}

macro_rules! lists {
    ($($list:ty { $($bound:tt)* };)*) => {
        $(impl<T: State $($bound)*> State for $list {
            fn save(&self, to: &mut Vec<u8>) {
                save_all(self.len(), self.iter(), to);
            }

            fn load(from: &mut &[u8]) -> Option<Self> {
                load_all(from)
            }
        })*
    };
}
lists! {
    Vec<T> {};
    VecDeque<T> {};
    BTreeSet<T> { + Ord };
    BinaryHeap<T> { + Ord };
}

impl<T: State, const N: usize> State for SmallVec<[T; N]>
where
    [T; N]: smallvec::Array<Item = T>,
{
    fn save(&self, to: &mut Vec<u8>) {
        save_all(self.len(), self.iter(), to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        load_all(from)
    }
}

impl<T: State> State for std::cmp::Reverse<T> {
    fn save(&self, to: &mut Vec<u8>) {
        self.0.save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        T::load(from).map(Self)
    }
}

impl<K: State + Eq + Hash, V: State, S: BuildHasher + Default> State for std::collections::HashMap<K, V, S> {
    fn save(&self, to: &mut Vec<u8>) {
        save_pairs(self.iter(), to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        load_all(from)
    }
}

impl<K: State + Ord, V: State> State for BTreeMap<K, V> {
    fn save(&self, to: &mut Vec<u8>) {
        save_pairs(self.iter(), to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        load_all(from)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use expect_test::expect;
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{SECOND, START, Story, describe},
        span::{ArrivalTime, Span},
    };

    /// All that is saved, by the lines that say so.
    fn saved_types(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                saved_types(&path, found);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let places = text.match_indices("\nstate!(").map(|(at, _)| at);
                found.extend(places.map(|at| text[at..].split(");\n").next().unwrap().split_whitespace().collect()));
            }
        }
    }

    #[test]
    fn a_change_of_what_is_saved_raises_the_format() {
        let mut found = Vec::new();
        saved_types(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found.sort();
        // When this fails, raise FORMAT, and then write the new numbers here.
        expect!["9 148 983559ea91d4d8a3"].assert_eq(&format!(
            "{FORMAT} {} {:016x}",
            found.len(),
            xxh3_64(found.concat().as_bytes())
        ));
    }

    /// Spans with their arrival, a quarter of a second apart.
    fn arrivals(spans: Vec<Span>) -> Vec<(ArrivalTime, Span)> {
        (0..).zip(spans).map(|(at, span)| (ArrivalTime(START.0 + at * SECOND / 4), span)).collect()
    }

    fn feed(engine: &mut Engine, spans: &[(ArrivalTime, Span)]) {
        for (at, span) in spans {
            engine.tick(*at);
            engine.ingest(*at, [span.clone()]);
        }
    }

    /// What is known when the engine is saved and loaded after `cut` spans, or never.
    fn known(spans: &[(ArrivalTime, Span)], cut: Option<usize>) -> String {
        let config = Config::recommended();
        let mut engine = Engine::new(&config, 2);
        let (before, after) = spans.split_at(cut.unwrap_or(0));
        feed(&mut engine, before);
        if cut.is_some() {
            let now = before.last().map_or(START, |(at, _)| *at);
            engine.tick(now);
            let (linker, aggregate) = engine.save(now);
            engine = Engine::load(&config, 2, (&linker, &aggregate), now, before.iter().cloned()).unwrap();
        }
        feed(&mut engine, after);
        let last = spans.last().map_or(START, |(at, _)| *at);
        for second in 1..60 {
            engine.tick(ArrivalTime(last.0 + second * SECOND));
        }
        let end = ArrivalTime(last.0 + 60 * SECOND);
        engine.tick(end);
        let snapshot = engine.snapshot(end);
        let functions: Vec<String> = snapshot
            .functions
            .iter()
            .map(|node| format!("{} {} {:.3} {:.3}", node.name, node.invocations, node.p50_ms, node.p95_ms))
            .collect();
        let loops: Vec<String> = snapshot
            .loops
            .iter()
            .map(|it| {
                format!(
                    "{} {:?} {:?} {} {} {:?} {:?}",
                    it.id, it.assessment, it.reasons, it.open_chains, it.learned_chains, it.alarm_depth, it.exemplars
                )
            })
            .collect();
        format!("{}\n{}\n{}\n{:?}", describe(&snapshot), functions.join("\n"), loops.join("\n"), snapshot.losses)
    }

    #[test]
    fn what_is_not_a_state_is_refused() {
        let config = Config::recommended();
        let mut engine = Engine::new(&config, 1);
        feed(&mut engine, &arrivals(Story::parse("a ~> b ~> a -> c ~> a").spans));
        let (linker, aggregate) = engine.save(START);
        let load = |linker: &[u8], aggregate: &[u8]| Engine::load(&config, 1, (linker, aggregate), START, []).is_some();
        assert!(load(&linker, &aggregate));
        assert!(!load(&linker, &linker) && !load(&aggregate, &aggregate) && !load(&[], &[]));
        for length in (0..linker.len()).step_by(7) {
            assert!(!load(&linker[..length], &aggregate));
        }
        let other = Config { loop_capacity: 7, ..Config::recommended() };
        assert!(Engine::load(&other, 1, (&linker, &aggregate), START, []).is_none());
    }

    proptest! {
        #[test]
        fn going_on_from_a_saved_state_is_going_on(
            cycle in 1usize..4,
            laps in 1usize..20,
            message in any::<bool>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let arrow = if message { "~q~>" } else { "->" };
            let story: String = (1..=cycle * laps).map(|at| format!(" {arrow} f{}", at % cycle)).collect();
            let spans = arrivals(Story::parse(&format!("f0{story}\nx -> y\nf0 -> f0")).spans);
            let straight = known(&spans, None);
            prop_assert_eq!(known(&spans, Some(cut.index(spans.len() + 1))), straight);
        }

        #[test]
        fn no_bytes_break_the_loader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let config = Config::recommended();
            prop_assert!(Engine::load(&config, 1, (&bytes, &bytes), START, []).is_none());
        }
    }
}
