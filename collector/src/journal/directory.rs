//! The files of a journal, and the lock that keeps other processes away from them.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{JournalError, Position};

/// A directory that this process alone uses.
pub(super) struct Directory {
    path: PathBuf,
    ephemeral: bool,
    /// Unlocks when it is dropped.
    _lock: File,
}

const PREFIX: &str = "segment-";
const SUFFIX: &str = ".db";

impl Directory {
    /// Makes the directory if needed and locks it. An ephemeral journal lives in a directory of its own within, so
    /// that it cannot touch a durable one.
    pub(super) fn open(path: &Path, ephemeral: bool) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: path.into(), source };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::Locked { path: path.into() },
            TryLockError::Error(source) => failed(source),
        })?;
        let path = if ephemeral { path.join("ephemeral") } else { path.into() };
        if ephemeral {
            remove_all(&path).and_then(|()| fs::create_dir(&path)).map_err(failed)?;
        }
        Ok(Self { path, ephemeral, _lock: lock })
    }

    /// The file of the segment that begins at a position.
    pub(super) fn segment_path(&self, first: Position) -> PathBuf {
        self.path.join(format!("{PREFIX}{first:020}{SUFFIX}"))
    }

    /// The first positions of the segments, in order.
    pub(super) fn segments(&self) -> Result<Vec<Position>, JournalError> {
        let list = || -> io::Result<Vec<Position>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                found.extend(entry?.file_name().to_str().and_then(first_position));
            }
            found.sort_unstable();
            Ok(found)
        };
        list().map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }

    /// Makes the names of the files durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        if self.ephemeral {
            return Ok(());
        }
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.ephemeral
            && let Err(error) = remove_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "failed to delete the ephemeral journal");
        }
    }
}

/// The bytes that a segment takes on disk, its write-ahead log included.
pub(super) fn bytes_of(segment: &Path) -> u64 {
    [segment.to_path_buf(), beside(segment, "-wal")]
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// Deletes a segment; readers that have it open can finish.
pub(super) fn delete(segment: &Path) -> io::Result<()> {
    for path in [beside(segment, "-wal"), beside(segment, "-shm"), segment.to_path_buf()] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn beside(segment: &Path, suffix: &str) -> PathBuf {
    let mut name = segment.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn first_position(name: &str) -> Option<Position> {
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
