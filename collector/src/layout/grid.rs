//! The grid of the map: slots, their places, and which of them are taken.

use rustc_hash::FxHashMap;

/// Map units from one column to the next.
pub const COLUMN_WIDTH: f64 = 220.0;
/// Map units from one row to the next.
pub const ROW_HEIGHT: f64 = 110.0;

/// Columns and rows beyond this are not on the map; a stored place out there is not believed.
const FARTHEST_SLOT: f64 = 1_000_000.0;

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) column: i32,
    pub(super) row: i32,
}

impl Slot {
    /// The slot nearest to a place; `None` when the place is not on the map.
    pub(super) fn nearest((x, y): (f64, f64)) -> Option<Self> {
        let cell = |value: f64, step: f64| {
            let cell = (value / step).round();
            // The comparison is false for NaN, which then is not on the map either.
            (cell.abs() <= FARTHEST_SLOT).then_some(cell as i32)
        };
        Some(Self { column: cell(x, COLUMN_WIDTH)?, row: cell(y, ROW_HEIGHT)? })
    }

    /// The place of its centre, in map units.
    pub(super) fn place(self) -> (f64, f64) {
        (f64::from(self.column) * COLUMN_WIDTH, f64::from(self.row) * ROW_HEIGHT)
    }

    /// The slot as many columns to the right and rows downwards.
    pub(super) fn moved(self, columns: i32, rows: i32) -> Self {
        Self { column: self.column + columns, row: self.row + rows }
    }
}

/// Which slots are taken.
///
/// A slot counts its nodes, because two stored places may lie nearest to the same slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Grid(FxHashMap<Slot, u32>);

impl Grid {
    pub(super) fn take(&mut self, slot: Slot) {
        *self.0.entry(slot).or_default() += 1;
    }

    pub(super) fn release(&mut self, slot: Slot) {
        if let Some(count) = self.0.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&slot);
            }
        }
    }

    pub(super) fn is_free(&self, slot: Slot) -> bool {
        !self.0.contains_key(&slot)
    }

    /// The lowest row on the screen that has a node.
    pub(super) fn last_row(&self) -> Option<i32> {
        self.0.keys().map(|slot| slot.row).max()
    }
}

/// Row at which the straight line between two slots passes a column strictly between them.
pub(super) fn row_at(from: Slot, to: Slot, column: i32) -> Option<f64> {
    let (left, right) = if from.column <= to.column { (from, to) } else { (to, from) };
    if column <= left.column || column >= right.column {
        return None;
    }
    let part = f64::from(column - left.column) / f64::from(right.column - left.column);
    Some(f64::from(left.row) + part * f64::from(right.row - left.row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_places_have_no_slot() {
        for place in [(f64::NAN, 0.0), (0.0, f64::INFINITY), (1e300, 0.0)] {
            assert_eq!(Slot::nearest(place), None);
        }
        assert_eq!(Slot::nearest((-225.0, 100.0)), Some(Slot { column: -1, row: 1 }));
    }

    #[test]
    fn a_line_meets_the_columns_between_its_ends_only() {
        let (a, b) = (Slot { column: 0, row: 0 }, Slot { column: 4, row: 2 });
        assert_eq!(row_at(a, b, 2), Some(1.0));
        assert_eq!(row_at(b, a, 1), Some(0.5));
        assert_eq!(row_at(a, b, 0), None);
        assert_eq!(row_at(a, b, 4), None);
    }
}
