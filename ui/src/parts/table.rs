//! A sortable table of live rows.
//!
//! Cells follow the model, but the order changes only when rows come or go or when the reader asks for another one: a
//! list that sorts itself while somebody reads it cannot be read.

use std::cmp::Ordering;

use leptos::prelude::*;

use crate::app::App;
use crate::model::Model;

/// Rows shown before the reader asks for more.
const FIRST_ROWS: usize = 200;

/// One column.
pub struct Column<T: 'static> {
    /// Its heading.
    pub title: &'static str,
    /// Whether it holds numbers, which stand on the right and begin with the largest.
    pub numeric: bool,
    /// The text of a cell.
    pub text: fn(&Model, &T) -> String,
    /// The order of two rows, the smaller first; without one the order of the texts.
    pub order: Option<fn(&Model, &T, &T) -> Ordering>,
    /// A class for a cell, which may be empty.
    pub class: fn(&T) -> &'static str,
}

impl<T> Column<T> {
    fn compare(&self, model: &Model, a: &T, b: &T) -> Ordering {
        match self.order {
            Some(order) => order(model, a, b),
            None => (self.text)(model, a).cmp(&(self.text)(model, b)),
        }
    }
}

/// A table without its rows.
pub struct Table<T: 'static> {
    /// What it lists, for its heading.
    pub caption: &'static str,
    /// Its columns; the first one holds the link of the row.
    pub columns: &'static [Column<T>],
    /// The column that decides the order at first.
    pub sorted_by: usize,
    /// Finds a row by its key.
    pub get: for<'a> fn(&'a Model, &str) -> Option<&'a T>,
    /// Where a row leads.
    pub href: fn(&T) -> String,
    /// The id of a row for tests.
    pub id: fn(&T) -> String,
    /// The name of a row for tests.
    pub row: &'static str,
}

/// No class.
pub fn plain<T>(_: &T) -> &'static str {
    ""
}

/// Shows a table; `keys` are the keys of all its rows.
pub fn table<T: 'static>(spec: &'static Table<T>, keys: Memo<Vec<String>>) -> impl IntoView {
    let app = App::get();
    let sort = RwSignal::new((spec.sorted_by, spec.columns[spec.sorted_by].numeric));
    let shown = RwSignal::new(FIRST_ROWS);
    let sorted = Memo::new(move |_| {
        let (column, down) = sort.get();
        let mut keys = keys.get();
        app.model.with_untracked(|model| {
            keys.sort_by(|a, b| {
                let order = match ((spec.get)(model, a), (spec.get)(model, b)) {
                    (Some(a), Some(b)) => spec.columns[column].compare(model, a, b),
                    _ => Ordering::Equal,
                };
                (if down { order.reverse() } else { order }).then_with(|| a.cmp(b))
            });
        });
        keys
    });
    let visible = move || sorted.with(|keys| keys.iter().take(shown.get()).cloned().collect::<Vec<_>>());
    let hidden = move || sorted.with(Vec::len).saturating_sub(shown.get());
    view! {
        <section class="table-section">
            <h2>{spec.caption} <span class="count">{move || sorted.with(Vec::len)}</span></h2>
            <div class="table-scroll" tabindex="0" role="region" aria-label=spec.caption>
                <table>
                    <thead>
                        <tr>{head(spec, sort)}</tr>
                    </thead>
                    <tbody>
                        <For each=visible key=|key| key.clone() children=move |key| row(app, spec, key) />
                    </tbody>
                </table>
            </div>
            <Show when=move || { hidden() > 0 }>
                <button class="button" type="button" on:click=move |_| shown.update(|n| *n += FIRST_ROWS)>
                    {move || format!("Show more ({} hidden)", hidden())}
                </button>
            </Show>
        </section>
    }
}

fn head<T: 'static>(spec: &'static Table<T>, sort: RwSignal<(usize, bool)>) -> impl IntoView {
    let cell = move |(at, column): (usize, &'static Column<T>)| {
        let numeric = column.numeric;
        let state = move || match sort.get() {
            (by, true) if by == at => "descending",
            (by, false) if by == at => "ascending",
            _ => "none",
        };
        let click = move |_| {
            sort.update(|(by, down)| {
                *down = if *by == at { !*down } else { numeric };
                *by = at;
            });
        };
        let arrow = move || match state() {
            "descending" => "↓",
            "ascending" => "↑",
            _ => "",
        };
        view! {
            <th scope="col" class:num=numeric aria-sort=state>
                <button type="button" on:click=click>
                    {column.title}
                    <span class="sort-arrow" aria-hidden="true">{arrow}</span>
                </button>
            </th>
        }
    };
    spec.columns.iter().enumerate().map(cell).collect_view()
}

fn row<T: 'static>(app: App, spec: &'static Table<T>, key: String) -> impl IntoView {
    let key = StoredValue::new(key);
    let read = move |take: &dyn Fn(&Model, &T) -> String| {
        app.model.with(|model| {
            let item = key.try_with_value(|key| (spec.get)(model, key)).flatten();
            item.map(|item| take(model, item)).unwrap_or_default()
        })
    };
    let id = untrack(move || read(&|_, item| (spec.id)(item)));
    let href = untrack(move || read(&|_, item| (spec.href)(item)));
    let cell = move |(at, column): (usize, &'static Column<T>)| {
        let text = move || read(&|model, item| (column.text)(model, item));
        let class =
            move || read(&|_, item| format!("{}{}", if column.numeric { "num " } else { "" }, (column.class)(item)));
        if at == 0 {
            view! {
                <th scope="row" class=class>
                    <a href=href.clone()>{text}</a>
                </th>
            }
            .into_any()
        } else {
            view! { <td class=class>{text}</td> }.into_any()
        }
    };
    view! {
        <tr data-testid=spec.row data-id=id>
            {spec.columns.iter().enumerate().map(cell).collect_view()}
        </tr>
    }
}
