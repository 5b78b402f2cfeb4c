//! A small disk of the state folder's own, so that the raw device can be searched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::skipped;

/// A small disk of its own for the state folder, so that the raw device can be searched.
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    pub(crate) fn mount(folder: &Path) -> Option<Self> {
        let (image, at) = (folder.join("outside/disk.img"), folder.join("box/state"));
        let run = |program: &str, args: &[&std::ffi::OsStr]| {
            let done = Command::new(program)
                .args(args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            done.is_ok_and(|s| s.success())
        };
        std::fs::File::create(&image).unwrap().set_len(48 << 20).unwrap();
        let made =
            run(
                "/sbin/mke2fs",
                &["-q".as_ref(), "-F".as_ref(), "-t".as_ref(), "ext4".as_ref(), image.as_ref()],
            ) && run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), at.as_ref()]);
        if !made {
            skipped(
                "the search of a raw disk",
                "no file system can be mounted through a loop device here",
            );
            return None;
        }
        Some(Self { image, at })
    }

    /// Every byte of the device.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        rustix::fs::sync();
        std::fs::read(&self.image).unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
