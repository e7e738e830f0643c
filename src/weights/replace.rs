//! Puts bytes in the place of a file: whatever goes wrong, what was there before stays whole.

use crate::error::{Error, Result};
use std::io;
use std::path::Path;

/// Puts bytes in the place of a file, or of the one that a link leads to. A folder, a device or a FIFO is refused.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// A browser has no files: the bytes are the caller's to keep.
#[cfg(target_arch = "wasm32")]
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::write(path, bytes)
}

#[cfg(not(target_arch = "wasm32"))]
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = match std::fs::metadata(path) {
        Ok(old) if !old.is_file() => {
            let message = format!("this is {}, not a file that can be replaced", kind(old.file_type()));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let target = target(path)?;
    if old.is_some() {
        // A file that may not be written is not replaced either, though its folder would let it be.
        std::fs::OpenOptions::new().write(true).open(&target)?;
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    beside::put(folder, &target, bytes, old.as_ref())
}

/// What is no file.
#[cfg(not(target_arch = "wasm32"))]
fn kind(of: std::fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kinds = [
            (of.is_fifo(), "a FIFO"),
            (of.is_socket(), "a socket"),
            (of.is_char_device() || of.is_block_device(), "a device"),
        ];
        if let Some((_, name)) = kinds.into_iter().find(|kind| kind.0) {
            return name;
        }
    }
    if of.is_dir() { "a folder" } else { "something else" }
}

/// Where links lead; there need not be a file yet.
#[cfg(not(target_arch = "wasm32"))]
fn target(path: &Path) -> io::Result<std::path::PathBuf> {
    /// As many as Linux follows.
    const LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::read_link(&target) {
            // One that is not absolute begins in the folder of its link.
            Ok(link) => target = target.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links, one after the other"))
}

/// An error that says where it happened.
#[cfg(not(target_arch = "wasm32"))]
fn in_folder(folder: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        io::Error::new(error.kind(), format!("a new file can't be made in the folder {}: {error}", folder.display()))
    }
}

/// Files beside their target: nameless where the system has such, so that a process that is killed leaves none, and named
/// only to be moved. Whoever has a name locks it; one that nobody has locked was left by a process that was killed, and is
/// taken away.
#[cfg(unix)]
mod beside {
    use super::in_folder;
    use std::ffi::OsString;
    use std::fs::{File, Metadata, OpenOptions, TryLockError};
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::io::{self, ErrorKind, Write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    use std::path::Path;
    use std::time::{Duration, Instant};

    /// How long to wait for another process that puts its file into the same place.
    const PATIENCE: Duration = Duration::from_secs(60);

    pub fn put(folder: &Path, target: &Path, bytes: &[u8], old: Option<&Metadata>) -> io::Result<()> {
        let name = folder.join(name(target));
        take_away(&name)?;
        if !put_nameless(folder, &name, target, bytes, old)? {
            put_named(folder, &name, target, bytes, old)?;
        }
        // The file is whole by now; what is left is for the folder to know of it even if the power fails.
        _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// By a file that gets its name when it is whole; false where the system has no such files.
    fn put_nameless(
        folder: &Path,
        name: &Path,
        target: &Path,
        bytes: &[u8],
        old: Option<&Metadata>,
    ) -> io::Result<bool> {
        let Some(file) = nameless(folder) else { return Ok(false) };
        fill(&file, bytes, old)?;
        // Where there are no locks, age tells what was left behind.
        _ = file.lock();
        match claim(name, || link(&file, name)) {
            Ok(()) => Named(name).become_file(target).map(|()| true),
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// By a file that has its name from the beginning.
    pub(super) fn put_named(
        folder: &Path,
        name: &Path,
        target: &Path,
        bytes: &[u8],
        old: Option<&Metadata>,
    ) -> io::Result<()> {
        let file = claim(name, || {
            let file = OpenOptions::new().write(true).create_new(true).open(name).map_err(in_folder(folder))?;
            _ = file.lock();
            // Whoever came between took it for one that was left behind.
            if is_at(&file, name)? { Ok(file) } else { Err(ErrorKind::AlreadyExists.into()) }
        })?;
        let named = Named(name);
        fill(&file, bytes, old)?;
        named.become_file(target)
    }

    /// The name that a target's new file has before it is moved: always the same, so that it can be found again.
    fn name(target: &Path) -> OsString {
        let mut name = OsString::from(".");
        let file = target.file_name().unwrap_or_default();
        if file.len() <= 200 {
            name.push(file);
        } else {
            let mut hasher = DefaultHasher::new();
            file.hash(&mut hasher);
            name.push(format!("{:016x}", hasher.finish()));
        }
        name.push(".wgrnn-new");
        name
    }

    /// A file without a name, where the file system has such.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn nameless(folder: &Path) -> Option<File> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = open(folder, flags, Mode::from_raw_mode(0o666)).ok()?;
        // Without /proc it could get no name.
        Path::new("/proc/self/fd").exists().then(|| File::from(file))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn nameless(_: &Path) -> Option<File> {
        None
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn link(file: &File, name: &Path) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, linkat};
        use std::os::fd::AsRawFd;
        let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, nameless, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn link(_: &File, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    /// All of the bytes, with owner and mode of the file that is to be replaced.
    fn fill(mut file: &File, bytes: &[u8], old: Option<&Metadata>) -> io::Result<()> {
        file.write_all(bytes)?;
        if let Some(old) = old {
            let new = file.metadata()?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                // Only root may give a file away; a group may be kept by who is in it.
                _ = fchown(file, Some(old.uid()), Some(old.gid())).or_else(|_| fchown(file, None, Some(old.gid())));
            }
            // After the owner, for a change of that takes bits away.
            file.set_permissions(PermissionsExt::from_mode(old.mode() & 0o7777))?;
        }
        file.sync_all()
    }

    /// Waits until a name is free, taking away what was left behind, and takes it.
    fn claim<T>(name: &Path, take: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let start = Instant::now();
        loop {
            match take() {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => return other,
            }
            if !take_away(name)? {
                if start.elapsed() > PATIENCE {
                    let message = format!("another process has been writing to {} for a minute", name.display());
                    return Err(io::Error::new(ErrorKind::TimedOut, message));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Takes away what a killed process left at a name. Whether the name is free now.
    fn take_away(name: &Path) -> io::Result<bool> {
        // Only a plain file is one of ours, and a FIFO would keep us waiting.
        match std::fs::symlink_metadata(name) {
            Ok(found) if found.is_file() => {}
            Ok(_) => {
                let message = format!("{} is in the way, and is no file", name.display());
                return Err(io::Error::new(ErrorKind::InvalidInput, message));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        }
        let file = match File::open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(_)) => {
                let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
                if age < PATIENCE {
                    return Ok(false);
                }
            }
        }
        // Its owner may have moved it to its target meanwhile.
        if is_at(&file, name)? {
            std::fs::remove_file(name)?;
        }
        Ok(true)
    }

    /// Whether a file is still the one of this name.
    fn is_at(file: &File, name: &Path) -> io::Result<bool> {
        let own = file.metadata()?;
        match std::fs::symlink_metadata(name) {
            Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A name that goes away again unless its file becomes the target.
    struct Named<'a>(&'a Path);

    impl Named<'_> {
        fn become_file(self, target: &Path) -> io::Result<()> {
            std::fs::rename(self.0, target)?;
            std::mem::forget(self);
            Ok(())
        }
    }

    impl Drop for Named<'_> {
        fn drop(&mut self) {
            _ = std::fs::remove_file(self.0);
        }
    }
}

#[cfg(all(not(unix), not(target_arch = "wasm32")))]
mod beside {
    use super::in_folder;
    use std::fs::Metadata;
    use std::io::{self, Write};
    use std::path::Path;

    pub fn put(folder: &Path, target: &Path, bytes: &[u8], _: Option<&Metadata>) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".wgrnn-").tempfile_in(folder).map_err(in_folder(folder))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(target)?;
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Where no file is without a name, it goes the other way.
    #[test]
    fn a_file_with_a_name_of_its_own_takes_the_targets_place_too() {
        let folder = tempfile::tempdir().unwrap();
        let (name, target) = (folder.path().join(".new"), folder.path().join("target"));
        for bytes in [&b"first"[..], b"second"] {
            beside::put_named(folder.path(), &name, &target, bytes, None).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), bytes);
        }
        // What cannot become the target goes away again.
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        assert!(beside::put_named(folder.path(), &name, &taken, b"third", None).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        std::thread::scope(|scope| {
            for number in 0..6_u8 {
                let (folder, name, target) = (folder.path(), &name, &target);
                scope.spawn(move || {
                    for _ in 0..20 {
                        beside::put_named(folder, name, target, &[number; 5000], None).unwrap();
                    }
                });
            }
        });
        let last = std::fs::read(&target).unwrap();
        assert!(last.len() == 5000 && last.iter().all(|&number| number == last[0]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
