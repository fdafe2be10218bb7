//! Keeps what people declared and said, and tells the engine whenever it changes.
//!
//! What comes from the file stands as long as the process; what comes through the API is in the store. The engine's
//! threads look at a value that is replaced as a whole, so neither waits for the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use loopscope_analyzer::{
    intended::{Intended, Verdict},
    snapshot::LoopId,
    span::ArrivalTime,
};
use loopscope_proto::v1;
use tokio::sync::watch;

use super::message::{self, Source};
use crate::store::{
    Store, StoreError, intended,
    verdicts::{self, Said},
};

/// Most declarations of the API; each is held against every loop.
pub const MAX_DECLARED: usize = 1_000;

/// Most verdicts.
pub const MAX_VERDICTS: usize = 10_000;

/// Declarations and verdicts.
#[derive(Debug)]
pub struct Registry {
    store: Arc<Store>,
    from_file: Vec<Intended>,
    kept: Mutex<Kept>,
    declared: watch::Sender<Arc<Vec<Intended>>>,
    said: watch::Sender<Arc<Verdicts>>,
}

/// The last word on each loop.
pub type Verdicts = BTreeMap<LoopId, Verdict>;

/// What the engine is told, and told again whenever it changes.
#[derive(Clone, Debug)]
pub struct Lessons {
    /// All declarations.
    pub declared: watch::Receiver<Arc<Vec<Intended>>>,
    /// All verdicts.
    pub verdicts: watch::Receiver<Arc<Verdicts>>,
}

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// There is none with this id.
    #[error("nothing with the id {0:?} is declared: see /api/v1/intended")]
    Unknown(String),
    /// It stands in the file.
    #[error("{0:?} stands in the file that --intended names; change it there and start again")]
    InFile(String),
    /// There are too many.
    #[error("there are {0} already, and no more are kept; delete some first")]
    Full(usize),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug)]
struct Kept {
    intended: Vec<Intended>,
    said: Vec<Said>,
}

impl Registry {
    /// Opens the registry with what is stored and what a file declares.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(store: Arc<Store>, from_file: Vec<Intended>) -> Result<Self, StoreError> {
        let said = store.read(verdicts::load)?;
        let mut kept = Kept { intended: Vec::new(), said };
        for stored in store.read(intended::load)? {
            match message::to_intended(&stored, Source::Api) {
                Ok(intended) => kept.intended.push(intended),
                Err(reason) => tracing::error!(id = stored.id, reason, "a stored declaration is passed over"),
            }
        }
        let registry = Self {
            store,
            from_file,
            kept: Mutex::new(kept),
            declared: watch::Sender::default(),
            said: watch::Sender::default(),
        };
        registry.tell(&registry.kept());
        Ok(registry)
    }

    /// What the engine is told.
    pub fn lessons(&self) -> Lessons {
        Lessons { declared: self.declared.subscribe(), verdicts: self.said.subscribe() }
    }

    /// All declarations, those of the file first.
    pub fn declared(&self, now: ArrivalTime) -> Vec<v1::Intended> {
        let from_file = self.from_file.iter().map(|intended| message::of_intended(intended, Source::File, now));
        let kept = self.kept();
        let by_api = kept.intended.iter().map(|intended| message::of_intended(intended, Source::Api, now));
        from_file.chain(by_api).collect()
    }

    /// Keeps a declaration, in place of the one that means the same loops. Blocks on the disk.
    ///
    /// # Errors
    /// When it makes no sense, there are too many, or the store fails; nothing has changed then.
    pub fn declare(&self, now: ArrivalTime, wanted: &v1::Intended) -> Result<v1::Intended, RegistryError> {
        let intended = message::to_intended(wanted, Source::Api).map_err(RegistryError::Wrong)?;
        let answer = message::of_intended(&intended, Source::Api, now);
        let mut kept = self.kept();
        let place = kept.intended.iter().position(|known| known.id == intended.id);
        if place.is_none() && kept.intended.len() >= MAX_DECLARED {
            return Err(RegistryError::Full(MAX_DECLARED));
        }
        self.store.write(|transaction| intended::save(transaction, &answer, now))?;
        if let Some(place) = place {
            kept.intended.remove(place);
        }
        kept.intended.push(intended);
        self.tell(&kept);
        Ok(answer)
    }

    /// Forgets a declaration of the API. Blocks on the disk.
    ///
    /// # Errors
    /// When there is none, it stands in the file, or the store fails.
    pub fn withdraw(&self, id: &str) -> Result<(), RegistryError> {
        if self.from_file.iter().any(|intended| &*intended.id == id) {
            return Err(RegistryError::InFile(id.to_owned()));
        }
        let mut kept = self.kept();
        if !self.store.write(|transaction| intended::remove(transaction, id))? {
            return Err(RegistryError::Unknown(id.to_owned()));
        }
        kept.intended.retain(|intended| &*intended.id != id);
        self.tell(&kept);
        Ok(())
    }

    /// All verdicts, the newest first.
    pub fn verdicts(&self) -> Vec<v1::Verdict> {
        self.kept().said.iter().map(message::of_verdict).collect()
    }

    /// Keeps what somebody says of a loop, in place of what was said before. Blocks on the disk.
    ///
    /// # Errors
    /// When it makes no sense, there are too many, or the store fails.
    pub fn judge(&self, now: ArrivalTime, loop_id: LoopId, says: &v1::Verdict) -> Result<v1::Verdict, RegistryError> {
        let verdict = message::to_verdict(says).map_err(RegistryError::Wrong)?;
        let said = Said { loop_id, verdict, at: now };
        let mut kept = self.kept();
        let others = kept.said.iter().filter(|known| known.loop_id != loop_id).count();
        if verdict != Verdict::Withdrawn && others >= MAX_VERDICTS {
            return Err(RegistryError::Full(MAX_VERDICTS));
        }
        self.store.write(|transaction| verdicts::save(transaction, &said))?;
        kept.said.retain(|known| known.loop_id != loop_id);
        if verdict != Verdict::Withdrawn {
            kept.said.insert(0, said);
        }
        self.tell(&kept);
        Ok(message::of_verdict(&said))
    }

    fn tell(&self, kept: &Kept) {
        let declared: Vec<Intended> = self.from_file.iter().chain(&kept.intended).cloned().collect();
        self.declared.send_replace(Arc::new(declared));
        self.said.send_replace(Arc::new(kept.said.iter().map(|said| (said.loop_id, said.verdict)).collect()));
    }

    /// Held while the store is written, so that the engine is told in the order in which things were stored.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lessons {
    /// Lessons that say nothing and never change.
    pub fn none() -> Self {
        Self { declared: watch::Sender::default().subscribe(), verdicts: watch::Sender::default().subscribe() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ArrivalTime = ArrivalTime(5);

    fn wanted(function: &str, max_depth: u32) -> v1::Intended {
        v1::Intended { functions: vec![function.into()], max_depth: Some(max_depth), ..Default::default() }
    }

    fn told(lessons: &Lessons) -> Vec<Option<u32>> {
        lessons.declared.borrow().iter().map(|intended| intended.max_depth).collect()
    }

    #[test]
    fn what_is_declared_is_told_kept_replaced_and_withdrawn() {
        let store = Arc::new(Store::in_memory().unwrap());
        let in_file = message::to_intended(&wanted("f", 1), Source::File).unwrap();
        let registry = Registry::open(Arc::clone(&store), vec![in_file.clone()]).unwrap();
        let lessons = registry.lessons();
        assert_eq!(told(&lessons), [Some(1)]);
        let first = registry.declare(NOW, &wanted("a", 2)).unwrap();
        registry.declare(NOW, &wanted("b", 3)).unwrap();
        assert_eq!(registry.declare(NOW, &wanted("a", 4)).unwrap().id, first.id);
        assert_eq!(told(&lessons), [Some(1), Some(3), Some(4)]);
        registry.withdraw(&first.id).unwrap();
        assert!(matches!(registry.withdraw(&first.id), Err(RegistryError::Unknown(_))));
        assert!(matches!(registry.withdraw(&in_file.id), Err(RegistryError::InFile(_))));
        assert!(matches!(registry.declare(NOW, &v1::Intended::default()), Err(RegistryError::Wrong(_))));
        let again = Registry::open(store, Vec::new()).unwrap();
        assert_eq!(told(&again.lessons()), [Some(3)]);
        assert_eq!(again.declared(NOW)[0].source, "api");
    }

    #[test]
    fn a_verdict_stands_until_another_is_said() {
        let store = Arc::new(Store::in_memory().unwrap());
        let registry = Registry::open(Arc::clone(&store), Vec::new()).unwrap();
        let lessons = registry.lessons();
        let say = |id, word: &str, max_depth| {
            let says = v1::Verdict { verdict: word.into(), max_depth, ..Default::default() };
            registry.judge(NOW, LoopId(id), &says).unwrap()
        };
        say(1, "runaway", None);
        say(2, "expected", Some(9));
        say(1, "clear", None);
        let expected = BTreeMap::from([(LoopId(2), Verdict::Expected { max_depth: 9 })]);
        assert_eq!(**lessons.verdicts.borrow(), expected);
        assert_eq!(**Registry::open(store, Vec::new()).unwrap().lessons().verdicts.borrow(), expected);
        assert_eq!(registry.verdicts().len(), 1);
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let registry = Registry::open(Arc::new(Store::in_memory().unwrap()), Vec::new()).unwrap();
        for number in 0..MAX_DECLARED {
            registry.declare(NOW, &wanted(&number.to_string(), 1)).unwrap();
        }
        assert!(matches!(registry.declare(NOW, &wanted("more", 1)), Err(RegistryError::Full(MAX_DECLARED))));
        assert!(registry.declare(NOW, &wanted("0", 2)).is_ok(), "one that is known is replaced");
    }
}
