//! Files that the daemon relies on: who owns them, who can change them, how they are replaced and
//! destroyed.
//!
//! In: paths. Out: an open file that nobody but us and root can have changed, or a refusal that
//! says what to do; a replacement is there whole or not at all. Costs: one `stat` for each folder
//! above a file; two syncs for a replacement. Leaves to others: the contents.
//!
//! One rule holds for the configuration, the root keys, the ceiling, lists from files, keys and the
//! state folder: the file belongs to us or to root, nobody else may write it, and nobody else may
//! exchange it or a folder above it. A folder in which everybody may write is accepted if it is
//! sticky, as `/tmp` is: there a file can be exchanged by its owner alone.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

/// Root's user number.
const ROOT: u32 = 0;

/// The bits by which others than the owner may write.
const WRITABLE: u32 = 0o022;

/// The bit by which a file in a folder can be exchanged by its owner alone.
const STICKY: u32 = 0o1000;

/// How much of a file is overwritten before it is removed, in bytes: more than any key has.
const SHREDDED: usize = 1 << 16;

/// How often a file beside `place` is tried while other writers use the same name. Each try is lost to one that was
/// faster, and on a busy machine one writer can be the slower one a hundred times in a row.
const TRIES: u32 = 10_000;

/// Who may read a file that we rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Everybody: configuration, public keys, lists.
    Anybody,
    /// Its owner and its group: keys that root gives to a service.
    Group,
    /// Its owner alone: our own keys and passwords.
    Owner,
}

impl Readers {
    /// The permission bits that must not be set.
    fn forbidden(self) -> u32 {
        match self {
            Self::Anybody => 0,
            Self::Group => 0o007,
            Self::Owner => 0o077,
        }
    }
}

/// Why a file or folder is not relied on. Each message names it and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedError {
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {owner}, who is neither root nor the user we run as ({us}): that user can \
         change it at any time; see who put it there, then run chown {us} {path}, or use another",
        path = .path.display()
    )]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The user who owns it.
        owner: u32,
        /// The user we run as.
        us: u32,
    },
    /// Others can change it.
    #[error(
        "{path} can be changed by others (mode {mode:04o}): see what is in it, then run chmod go-w {path}",
        path = .path.display()
    )]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others can read it.
    #[error(
        "{path} can be read by others (mode {mode:04o}): if nobody can have copied it, run chmod 600 {path}; \
         else make a new one",
        path = .path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is a pipe or a device, or a folder where a file is needed, or the other way round.
    #[error("{path} is no {wanted}", path = .path.display())]
    Kind {
        /// What is there.
        path: PathBuf,
        /// What is needed.
        wanted: &'static str,
    },
    /// Its metadata cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens a file that we rely on. Refuses one that others than us and root can have changed.
pub fn open(path: &Path, readers: Readers) -> Result<File, UntrustedError> {
    let io = |source| UntrustedError::Io { path: path.to_owned(), source };
    // Opening a pipe without a writer would block for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(UntrustedError::Kind { path: path.to_owned(), wanted: "file" });
    }
    // The open file is judged, so that nobody can exchange it between the check and the reading.
    judge(path, &meta, us(), readers)?;
    way_to(path, us())?;
    Ok(file)
}

/// Checks that nobody but us and root can have changed a file that another library reads for us.
pub fn check(path: &Path, readers: Readers) -> Result<(), UntrustedError> {
    open(path, readers).map(drop)
}

impl From<UntrustedError> for io::Error {
    fn from(e: UntrustedError) -> Self {
        match e {
            UntrustedError::Io { source, .. } => source,
            other => Self::new(io::ErrorKind::PermissionDenied, other),
        }
    }
}

/// Reads a text that we rely on.
pub fn read_text(path: &Path, readers: Readers) -> io::Result<String> {
    String::from_utf8(read(path, readers)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8"))
}

/// Reads a file that we rely on.
pub fn read(path: &Path, readers: Readers) -> Result<Vec<u8>, UntrustedError> {
    let mut bytes = Vec::new();
    open(path, readers)?
        .read_to_end(&mut bytes)
        .map_err(|source| UntrustedError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// Reads a file of somebody else's that can have `most` bytes at most. Of a larger one, such as one of zeros without
/// end, no more is read.
pub fn read_at_most(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        let why = format!("has more than {most} bytes, which nothing has that is read here");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}

/// As [`read_at_most`], for a text.
pub fn read_text_at_most(path: &Path, most: usize) -> io::Result<String> {
    String::from_utf8(read_at_most(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8"))
}

/// Makes the daemon's own folder if it does not exist, and checks that it is ours, that nobody else
/// can change it, and that nobody else can exchange a folder above it. Read access of others is
/// taken away.
pub fn own_folder(path: &Path) -> Result<(), UntrustedError> {
    let io = |source| UntrustedError::Io { path: path.to_owned(), source };
    private_folder(path).map_err(io)?;
    let meta = fs::metadata(path).map_err(io)?;
    if !meta.is_dir() {
        return Err(UntrustedError::Kind { path: path.to_owned(), wanted: "folder" });
    }
    if meta.uid() != us() {
        return Err(UntrustedError::Owner { path: path.to_owned(), owner: meta.uid(), us: us() });
    }
    writable(path, &meta)?;
    way_to(path, us())?;
    if meta.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:04o}", meta.mode() & 0o7777),
            "state folder was open to others: permissions restricted");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(())
}

/// The owner of a folder, for commands that run beside a daemon. The folder must be ours or root's
/// or, if we are root, that of a service's user to whom root has given it. A folder inside one
/// where others may write, such as `/tmp`, cannot have been given by root.
pub fn folder_owner(path: &Path) -> Result<u32, UntrustedError> {
    let io = |source| UntrustedError::Io { path: path.to_owned(), source };
    let meta = fs::metadata(path).map_err(io)?;
    if !meta.is_dir() {
        return Err(UntrustedError::Kind { path: path.to_owned(), wanted: "folder" });
    }
    let owner = meta.uid();
    if owner != us() && owner != ROOT {
        let whole = fs::canonicalize(path).map_err(io)?;
        let above = whole.parent().unwrap_or(Path::new("/"));
        let around = fs::metadata(above).map_err(io)?;
        let given = around.uid() == ROOT && around.mode() & WRITABLE == 0;
        if us() != ROOT || !given {
            return Err(UntrustedError::Owner { path: path.to_owned(), owner, us: us() });
        }
    }
    writable(path, &meta)?;
    way_to(path, us())?;
    Ok(owner)
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn judge(path: &Path, meta: &Metadata, us: u32, readers: Readers) -> Result<(), UntrustedError> {
    if meta.uid() != us && meta.uid() != ROOT {
        return Err(UntrustedError::Owner { path: path.to_owned(), owner: meta.uid(), us });
    }
    if meta.mode() & readers.forbidden() != 0 && !is_credential(path) {
        let mode = meta.mode() & 0o7777;
        return Err(UntrustedError::Readable { path: path.to_owned(), mode });
    }
    writable(path, meta)
}

/// Whether systemd has passed this file. It grants reading by an access list, which shows as the
/// group's bits.
fn is_credential(path: &Path) -> bool {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
    folder.is_some_and(|folder| path.starts_with(folder))
}

fn writable(path: &Path, meta: &Metadata) -> Result<(), UntrustedError> {
    // A user's own group has the user's number and no other member, and many systems let it write.
    let own_group = meta.gid() == meta.uid();
    let others = if own_group { WRITABLE & 0o007 } else { WRITABLE };
    if meta.mode() & others == 0 {
        return Ok(());
    }
    Err(UntrustedError::Writable { path: path.to_owned(), mode: meta.mode() & 0o7777 })
}

/// Judges every folder above a file, by the names that were given and by those behind links.
fn way_to(path: &Path, us: u32) -> Result<(), UntrustedError> {
    let io = |source| UntrustedError::Io { path: path.to_owned(), source };
    let given = std::path::absolute(path).map_err(io)?;
    let real = fs::canonicalize(path).map_err(io)?;
    for folder in given.ancestors().skip(1).chain(real.ancestors().skip(1)) {
        let meta = fs::metadata(folder)
            .map_err(|source| UntrustedError::Io { path: folder.to_owned(), source })?;
        if meta.uid() != us && meta.uid() != ROOT {
            return Err(UntrustedError::Owner { path: folder.to_owned(), owner: meta.uid(), us });
        }
        if meta.mode() & STICKY == 0 {
            writable(folder, &meta)?;
        }
    }
    Ok(())
}

/// A file that is written beside another and takes its place once it is whole. If it is dropped
/// before, it is removed and the other stays.
#[derive(Debug)]
pub struct Aside {
    place: PathBuf,
    aside: PathBuf,
    file: File,
    placed: bool,
}

impl Aside {
    /// Begins a file beside `place` that only its owner can read.
    pub fn begin(place: &Path) -> io::Result<Self> {
        Self::begin_with(place, 0o600)
    }

    /// As [`Aside::begin`], with the permission bits that the file is to have.
    pub fn begin_with(place: &Path, mode: u32) -> io::Result<Self> {
        let mut name = OsString::from(place);
        name.push(".new");
        let aside = PathBuf::from(name);
        // If another thread or process has just put its file in place, or given it up, the loop
        // tries again.
        for _ in 0..TRIES {
            let opened = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(mode)
                .custom_flags(OFlags::NOFOLLOW.bits() as i32)
                .open(&aside);
            let file = match opened {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(e),
                Err(_) => {
                    // It is a link, or its permissions differ: we have not left it there.
                    remove(&aside)?;
                    continue;
                }
            };
            // Two writers of one file take turns.
            flock(&file, FlockOperation::LockExclusive)?;
            let ours = file.metadata()?;
            let there = fs::symlink_metadata(&aside);
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                continue;
            }
            // An earlier writer linked its file into place and was killed before it removed this
            // name: the file in place stays as it is.
            if ours.nlink() != 1 || ours.uid() != us() {
                remove(&aside)?;
                continue;
            }
            // A file that an interrupted write left behind may have other permissions.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.set_len(0)?;
            return Ok(Self { place: place.to_owned(), aside, file, placed: false });
        }
        let message = format!("{} is in use by too many at once", aside.display());
        Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Syncs the file and puts it in place: after a power cut the old file is there or the new one.
    pub fn put_in_place(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.aside, &self.place)?;
        self.placed = true;
        sync_folder_of(&self.place)
    }

    /// Puts the file in place without a sync: for contents that can be fetched again.
    pub fn put_in_place_unsynced(mut self) -> io::Result<()> {
        fs::rename(&self.aside, &self.place)?;
        self.placed = true;
        Ok(())
    }

    /// Puts the file in place if nothing is there; fails with `AlreadyExists` otherwise.
    pub fn put_in_free_place(self) -> io::Result<()> {
        self.file.sync_all()?;
        // A hard link replaces nothing; the file beside is removed when this is dropped.
        fs::hard_link(&self.aside, &self.place)?;
        sync_folder_of(&self.place)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.aside);
        }
    }
}

/// Replaces a file, readable by its owner alone; it is written whole or not at all.
pub fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut aside = Aside::begin(path)?;
    for part in parts {
        aside.file().write_all(part)?;
    }
    aside.put_in_place()
}

/// Writes a new file, readable by its owner alone; fails with `AlreadyExists` if there is one.
pub fn create(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut aside = Aside::begin(path)?;
    for part in parts {
        aside.file().write_all(part)?;
    }
    aside.put_in_free_place()
}

/// Moves a file that was written and synced before into its place.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder_of(to)
}

/// Destroys a file: it is overwritten where the file system writes in place, then removed. A
/// missing file counts as destroyed.
pub fn shred(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(path) {
        Ok(mut file) => {
            let len = usize::try_from(file.metadata()?.len()).unwrap_or(SHREDDED).min(SHREDDED);
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&vec![0; len])?;
            file.sync_all()?;
            fs::remove_file(path)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        // A file that cannot be written may still be removable.
        Err(_) => fs::remove_file(path),
    }
}

/// Removes a file if it exists.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Syncs a folder: its list of files is then on the disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
        _ => sync_folder(Path::new(".")),
    }
}

/// Makes a folder that only we may enter, if it does not exist.
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A folder such that only we can exchange the folders above it.
    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn foreign_file_is_read_to_its_bound_and_no_further_however_large_it_is() {
        let dir = folder();
        let path = dir.path().join("bundle.zip");
        fs::write(&path, b"PK12").unwrap();
        assert_eq!(read_at_most(&path, 4).unwrap(), b"PK12");
        let refused = read_at_most(&path, 3).unwrap_err().to_string();
        assert_eq!(refused, "has more than 3 bytes, which nothing has that is read here");
        // A file without an end: whoever reads it whole never comes back.
        assert!(read_at_most(Path::new("/dev/zero"), 1 << 20).is_err());
        assert!(read_text_at_most(Path::new("/dev/zero"), 1 << 20).is_err());
        // Ten gigabytes that take no room on the disk.
        File::options().write(true).open(&path).unwrap().set_len(10 << 30).unwrap();
        assert!(read_at_most(&path, 1 << 20).is_err());
    }

    #[test]
    fn what_others_can_change_or_bend_the_way_to_is_refused_and_named() {
        let dir = folder();
        let path = dir.path().join("outrider.toml");
        fs::write(&path, "x").unwrap();
        with_mode(&path, 0o644);
        assert_eq!(read(&path, Readers::Anybody).unwrap(), b"x");
        for mode in [0o646, 0o666, 0o602] {
            with_mode(&path, mode);
            let message = check(&path, Readers::Anybody).unwrap_err().to_string();
            assert!(message.contains(&format!("mode {mode:04o}")), "{message}");
            assert!(message.contains("chmod go-w"), "{message}");
        }
        with_mode(&path, 0o644);
        with_mode(dir.path(), 0o777);
        let message = check(&path, Readers::Anybody).unwrap_err().to_string();
        assert!(message.starts_with(&dir.path().display().to_string()), "{message}");
        // Sticky, as /tmp is: only the owner of a file in it can exchange that file.
        with_mode(dir.path(), 0o1777);
        check(&path, Readers::Anybody).unwrap();
        with_mode(dir.path(), 0o700);
        let message = check(&path, Readers::Owner).unwrap_err().to_string();
        assert!(message.contains("chmod 600"), "{message}");
        with_mode(&path, 0o600);
        check(&path, Readers::Owner).unwrap();
        with_mode(&path, 0o640);
        check(&path, Readers::Group).unwrap();
        check(&path, Readers::Owner).unwrap_err();
        with_mode(&path, 0o644);
        check(&path, Readers::Group).unwrap_err();
    }

    #[test]
    fn link_is_judged_by_what_is_behind_it_and_a_pipe_holds_nobody_up() {
        let dir = folder();
        let open_to_all = dir.path().join("open");
        fs::create_dir(&open_to_all).unwrap();
        let real = open_to_all.join("real");
        fs::write(&real, "x").unwrap();
        with_mode(&real, 0o644);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        check(&link, Readers::Anybody).unwrap();
        with_mode(&open_to_all, 0o777);
        check(&link, Readers::Anybody).unwrap_err();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let message = check(&pipe, Readers::Anybody).unwrap_err().to_string();
        assert!(message.ends_with("is no file"), "{message}");
    }

    #[test]
    fn what_belongs_to_another_user_is_refused() {
        let dir = folder();
        let path = dir.path().join("outrider.toml");
        fs::write(&path, "x").unwrap();
        with_mode(&path, 0o644);
        let meta = fs::metadata(&path).unwrap();
        let stranger = meta.uid() + 4711;
        // Judged as a user who is neither the file's owner nor root.
        let judged = judge(&path, &meta, stranger, Readers::Anybody);
        match meta.uid() {
            ROOT => judged.unwrap(),
            _ => assert!(matches!(judged, Err(UntrustedError::Owner { .. }))),
        }
        if us() == ROOT {
            std::os::unix::fs::chown(&path, Some(stranger), None).unwrap();
            let message = check(&path, Readers::Anybody).unwrap_err().to_string();
            assert!(message.contains(&format!("belongs to user {stranger}")), "{message}");
            let state = dir.path().join("state");
            private_folder(&state).unwrap();
            std::os::unix::fs::chown(&state, Some(stranger), None).unwrap();
            own_folder(&state).unwrap_err();
            // Root gave it to a service's user; inside a folder for everybody, anybody may have
            // made it.
            assert_eq!(folder_owner(&state).unwrap(), stranger);
            with_mode(dir.path(), 0o1777);
            folder_owner(&state).unwrap_err();
        }
    }

    #[test]
    fn own_folder_is_shut_and_one_that_others_write_in_is_refused() {
        let dir = folder();
        let state = dir.path().join("state");
        own_folder(&state).unwrap();
        with_mode(&state, 0o755);
        own_folder(&state).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
        with_mode(&state, 0o777);
        assert!(matches!(own_folder(&state), Err(UntrustedError::Writable { .. })));
        assert!(matches!(folder_owner(&state), Err(UntrustedError::Writable { .. })));
    }

    #[test]
    fn replaced_whole_or_not_at_all_and_nothing_is_left_aside() {
        let dir = folder();
        let path = dir.path().join("a");
        create(&path, &[b"fi", b"rst"]).unwrap();
        let again = create(&path, &[b"second"]).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let mut given_up = Aside::begin(&path).unwrap();
        given_up.file().write_all(b"hal").unwrap();
        drop(given_up);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        // An interrupted write has left it, with other permissions.
        fs::write(dir.path().join("a.new"), "left").unwrap();
        replace(&path, &[b"second"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_that_write_one_file_at_once_leave_one_of_theirs_whole() {
        let dir = folder();
        let path = dir.path().join("a");
        std::thread::scope(|scope| {
            for n in 0_u8..8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        replace(path, &[&[n; 500], &[n; 500]]).unwrap();
                        let read = fs::read(path).unwrap();
                        assert!(read.len() == 1_000 && read.iter().all(|b| *b == read[0]));
                    }
                });
            }
        });
        let first = dir.path().join("first");
        let made = std::thread::scope(|scope| {
            let made: Vec<_> = (0_u8..8)
                .map(|n| {
                    scope.spawn({
                        let first = &first;
                        move || create(first, &[&[n; 100]]).is_ok()
                    })
                })
                .collect();
            made.into_iter().map(|t| t.join().unwrap()).filter(|made| *made).count()
        });
        assert_eq!(made, 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn shredding_twice_is_shredding_and_a_link_is_not_followed() {
        let dir = folder();
        let (path, link) = (dir.path().join("a.key"), dir.path().join("link"));
        fs::write(&path, [7; 100]).unwrap();
        let other_name = dir.path().join("other");
        fs::hard_link(&path, &other_name).unwrap();
        std::os::unix::fs::symlink(&other_name, &link).unwrap();
        shred(&link).unwrap();
        assert_eq!(fs::read(&other_name).unwrap(), [7; 100]);
        shred(&path).unwrap();
        assert!(!path.exists());
        // The other name of the same file shows that it was overwritten and not only unlinked.
        assert_eq!(fs::read(&other_name).unwrap(), [0; 100]);
        shred(&path).unwrap();
    }
}
