//! Root works in a car's state folder for its owner: a key that only systemd seals, a look at the log while nothing runs.
//!
//! The folder is the daemon's (docs/decisions/0064), and what root makes in it would be root's, with mode 0600: the daemon
//! could not open its own audit log any more, and there would be no look-ups and no changes of policy.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};

/// Until it is dropped, root works in the folder; then everything in it that is root's is given to the folder's owner.
///
/// Does nothing for another user, nor in a folder that is root's own or is not there.
#[must_use = "what is made before this exists, or after it is dropped, stays root's"]
pub(crate) struct OwnersFiles(PathBuf);

impl OwnersFiles {
    /// For the state folder of a car.
    pub(crate) fn of(state: &Path) -> Self {
        Self(state.to_owned())
    }
}

impl Drop for OwnersFiles {
    fn drop(&mut self) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        match give_back(&self.0) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => eprintln!(
                "warning: {} has files of root's that the daemon cannot open ({e}): chown them to the folder's owner",
                self.0.display()
            ),
            _ => {}
        }
    }
}

fn give_back(state: &Path) -> io::Result<()> {
    let folder = open(CWD, state)?;
    let owner = rustix::fs::fstat(&folder)?;
    if owner.st_uid == 0 {
        return Ok(());
    }
    give_below(&folder, Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid))
}

/// By open folders and without following a link: whoever owns the folder could exchange a path for another one meanwhile.
fn give_below(folder: &OwnedFd, owner: Uid, group: Gid) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let about = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_folder = FileType::from_raw_mode(about.st_mode) == FileType::Directory;
        // A second name of the file may lie where root keeps something.
        if about.st_uid == 0 && (is_folder || about.st_nlink == 1) {
            let (owner, group) = (Some(owner), Some(group));
            rustix::fs::chownat(folder, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if is_folder {
            give_below(&open(folder, name)?, owner, group)?;
        }
    }
    Ok(())
}

fn open(at: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}
