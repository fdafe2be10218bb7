//! The colours of both themes keep the contrast that people need: text 4.5 to 1, signs 3 to 1.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../web/style.css");

/// Grounds on which text and signs stand.
const GROUNDS: [&str; 3] = ["canvas", "surface", "raised"];

#[test]
fn text_is_legible_on_every_ground() {
    for theme in themes() {
        for token in ["text", "muted", "link"] {
            for ground in GROUNDS {
                check(&theme, token, ground, 4.5);
            }
        }
        check(&theme, "ink", "loop", 4.5);
        check(&theme, "ink", "link", 4.5);
        check(&theme, "loop", "canvas", 4.5);
        check(&theme, "crit", "surface", 4.5);
        check(&theme, "err", "surface", 4.5);
    }
}

#[test]
fn signs_can_be_told_from_every_ground() {
    for theme in themes() {
        for token in ["edge", "border", "fast", "norm", "slow", "crit", "err", "loop", "cold", "focus"] {
            for ground in GROUNDS {
                check(&theme, token, ground, 3.0);
            }
        }
        for filled in ["slow", "crit"] {
            check(&theme, "ink", filled, 3.0);
        }
    }
}

#[track_caller]
fn check(theme: &BTreeMap<String, [f64; 3]>, token: &str, ground: &str, least: f64) {
    let (a, b) = (luminance(theme[token]), luminance(theme[ground]));
    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
    assert!(contrast >= least, "{token} on {ground}: {contrast:.2} is less than {least}");
}

/// The dark and the light list of the style sheet; what the light one does not name it takes from the dark one.
fn themes() -> [BTreeMap<String, [f64; 3]>; 2] {
    let mut blocks = STYLE.split(":root").skip(1).map(|block| block.split('}').next().unwrap_or_default());
    let dark = colors(blocks.next().expect("there is a dark theme"));
    let mut light = dark.clone();
    light.extend(colors(blocks.next().expect("there is a light theme")));
    [dark, light]
}

fn colors(block: &str) -> BTreeMap<String, [f64; 3]> {
    let declarations = block.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
    let with_six_digits = declarations.filter_map(|(name, value)| Some((name, value.strip_suffix(';')?)));
    with_six_digits.filter(|(_, value)| value.len() == 6).map(|(name, value)| (name.to_owned(), rgb(value))).collect()
}

fn rgb(hex: &str) -> [f64; 3] {
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).expect("two hexadecimal digits")) / 255.0)
}

/// Relative luminance as WCAG 2 defines it.
fn luminance(color: [f64; 3]) -> f64 {
    let linear = color.map(|it| if it <= 0.04045 { it / 12.92 } else { ((it + 0.055) / 1.055).powf(2.4) });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}
