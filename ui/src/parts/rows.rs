//! A sortable table of plain data. The order changes only when rows come or go or when the reader asks for another one: a
//! list that sorts itself while somebody reads it cannot be read.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

use leptos::prelude::*;

use crate::html::{Element, el};

/// Rows shown before the reader asks for more.
const FIRST_ROWS: usize = 200;

/// A column: its heading, and whether it holds numbers, which stand on the right and begin with the largest.
pub type Column = (&'static str, bool);

/// A table.
pub struct Rows {
    /// What it lists, for its heading.
    pub caption: &'static str,
    /// The name of a row for tests.
    pub row: &'static str,
    /// Its columns; the first one holds the link of the row.
    pub columns: &'static [Column],
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A row.
pub struct Row {
    /// Tells it from the others.
    pub key: String,
    /// Where it leads; empty for nowhere.
    pub href: String,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Its place in the order, for numbers.
    pub order: f64,
    /// A class, which may be empty.
    pub class: &'static str,
}

/// A cell that is sorted by its text.
pub fn text(text: &str) -> Cell {
    Cell { text: text.to_owned(), ..Cell::default() }
}

/// A cell that is sorted by a number.
pub fn number(text: String, order: f64) -> Cell {
    Cell { text, order, class: "" }
}

/// The same, with a class.
pub fn toned(text: String, order: f64, class: &'static str) -> Cell {
    Cell { text, order, class }
}

/// The column that decides the order, and whether the largest comes first.
type By = (usize, bool);

/// What a reader has asked a table for; made once by the page, for each of its tables.
#[derive(Clone)]
pub struct Order {
    by: RwSignal<By>,
    shown: RwSignal<usize>,
    /// The order and the keys as they were shown last.
    last: Rc<RefCell<(By, Vec<String>)>>,
}

impl Order {
    /// By a column at first; `down` for the largest first.
    pub fn by(column: usize, down: bool) -> Self {
        let by = (column, down);
        Self { by: RwSignal::new(by), shown: RwSignal::new(FIRST_ROWS), last: Rc::new(RefCell::new((by, Vec::new()))) }
    }

    /// Shows a table.
    pub fn table(&self, table: Rows) -> Element {
        let Rows { caption, row, columns, rows } = table;
        let count = rows.len();
        let shown = self.shown.get();
        let rows = self.sorted(columns, rows).into_iter().take(shown).map(|it| one(it, row, columns)).collect();
        let body = el("table", "")
            .child(el("thead", "").child(el("tr", "").all(self.head(columns))))
            .child(el("tbody", "").all(rows));
        let section = el("section", "table-section")
            .child(el("h2", "").text(caption).child(el("span", "count").text(&format!(" {count}"))))
            .child(
                el("div", "table-scroll")
                    .attr("tabindex", "0")
                    .attr("role", "region")
                    .attr("aria-label", caption)
                    .child(body),
            );
        let hidden = count.saturating_sub(shown);
        if hidden == 0 {
            return section;
        }
        let more = self.shown;
        let press = Rc::new(move |_: &_| more.update(|n| *n += FIRST_ROWS));
        let text = format!("Show more ({hidden} hidden)");
        section.child(el("button", "button").attr("type", "button").on("click", press).text(&text))
    }

    fn head(&self, columns: &'static [Column]) -> Vec<Element> {
        let now = self.by.get();
        let head = columns.iter().enumerate().map(|(at, &(title, numeric))| {
            let by = self.by;
            let press =
                move |_: &_| by.update(|(by, down)| (*by, *down) = (at, if *by == at { !*down } else { numeric }));
            let (state, arrow) = match now {
                (by, true) if by == at => ("descending", "↓"),
                (by, false) if by == at => ("ascending", "↑"),
                _ => ("none", ""),
            };
            let arrow = el("span", "sort-arrow").attr("aria-hidden", "true").text(arrow);
            let button = el("button", "").attr("type", "button").on("click", Rc::new(press)).text(title).child(arrow);
            el("th", if numeric { "num" } else { "" }).attr("scope", "col").attr("aria-sort", state).child(button)
        });
        head.collect()
    }

    fn sorted(&self, columns: &[Column], mut rows: Vec<Row>) -> Vec<Row> {
        let by = self.by.get();
        let mut last = self.last.borrow_mut();
        let places: HashMap<&str, usize> = last.1.iter().enumerate().map(|(at, key)| (key.as_str(), at)).collect();
        let is_same = last.0 == by && places.len() == rows.len();
        if is_same && rows.iter().all(|row| places.contains_key(row.key.as_str())) {
            rows.sort_by_key(|row| places.get(row.key.as_str()).copied());
        } else {
            sort(columns, by, &mut rows);
            *last = (by, rows.iter().map(|row| row.key.clone()).collect());
        }
        rows
    }
}

fn sort(columns: &[Column], (by, down): By, rows: &mut [Row]) {
    let numeric = columns.get(by).is_some_and(|(_, numeric)| *numeric);
    rows.sort_by(|a, b| {
        let order = match (a.cells.get(by), b.cells.get(by)) {
            (Some(a), Some(b)) if numeric => a.order.total_cmp(&b.order),
            (Some(a), Some(b)) => a.text.cmp(&b.text),
            _ => Ordering::Equal,
        };
        (if down { order.reverse() } else { order }).then_with(|| a.key.cmp(&b.key))
    });
}

fn one(row: Row, test: &'static str, columns: &[Column]) -> Element {
    let cells = row.cells.iter().zip(columns).enumerate().map(|(at, (cell, (_, numeric)))| {
        let class = format!("{}{}", if *numeric { "num " } else { "" }, cell.class);
        if at > 0 {
            return el("td", class.trim()).text(&cell.text);
        }
        let head = el("th", class.trim()).attr("scope", "row");
        if row.href.is_empty() {
            head.text(&cell.text)
        } else {
            head.child(crate::html::link(row.href.clone(), &cell.text))
        }
    });
    el("tr", "").key(&row.key).test(test).attr("data-id", &row.key).all(cells.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [("Name", false), ("Runs", true)];

    fn table(rows: &[(&str, f64)]) -> Rows {
        let row = |(name, runs): &(&str, f64)| Row {
            key: (*name).to_owned(),
            href: String::new(),
            cells: vec![text(name), number(runs.to_string(), *runs)],
        };
        Rows { caption: "Things", row: "thing", columns: &COLUMNS, rows: rows.iter().map(row).collect() }
    }

    fn shown(order: &Order, rows: &[(&str, f64)]) -> String {
        order.table(table(rows)).words()
    }

    #[test]
    fn the_order_stays_until_rows_come_or_somebody_asks() {
        let owner = Owner::new();
        owner.set();
        let order = Order::by(1, true);
        assert!(shown(&order, &[("a", 1.0), ("b", 2.0)]).ends_with("b 2 a 1"));
        assert!(shown(&order, &[("a", 9.0), ("b", 2.0)]).ends_with("b 2 a 9"), "numbers alone move nothing");
        assert!(shown(&order, &[("a", 9.0), ("b", 2.0), ("c", 5.0)]).ends_with("a 9 c 5 b 2"));
        order.by.set((0, false));
        assert!(shown(&order, &[("a", 9.0), ("b", 2.0), ("c", 5.0)]).ends_with("a 9 b 2 c 5"));
    }

    #[test]
    fn long_tables_begin_with_a_part() {
        let owner = Owner::new();
        owner.set();
        let order = Order::by(1, false);
        let names: Vec<String> = (0..250).map(|n| format!("f{n}")).collect();
        let rows: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        assert!(shown(&order, &rows).ends_with("Show more (50 hidden)"));
    }
}
