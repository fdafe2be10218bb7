//! Incidents: loops that somebody was told of.

use loopscope_analyzer::{
    snapshot::{LoopId, Severity},
    span::{ArrivalTime, EventTime},
};
use loopscope_proto::v1;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::{StoreError, from_column, to_column, to_count};

/// Most incidents that are kept; beyond it the resolved ones that were opened first go.
pub const MAX_INCIDENTS: usize = 4_096;

/// One incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The same from the opening to the end.
    pub id: String,
    /// The loop.
    pub loop_id: LoopId,
    /// The highest severity that was told.
    pub severity: Severity,
    /// When it was opened.
    pub opened_at: ArrivalTime,
    /// When it was resolved; `None` while it is open.
    pub closed_at: Option<ArrivalTime>,
    /// When the last known lap of the loop began.
    pub last_lap: EventTime,
    /// The most laps that the loop was known to have.
    pub laps: u64,
}

impl Incident {
    /// True until it is resolved.
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }
}

/// All incidents, those opened first coming first.
///
/// # Errors
/// Those of SQLite, or when a row is not ours.
pub fn load(connection: &Connection) -> Result<Vec<Incident>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, loop_id, severity, opened_at, closed_at, last_lap_at, laps FROM incidents ORDER BY opened_at, id",
    )?;
    let mut rows = statement.query([])?;
    let mut incidents = Vec::new();
    while let Some(row) = rows.next()? {
        incidents.push(read(row)?);
    }
    Ok(incidents)
}

/// Adds an incident or replaces it, with the loop as it stands now.
///
/// # Errors
/// Those of SQLite, also when the loop has another open incident.
pub fn save(transaction: &Transaction<'_>, incident: &Incident, evidence: &v1::Loop) -> Result<(), StoreError> {
    save_within(transaction, incident, evidence, MAX_INCIDENTS)
}

/// The loop of an incident as it was saved last; `None` when there is no such incident.
///
/// # Errors
/// Those of SQLite, or when the row is not ours.
pub fn evidence(connection: &Connection, id: &str) -> Result<Option<v1::Loop>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached("SELECT evidence FROM incidents WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    text.map(|text| serde_json::from_str(&text).map_err(wrong)).transpose()
}

fn save_within(
    transaction: &Transaction<'_>,
    incident: &Incident,
    evidence: &v1::Loop,
    bound: usize,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO incidents (id, loop_id, severity, state, opened_at, closed_at, last_lap_at, laps, evidence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, state = excluded.state,
                closed_at = excluded.closed_at, last_lap_at = excluded.last_lap_at, laps = excluded.laps,
                evidence = excluded.evidence",
        )?
        .execute((
            &incident.id,
            incident.loop_id.to_string(),
            severity_word(incident.severity),
            if incident.is_open() { "open" } else { "resolved" },
            to_column(incident.opened_at),
            incident.closed_at.map(to_column),
            to_column(ArrivalTime(incident.last_lap.0)),
            i64::try_from(incident.laps).unwrap_or(i64::MAX),
            serde_json::to_string(evidence).map_err(wrong)?,
        ))?;
    transaction
        .prepare_cached(
            "DELETE FROM incidents WHERE state = 'resolved' AND id IN (
                SELECT id FROM incidents ORDER BY state = 'open' DESC, opened_at DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([to_count(bound)])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Incident, StoreError> {
    let loop_id: String = row.get(1)?;
    let severity: String = row.get(2)?;
    Ok(Incident {
        id: row.get(0)?,
        loop_id: LoopId(u128::from_str_radix(&loop_id, 16).map_err(wrong)?),
        severity: severity_of(&severity).ok_or_else(|| wrong(format!("unknown severity {severity:?}")))?,
        opened_at: ArrivalTime(from_column(row.get(3)?)),
        closed_at: row.get::<_, Option<i64>>(4)?.map(|column| ArrivalTime(from_column(column))),
        last_lap: EventTime(from_column(row.get(5)?)),
        laps: from_column(row.get(6)?),
    })
}

fn wrong(reason: impl ToString) -> StoreError {
    StoreError::Row { table: "incidents", reason: reason.to_string() }
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn severity_of(word: &str) -> Option<Severity> {
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| severity_word(*severity) == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn incident(number: u8, closed: bool) -> Incident {
        Incident {
            id: format!("inc_{number}"),
            loop_id: LoopId(u128::MAX - u128::from(number)),
            severity: Severity::Warning,
            opened_at: ArrivalTime(u64::from(number)),
            closed_at: closed.then_some(ArrivalTime(100)),
            last_lap: EventTime(7),
            laps: 9,
        }
    }

    #[test]
    fn incidents_come_back_as_they_were_saved() {
        let store = Store::in_memory().unwrap();
        let evidence = v1::Loop { id: "x".into(), max_depth: 17, ..Default::default() };
        let mut first = incident(1, false);
        store.write(|transaction| save(transaction, &first, &v1::Loop::default())).unwrap();
        first.severity = Severity::Critical;
        first.closed_at = Some(ArrivalTime(50));
        store.write(|transaction| save(transaction, &first, &evidence)).unwrap();
        assert_eq!(store.read(load).unwrap(), [first]);
        assert_eq!(store.read(|connection| super::evidence(connection, "inc_1")).unwrap(), Some(evidence));
        assert_eq!(store.read(|connection| super::evidence(connection, "inc_2")).unwrap(), None);
    }

    #[test]
    fn a_loop_has_one_open_incident() {
        let store = Store::in_memory().unwrap();
        let first = incident(1, false);
        let second = Incident { id: "inc_other".into(), ..first.clone() };
        let save_one =
            |incident: &Incident| store.write(|transaction| save(transaction, incident, &v1::Loop::default()));
        save_one(&first).unwrap();
        assert!(save_one(&second).is_err());
        save_one(&Incident { closed_at: Some(ArrivalTime(2)), ..first }).unwrap();
        save_one(&second).unwrap();
    }

    #[test]
    fn open_incidents_are_never_forgotten() {
        let store = Store::in_memory().unwrap();
        for (number, closed) in [(1, false), (2, true), (3, true), (4, false), (5, true)] {
            store
                .write(|transaction| save_within(transaction, &incident(number, closed), &v1::Loop::default(), 3))
                .unwrap();
        }
        let kept: Vec<String> = store.read(load).unwrap().into_iter().map(|incident| incident.id).collect();
        assert_eq!(kept, ["inc_1", "inc_4", "inc_5"]);
    }
}
