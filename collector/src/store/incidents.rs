//! Incidents: what somebody was told of, with the loops that show it. How many loops one may have is bounded where it
//! is made, in `alert/incident.rs`.

use std::{collections::HashMap, sync::Arc};

use loopscope_analyzer::{
    snapshot::{LoopId, NodeId, Severity},
    span::{ArrivalTime, EventTime},
};
use loopscope_proto::v1;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::{StoreError, from_column, to_column, to_count};
use crate::alert::incident::{Incident, Member, Told};

/// Most incidents that are kept; beyond it the resolved ones that were opened first go.
pub const MAX_INCIDENTS: usize = 4_096;

/// All incidents, those opened first coming first.
///
/// # Errors
/// Those of SQLite, or when a row is not ours.
pub fn load(connection: &Connection) -> Result<Vec<Incident>, StoreError> {
    select(connection, None)
}

/// One incident; `None` when it is not kept.
///
/// # Errors
/// Those of SQLite, or when a row is not ours.
pub fn get(connection: &Connection, id: &str) -> Result<Option<Incident>, StoreError> {
    Ok(select(connection, Some(id))?.pop())
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
    let first = incident.loops.first().ok_or_else(|| wrong(format!("incident {} has no loop", incident.id)))?;
    transaction
        .prepare_cached(
            "INSERT INTO incidents (id, loop_id, severity, state, opened_at, closed_at, evidence,
                reopened, told_at, told_multiplies, told_next_24h, messages)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO UPDATE SET loop_id = excluded.loop_id, severity = excluded.severity,
                state = excluded.state, closed_at = excluded.closed_at, evidence = excluded.evidence,
                reopened = excluded.reopened, told_at = excluded.told_at, told_multiplies = excluded.told_multiplies,
                told_next_24h = excluded.told_next_24h, messages = excluded.messages",
        )?
        .execute((
            &incident.id,
            first.id.to_string(),
            severity_word(incident.severity),
            if incident.is_open() { "open" } else { "resolved" },
            to_column(incident.opened_at),
            incident.closed_at.map(to_column),
            serde_json::to_string(evidence).map_err(wrong)?,
            incident.reopened,
            to_column(incident.told.at),
            incident.told.multiplies,
            incident.told.next_24h,
            incident.told.messages,
        ))?;
    transaction.prepare_cached("DELETE FROM incident_loops WHERE incident_id = ?1")?.execute([&incident.id])?;
    for (place, member) in incident.loops.iter().enumerate() {
        save_member(transaction, &incident.id, place, member)?;
    }
    let mut trim = transaction.prepare_cached(
        "DELETE FROM incidents WHERE state = 'resolved' AND id IN (
            SELECT id FROM incidents ORDER BY state = 'open' DESC, opened_at DESC LIMIT -1 OFFSET ?1)
         RETURNING id",
    )?;
    let gone = trim.query_map([to_count(bound)], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for id in gone {
        transaction.prepare_cached("DELETE FROM incident_loops WHERE incident_id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// All incidents, or the one with this id.
fn select(connection: &Connection, id: Option<&str>) -> Result<Vec<Incident>, StoreError> {
    // An index is not used where one question asks for both.
    let wanted = |column: &str| if id.is_some() { format!("{column} = ?1") } else { "?1 IS NULL".to_owned() };
    let mut loops: HashMap<String, Vec<Member>> = HashMap::new();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT incident_id, loop_id, function_ids, names, last_lap_at, laps, broke_bound FROM incident_loops
         WHERE {} ORDER BY incident_id, place",
        wanted("incident_id")
    ))?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        loops.entry(row.get(0)?).or_default().push(read_member(row)?);
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, severity, opened_at, closed_at, reopened, told_at, told_multiplies, told_next_24h, messages
         FROM incidents WHERE {} ORDER BY opened_at, id",
        wanted("id")
    ))?;
    let mut rows = statement.query([id])?;
    let mut incidents = Vec::new();
    while let Some(row) = rows.next()? {
        let incident = read(row, &mut loops)?;
        if incident.loops.is_empty() {
            return Err(wrong(format!("incident {} has no loop", incident.id)));
        }
        incidents.push(incident);
    }
    Ok(incidents)
}

fn save_member(
    transaction: &Transaction<'_>,
    incident_id: &str,
    place: usize,
    member: &Member,
) -> Result<(), StoreError> {
    let ids: Vec<String> = member.functions.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = member.names.iter().map(|name| &**name).collect();
    transaction
        .prepare_cached(
            "INSERT INTO incident_loops (incident_id, place, loop_id, function_ids, names, last_lap_at, laps, broke_bound)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            incident_id,
            to_count(place),
            member.id.to_string(),
            serde_json::to_string(&ids).map_err(wrong)?,
            serde_json::to_string(&names).map_err(wrong)?,
            to_column(ArrivalTime(member.last_lap.0)),
            i64::try_from(member.laps).unwrap_or(i64::MAX),
            member.broke_bound,
        ))?;
    Ok(())
}

fn read(row: &Row<'_>, loops: &mut HashMap<String, Vec<Member>>) -> Result<Incident, StoreError> {
    let id: String = row.get(0)?;
    let severity: String = row.get(1)?;
    Ok(Incident {
        loops: loops.remove(&id).unwrap_or_default(),
        id,
        severity: severity_of(&severity).ok_or_else(|| wrong(format!("unknown severity {severity:?}")))?,
        opened_at: ArrivalTime(from_column(row.get(2)?)),
        closed_at: row.get::<_, Option<i64>>(3)?.map(|column| ArrivalTime(from_column(column))),
        reopened: row.get(4)?,
        told: Told {
            at: ArrivalTime(from_column(row.get(5)?)),
            multiplies: row.get(6)?,
            next_24h: row.get(7)?,
            messages: row.get(8)?,
        },
    })
}

fn read_member(row: &Row<'_>) -> Result<Member, StoreError> {
    let (loop_id, ids, names): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let ids: Vec<String> = serde_json::from_str(&ids).map_err(wrong)?;
    let names: Vec<String> = serde_json::from_str(&names).map_err(wrong)?;
    let functions = ids.iter().map(|id| u64::from_str_radix(id, 16).map(NodeId)).collect::<Result<Vec<_>, _>>();
    let member = Member::of(
        LoopId(u128::from_str_radix(&loop_id, 16).map_err(wrong)?),
        functions.map_err(wrong)?,
        names.into_iter().map(Arc::from).collect(),
        EventTime(from_column(row.get(4)?)),
        from_column(row.get(5)?),
    );
    Ok(Member { broke_bound: row.get(6)?, ..member })
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

    fn member(number: u8) -> Member {
        let functions = vec![NodeId(u64::MAX), NodeId(u64::from(number))];
        let names = vec!["a \"quoted\" name".into(), "b".into()];
        Member::of(LoopId(u128::MAX - u128::from(number)), functions, names, EventTime(7), 9)
    }

    fn incident(number: u8, closed: bool) -> Incident {
        Incident {
            id: format!("inc_{number}"),
            loops: vec![member(number)],
            severity: Severity::Warning,
            opened_at: ArrivalTime(u64::from(number)),
            closed_at: closed.then_some(ArrivalTime(100)),
            reopened: 0,
            told: Told { at: ArrivalTime(1), multiplies: false, next_24h: 0.5, messages: 1 },
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
        first.loops.insert(0, Member { broke_bound: true, ..member(9) });
        first.reopened = 3;
        first.told = Told { at: ArrivalTime(40), multiplies: true, next_24h: 12.5, messages: 7 };
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
        let loops: i64 =
            store.read(|c| Ok(c.query_row("SELECT count(*) FROM incident_loops", [], |row| row.get(0))?)).unwrap();
        assert_eq!(loops, 3);
    }

    #[test]
    fn an_incident_of_before_there_were_several_loops_goes_on() {
        let connection = Connection::open_in_memory().unwrap();
        for step in &super::super::MIGRATIONS[..3] {
            connection.execute_batch(step).unwrap();
        }
        let evidence = r#"{"id": "0a", "intended": {"is_broken": true}, "function_ids": ["02", "01"], "functions": ["b", "a"], "state": "growing", "cost": {"next_24h": 7.5}}"#;
        for (id, loop_id, state, closed_at, evidence) in
            [("inc_a", "0a", "open", None, evidence), ("inc_b", "0b", "resolved", Some(9), "{}")]
        {
            connection
                .execute(
                    "INSERT INTO incidents VALUES (?1, ?2, 'warning', ?3, 5, ?4, 7, 18, ?5)",
                    (id, loop_id, state, closed_at, evidence),
                )
                .unwrap();
        }
        connection.pragma_update(None, "user_version", 3).unwrap();
        let store = Store::prepare(connection).unwrap();
        let incidents = store.read(load).unwrap();
        let functions = vec![NodeId(1), NodeId(2)];
        let first = Member::of(LoopId(10), functions, vec!["b".into(), "a".into()], EventTime(7), 18);
        assert_eq!(incidents[0].loops, [Member { broke_bound: true, ..first }]);
        assert_eq!(incidents[0].told, Told { at: ArrivalTime(5), multiplies: true, next_24h: 7.5, messages: 0 });
        assert_eq!((incidents[1].loops[0].id, incidents[1].loops[0].broke_bound), (LoopId(11), false));
        assert_eq!(store.read(|connection| get(connection, "inc_b")).unwrap().as_ref(), Some(&incidents[1]));
    }
}
