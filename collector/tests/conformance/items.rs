//! What an item of the checklist is, and how a list of them becomes tests.

/// How much OTLP wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Must,
    Should,
    May,
    /// Nobody demands it, and exporters or operators are better off.
    Advice,
}

/// Why an item is thought to hold.
#[derive(Clone, Copy)]
pub(crate) enum Proof {
    /// A test of this suite.
    Test(fn()),
    /// A test that needs what this suite cannot do, in a file of the crate.
    Beside { file: &'static str, test: &'static str },
    /// It does not hold yet, or only in part.
    Pending(&'static str),
}

/// One item of the checklist.
#[derive(Clone, Copy)]
pub(crate) struct Item {
    /// Code and what holds, as the name of a function: `c05_partial_success_counts_exactly`.
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// What is sent, and what must come of it.
    pub(crate) expected: &'static str,
    /// What others do, where it is known; else empty.
    pub(crate) peers: &'static str,
    pub(crate) proof: Proof,
}

impl Item {
    /// The code as people write it: `C5`, and the bare number of a nasty input.
    pub(crate) fn code(&self) -> String {
        let (group, number) = self.group_and_number();
        if group == 'n' { number.to_string() } else { format!("{}{number}", group.to_ascii_uppercase()) }
    }

    /// The letter of the group and the place in it.
    pub(crate) fn group_and_number(&self) -> (char, u32) {
        let (group, rest) = self.name.split_at(1);
        let number = rest.split('_').next().and_then(|number| number.parse().ok());
        (group.chars().next().unwrap(), number.unwrap_or_else(|| panic!("{} begins with no code", self.name)))
    }
}

/// Makes a list of items, and one test of each.
macro_rules! items {
    ($($name:ident: $level:ident, $expected:literal, $peers:literal;)*) => {
        pub(crate) const ITEMS: &[crate::items::Item] = &[$(crate::items::Item {
            name: stringify!($name),
            level: crate::items::Level::$level,
            expected: $expected,
            peers: $peers,
            proof: crate::items::Proof::Test($name),
        }),*];

        mod tests {
            $(#[test]
            fn $name() {
                super::$name();
            })*
        }
    };
}
