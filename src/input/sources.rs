//! Turns what was named on the command line into captures to read.

use super::savefile::has_capture_magic;
use super::unpack;
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One capture to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, for [`super::savefile::CaptureFile::open`].
    File(PathBuf),
    /// A named pipe or a device, which can only be read once: open it, and give what
    /// [`super::unpack::unpack`] makes of it to [`super::savefile::Records::from_unpacked`].
    Pipe(PathBuf),
    /// `-`.
    StandardInput,
}

/// Finds the captures that arguments name, in the order of the arguments.
///
/// An argument is a file, `-` for standard input, or a folder. Folders are searched through, each
/// in sorted order, for files that begin as pcap or pcapng do, compressed or not, or are named like
/// them; links are followed, and a file that can be reached twice is taken once. Each thing that cannot be read is
/// an error of its own between the others.
pub fn find(arguments: &[PathBuf]) -> Vec<Result<Source>> {
    let mut found = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            found.push(Ok(Source::StandardInput));
            continue;
        }
        match argument.metadata() {
            Err(source) => found.push(Err(Error::Open { path: argument.clone(), source })),
            Ok(metadata) if metadata.is_dir() => Search::through(argument, &metadata, &mut found),
            Ok(metadata) if metadata.is_file() => found.push(Ok(Source::File(argument.clone()))),
            Ok(_) => found.push(Ok(Source::Pipe(argument.clone()))),
        }
    }
    let mut seen = BTreeSet::new();
    let mut standard_input = 0;
    found.retain(|source| match source {
        // It can be read once.
        Ok(Source::StandardInput) => {
            standard_input += 1;
            standard_input == 1
        }
        Ok(Source::File(path)) => {
            path.metadata().map_or(true, |metadata| seen.insert(identity(&metadata)))
        }
        _ => true,
    });
    found
}

/// A search through one folder.
struct Search<'a> {
    found: &'a mut Vec<Result<Source>>,
    /// The first file that is named as captures are which have to be converted. Where converted
    /// ones lie beside it, it needs no mention.
    to_convert: Option<PathBuf>,
    /// Device and inode of the files and folders seen: keeps out of circles.
    seen: BTreeSet<(u64, u64)>,
}

impl Search<'_> {
    fn through(folder: &Path, metadata: &Metadata, found: &mut Vec<Result<Source>>) {
        let before = found.len();
        let seen = BTreeSet::from([identity(metadata)]);
        let mut search = Search { found, to_convert: None, seen };
        // A stack instead of recursion: folders may be nested deeper than the thread's stack.
        let mut pending = search.entries(folder);
        while let Some(path) = pending.pop() {
            pending.extend(search.visit(path));
        }
        let to_convert = search.to_convert.take();
        if found.len() == before {
            // Opening it tells how it is converted.
            found.push(match to_convert {
                Some(path) => Ok(Source::File(path)),
                None => Err(Error::NoCaptures { path: folder.to_owned() }),
            });
        }
    }

    /// Takes a file, or gives what a folder holds.
    fn visit(&mut self, path: PathBuf) -> Vec<PathBuf> {
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(source) => {
                // A link that leads nowhere matters only if it was meant as a capture.
                if is_named_like_a_capture(&path) {
                    self.found.push(Err(Error::Open { path, source }));
                }
                return Vec::new();
            }
        };
        let is_file = metadata.is_file();
        if !(is_file || metadata.is_dir()) || !self.seen.insert(identity(&metadata)) {
            return Vec::new();
        }
        if !is_file {
            return self.entries(&path);
        }
        let wanted = if is_named_like_a_capture(&path) { Ok(true) } else { begins_as_one(&path) };
        match wanted {
            Ok(true) => self.found.push(Ok(Source::File(path))),
            Ok(false) if self.to_convert.is_none() && is_to_be_converted(&path) => {
                self.to_convert = Some(path);
            }
            Ok(false) => {}
            Err(source) => self.found.push(Err(Error::Open { path, source })),
        }
        Vec::new()
    }

    /// What is in a folder, last name first, so that the first is popped first.
    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let cannot_open = |source| Err(Error::Open { path: folder.to_owned(), source });
        let mut paths = Vec::new();
        match folder.read_dir() {
            Err(source) => self.found.push(cannot_open(source)),
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok(entry) => paths.push(entry.path()),
                        Err(source) => self.found.push(cannot_open(source)),
                    }
                }
            }
        }
        paths.sort_unstable_by(|a, b| b.cmp(a));
        paths
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether the name ends as captures' names do, compressed ones included. What is compressed in a
/// way that is not read is refused later, with the command that unpacks it, instead of being
/// passed over.
fn is_named_like_a_capture(path: &Path) -> bool {
    let Some(name) = path.file_name() else {
        return false;
    };
    let name = name.to_string_lossy().to_ascii_lowercase();
    let name = COMPRESSED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    NAMES.iter().any(|end| name.ends_with(end))
}

/// Whether the name ends as those of captures do that this tool does not read.
fn is_to_be_converted(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    ending.is_some_and(|ending| TO_CONVERT.contains(&ending.as_str()))
}

/// Whether the content begins as a capture does.
fn begins_as_one(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    let file = File::open(path)?;
    (&file).take(HEAD).read_to_end(&mut head)?;
    if !unpack::is_packed(&head) {
        return Ok(has_capture_magic(&head));
    }
    let mut inside = Vec::new();
    let whole = io::Cursor::new(head).chain(file);
    let read = unpack::unpack(Box::new(whole))
        .and_then(|unpacked| unpacked.stream.take(HEAD).read_to_end(&mut inside));
    // What cannot be unpacked is no capture, unless its name says so.
    Ok(read.is_ok() && has_capture_magic(&inside))
}

/// How captures are named, in lower case.
const NAMES: [&str; 3] = [".pcap", ".pcapng", ".cap"];
/// Traces of Windows, of Solaris and of Sniffer.
const TO_CONVERT: [&str; 3] = ["etl", "snoop", "enc"];
/// What tells a capture, and whether it is compressed, in bytes.
const HEAD: u64 = 8;
/// What compressing adds to a name.
const COMPRESSED: [&str; 5] = [".gz", ".zst", ".xz", ".lz4", ".bz2"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const MAGIC: &[u8] = b"\xa1\xb2\xc3\xd4 and so on";

    /// A folder with captures by name and by content, in folders, behind links, and other files.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        fs::write(root.join("z.PCAPNG"), b"").unwrap();
        fs::write(root.join("b/deep/dump0"), MAGIC).unwrap();
        fs::write(root.join("b/notes.txt"), b"not a capture").unwrap();
        fs::write(root.join("b/x.pcap.gz"), b"\x1f\x8b").unwrap();
        symlink(root, root.join("b/circle")).unwrap();
        symlink(root.join("z.PCAPNG"), root.join("zz.pcapng")).unwrap();
        symlink("nowhere", root.join("a.cap")).unwrap();
        symlink("nowhere", root.join("a.txt")).unwrap();
        folder
    }

    #[test]
    fn a_capture_given_twice_is_taken_once() {
        let folder = folder();
        let file = folder.path().join("b/deep/dump0");
        let twice = find(&[file.clone(), folder.path().join("b/deep"), file.clone()]);
        let taken: Vec<_> = twice.into_iter().map(Result::unwrap).collect();
        assert_eq!(taken, [Source::File(file)]);
        let twice = find(&["-".into(), "-".into()]);
        assert!(matches!(twice.as_slice(), [Ok(Source::StandardInput)]), "{twice:?}");
    }

    #[test]
    fn a_folder_is_searched_in_order() {
        let folder = folder();
        let root = folder.path();
        let mut found = find(&[root.to_owned()]).into_iter();
        let broken = found.next().unwrap().unwrap_err().to_string();
        assert!(broken.starts_with("cannot open") && broken.contains("a.cap"), "{broken}");
        let files: Vec<Source> = found.map(|source| source.unwrap()).collect();
        let expected = ["b/deep/dump0", "b/x.pcap.gz", "z.PCAPNG"];
        let expected: Vec<Source> =
            expected.iter().map(|name| Source::File(root.join(name))).collect();
        assert_eq!(files, expected);
    }

    #[test]
    fn arguments_are_taken_as_they_come() {
        let folder = folder();
        let notes = folder.path().join("b/notes.txt");
        let found = find(&["-".into(), notes.clone(), "/dev/null".into(), "/nowhere".into()]);
        let [Ok(first), Ok(second), Ok(third), Err(error)] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((first, second), (&Source::StandardInput, &Source::File(notes)));
        assert_eq!(third, &Source::Pipe("/dev/null".into()));
        assert!(error.to_string().starts_with("cannot open /nowhere"));
    }

    #[test]
    fn compressed_captures_of_any_name_are_found() {
        // As `tcpdump -C 100 -z gzip -w trace.pcap` names them.
        let folder = tempfile::tempdir().unwrap();
        // A gzip header and one stored block (RFC 1952, 2.3; RFC 1951, 3.2.4); nobody looks further.
        let gzip = |bytes: &[u8]| {
            let length = bytes.len() as u16;
            let lengths = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
            [b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", lengths.as_slice(), bytes].concat()
        };
        fs::write(folder.path().join("trace.pcap1.gz"), gzip(MAGIC)).unwrap();
        fs::write(folder.path().join("syslog.1.gz"), gzip(b"no capture at all")).unwrap();
        fs::write(folder.path().join("broken.gz"), b"\x1f\x8b\x08 and no more").unwrap();
        let found: Vec<_> = find(&[folder.path().to_owned()]).into_iter().collect();
        let [Ok(Source::File(path))] = found.as_slice() else { panic!("{found:?}") };
        assert!(path.ends_with("trace.pcap1.gz"), "{path:?}");
    }

    #[test]
    fn a_trace_to_be_converted_is_named_where_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("site.etl");
        fs::write(&trace, b"no magic").unwrap();
        let found = find(&[folder.path().to_owned()]);
        assert!(matches!(found.as_slice(), [Ok(Source::File(path))] if *path == trace));
        let converted = folder.path().join("site.pcapng");
        fs::write(&converted, MAGIC).unwrap();
        let found = find(&[folder.path().to_owned()]);
        assert!(matches!(found.as_slice(), [Ok(Source::File(path))] if *path == converted));
    }

    #[test]
    fn a_folder_without_captures_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), b"no").unwrap();
        let found = find(&[folder.path().to_owned()]);
        assert!(matches!(found.as_slice(), [Err(Error::NoCaptures { .. })]), "{found:?}");
    }
}
