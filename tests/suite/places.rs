//! Where files go: links, permissions, what is no file, and processes that are killed while they write.

use std::path::Path;
use wgrnn::{Cell, Error, RnnConfig, RnnWeights};

fn config(hidden: usize) -> RnnConfig {
    RnnConfig::new(Cell::Lstm, 3, hidden)
}

fn weights(seed: u32) -> RnnWeights {
    RnnWeights::init(&config(5), seed).unwrap()
}

fn holds(path: &Path, seed: u32) -> bool {
    RnnWeights::load(path, &config(5), "").is_ok_and(|found| found == weights(seed))
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An error of the file, whose text names it and has this part.
fn refused(path: &Path, part: &str) {
    let error = weights(1).save(path, "").unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::File { .. }) && text.contains(part), "{text}");
    assert!(text.starts_with(&*path.to_string_lossy()), "{text}");
}

#[cfg(unix)]
#[test]
fn the_file_that_a_link_leads_to_is_written_and_the_link_stays() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let [real, other] = ["real", "other"].map(|name| folder.path().join(name));
    std::fs::create_dir(&real).unwrap();
    std::fs::create_dir(&other).unwrap();
    let target = real.join("weights");
    weights(0).save(&target, "").unwrap();
    // Absolute, relative to its own folder, through a folder, and a chain.
    let links = ["absolute", "relative", "chain"].map(|name| other.join(name));
    symlink(&target, &links[0]).unwrap();
    symlink("../real/weights", &links[1]).unwrap();
    symlink("relative", &links[2]).unwrap();
    symlink(&real, folder.path().join("linked")).unwrap();
    let paths = [&links[..], &[folder.path().join("linked").join("weights")]].concat();
    for (path, seed) in paths.iter().zip(1..) {
        weights(seed).save(path, "").unwrap();
        assert!(holds(&target, seed), "{}", path.display());
    }
    assert!(links.iter().all(|link| std::fs::symlink_metadata(link).unwrap().is_symlink()));
    assert_eq!((names(&real), names(&other).len()), (vec!["weights".to_owned()], 3));
    // One that leads nowhere yet makes the file.
    let dangling = other.join("dangling");
    symlink("../real/new", &dangling).unwrap();
    weights(9).save(&dangling, "").unwrap();
    assert!(std::fs::symlink_metadata(&dangling).unwrap().is_symlink() && holds(&real.join("new"), 9));
    // A circle leads nowhere at all.
    symlink("round", other.join("about")).unwrap();
    symlink("about", other.join("round")).unwrap();
    refused(&other.join("round"), "ymbolic link");
    // And one to a folder is a folder.
    refused(&folder.path().join("linked"), "a folder");
}

#[cfg(unix)]
#[test]
fn a_files_permissions_are_kept_and_new_files_have_usual_ones() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    weights(0).save(&path, "").unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&path), mode(&plain));
    for (kept, seed) in [0o600, 0o640, 0o666, 0o755, 0o604].into_iter().zip(1..) {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(kept)).unwrap();
        weights(seed).save(&path, "").unwrap();
        assert_eq!(mode(&path), kept);
        assert!(holds(&path, seed));
    }
    // Root may keep another one's file his.
    if std::os::unix::fs::chown(&path, Some(12345), Some(54321)).is_ok() {
        weights(9).save(&path, "").unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), mode(&path)), (12345, 54321, 0o604));
    }
    assert_eq!(names(folder.path()), ["plain", "weights"]);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_and_left_as_it_is() {
    use std::os::unix::fs::FileTypeExt;
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    refused(&fifo, "a FIFO");
    assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    refused(&socket, "a socket");
    refused(Path::new("/dev/null"), "a device");
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    refused(&link, "a device");
    refused(folder.path(), "a folder");
    refused(&folder.path().join("nowhere").join("weights"), "nowhere");
    refused(&link.join("weights"), "");
    assert_eq!(names(folder.path()), ["fifo", "link", "socket"]);
    // A device has no end.
    let error = RnnWeights::load("/dev/zero", &config(5), "").unwrap_err();
    assert!(matches!(error, Error::File { .. }) && error.to_string().contains("a device"), "{error}");
}

/// Where nobody may make a file, not even root.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_new_file_is_named() {
    refused(Path::new("/proc/weights"), "folder /proc");
    refused(Path::new("/sys/kernel/weights"), "folder /sys/kernel");
}

#[test]
fn long_names_are_saved_too() {
    let folder = tempfile::tempdir().unwrap();
    for length in [190, 200, 201, 255] {
        let path = folder.path().join("w".repeat(length));
        for seed in [0, 1] {
            weights(seed).save(&path, "").unwrap();
            assert!(holds(&path, seed));
        }
    }
    assert_eq!(names(folder.path()).len(), 4);
    // Without a folder in its path a file goes where the process is.
    let path = Path::new("wgrnn_places_test.safetensors");
    weights(3).save(path, "").unwrap();
    assert!(holds(path, 3));
    std::fs::remove_file(path).unwrap();
}

/// A name that a killed process left, and one that is still being written to.
#[cfg(unix)]
#[test]
fn what_a_killed_process_left_is_taken_away_and_what_another_one_writes_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let left = folder.path().join(".weights.wgrnn-new");
    std::fs::write(&left, vec![0; 10_000]).unwrap();
    weights(0).save(&path, "").unwrap();
    assert_eq!(names(folder.path()), ["weights"]);
    // Whoever has it locked is waited for.
    std::fs::write(&left, "half").unwrap();
    let writer = std::fs::File::open(&left).unwrap();
    writer.lock().unwrap();
    let saving = std::thread::spawn({
        let path = path.clone();
        move || weights(1).save(&path, "")
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(std::fs::read_to_string(&left).unwrap(), "half");
    assert!(holds(&path, 0));
    // It becomes the file, and then the other one's does.
    std::fs::rename(&left, &path).unwrap();
    drop(writer);
    saving.join().unwrap().unwrap();
    assert!(holds(&path, 1));
    assert_eq!(names(folder.path()), ["weights"]);
}

/// A child saves over and over until it is killed: the file is whole whenever that is, and nothing is left beside it.
#[cfg(unix)]
#[test]
fn a_process_killed_while_it_saves_leaves_a_whole_file_and_nothing_beside_it() {
    const PLACE: &str = "WGRNN_TEST_PLACE";
    let large = || RnnWeights::init(&config(300), 0).unwrap();
    if let Some(path) = std::env::var_os(PLACE) {
        let weights = large();
        loop {
            weights.save(&path, "").unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let expected = large();
    expected.save(&path, "").unwrap();
    for round in 0..12 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "places::a_process_killed_while_it_saves_leaves_a_whole_file_and_nothing_beside_it"])
            .env(PLACE, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Whatever it is at.
        std::thread::sleep(std::time::Duration::from_millis(60 + 13 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(RnnWeights::load(&path, &config(300), "").unwrap(), expected);
        // At most a name that it had no time to move, which the next one takes away.
        assert!(names(folder.path()).len() <= 2);
    }
    expected.save(&path, "").unwrap();
    assert_eq!(names(folder.path()), ["weights"]);
}

#[test]
fn many_that_save_to_one_file_at_once_leave_one_of_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::thread::scope(|scope| {
        for seed in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..10 {
                    weights(seed).save(path, "").unwrap();
                    let found = RnnWeights::load(path, &config(5), "").unwrap();
                    assert!((0..8).any(|seed| found == self::weights(seed)));
                }
            });
        }
    });
    assert!((0..8).any(|seed| holds(&path, seed)));
    assert_eq!(names(folder.path()), ["weights"]);
}
