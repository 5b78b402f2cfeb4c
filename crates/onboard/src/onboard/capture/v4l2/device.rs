//! A V4L2 node and its stream: the one file here with `unsafe` in it.
//!
//! The safe crates did not do: `v4l` 0.14 cannot use its stream again after one timeout and may
//! panic when it is dropped, `linuxvideo` gives neither sequence nor time stamp. See
//! docs/decisions/0010-own-v4l2-layer.md.
#![expect(unsafe_code, reason = "ioctl and mmap on video devices have no safe wrapper that serves")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::abi::{self, Buffer, Request, RequestBuffers};

/// Buffers that the driver fills in turn.
///
/// Two are needed to lose nothing at all; four let the capture thread sleep through 100 ms at
/// 30 frames per second on a busy machine. At 1080p YUYV they take 16 MB.
const BUFFERS: u32 = 4;

/// An open video node. Calls on it never block.
#[derive(Debug)]
pub(super) struct Device {
    file: File,
}

impl Device {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        Ok(Self { file })
    }

    /// One ioctl, repeated when a signal interrupts it.
    pub(super) fn call<T>(&self, request: &Request<T>, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the descriptor is open for as long as `self` lives. A `Request<T>` is made in
            // abi.rs only, where its number says the size of `T`, so the kernel reads and writes
            // within `argument`. Every `T` there is plain old data: no value that the kernel can
            // write is invalid. None of the requests keeps the address.
            let done = unsafe {
                libc::ioctl(self.file.as_raw_fd(), request.number, ptr::from_mut(argument))
            };
            if done >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// The same for requests that fill in `argument` and may be answered with "no such thing".
    pub(super) fn ask<T>(&self, request: &Request<T>, mut argument: T) -> Option<T> {
        self.call(request, &mut argument).ok().map(|()| argument)
    }
}

/// One of the driver's buffers in our memory. Read only.
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping is memory that belongs to the process, not to a thread; nothing about it
// depends on which thread reads or unmaps it.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(device: &Device, offset: u64, length: u32) -> io::Result<Self> {
        let length = length as usize;
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidData)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours; the
        // descriptor is open. The kernel refuses offsets and lengths that it did not give out.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                device.file.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// The first `used` bytes.
    ///
    /// # Safety
    ///
    /// The driver must not write to the buffer while the slice lives: it must be dequeued.
    unsafe fn bytes(&self, used: usize) -> &[u8] {
        // SAFETY: `start` is mapped for `length` bytes until `self` is dropped, also after the
        // device is gone; nobody writes to them, says the caller.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), used.min(self.length)) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those that mmap gave, and this is the only unmapping; no
        // slice outlives `self`. An error could only say that this is not so.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// What waiting for a frame came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// There is something to dequeue, if only an error.
    Ready,
    /// The device reports a fault: dequeue to learn which.
    Fault,
    /// Nothing came in time.
    Nothing,
}

/// A running stream. Dropping it stops the camera.
pub(super) struct Stream {
    device: Device,
    mappings: Vec<Mapping>,
}

impl Stream {
    /// Takes buffers from the driver, hands them all to it, and starts it. The error says which
    /// step failed.
    pub(super) fn start(device: Device) -> Result<Self, (&'static str, io::Error)> {
        let mut asked = RequestBuffers {
            count: BUFFERS,
            kind: abi::CAPTURE,
            memory: abi::MMAP,
            ..Default::default()
        };
        device.call(&abi::REQBUFS, &mut asked).map_err(|e| ("asking for buffers", e))?;
        let mut stream = Self { device, mappings: Vec::new() };
        for index in 0..asked.count {
            let mut buffer = blank(index);
            let device = &stream.device;
            device.call(&abi::QUERYBUF, &mut buffer).map_err(|e| ("asking for a buffer", e))?;
            let mapping = Mapping::new(device, buffer.offset, buffer.length)
                .map_err(|e| ("mapping a buffer", e))?;
            stream.mappings.push(mapping);
            let queued = stream.device.call(&abi::QBUF, &mut blank(index));
            queued.map_err(|e| ("queueing a buffer", e))?;
        }
        if stream.mappings.is_empty() {
            return Err(("asking for buffers", io::ErrorKind::OutOfMemory.into()));
        }
        let mut kind = abi::CAPTURE as i32;
        stream.device.call(&abi::STREAMON, &mut kind).map_err(|e| ("starting the stream", e))?;
        Ok(stream)
    }

    /// Waits for a filled buffer, `timeout` at most.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<Waited> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
            let mut fds = [PollFd::from_borrowed_fd(self.device.file.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(Waited::Nothing),
                Ok(_) => {
                    let found = fds[0].revents();
                    let fault = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
                    return Ok(if found.intersects(fault) { Waited::Fault } else { Waited::Ready });
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lends the next filled buffer to `look` and gives it back to the driver. `Ok(None)`: there
    /// is none.
    pub(super) fn next<R>(
        &mut self,
        look: impl FnOnce(&Buffer, &[u8]) -> R,
    ) -> io::Result<Option<R>> {
        let mut buffer = blank(0);
        match self.device.call(&abi::DQBUF, &mut buffer) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e),
        }
        let Some(mapping) = self.mappings.get(buffer.index as usize) else {
            return Err(io::Error::other(format!("the driver gave buffer {}", buffer.index)));
        };
        // SAFETY: the buffer was dequeued just above and is queued again only below, after the
        // slice's last use; in between it is ours. `&mut self` keeps others from queueing it.
        let looked = look(&buffer, unsafe { mapping.bytes(buffer.used as usize) });
        self.device.call(&abi::QBUF, &mut blank(buffer.index))?;
        Ok(Some(looked))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut kind = abi::CAPTURE as i32;
        // An unplugged camera says ENODEV here. There is nothing that could be done about any
        // error; closing the device, which follows, stops it as well.
        let _ = self.device.call(&abi::STREAMOFF, &mut kind);
    }
}

fn blank(index: u32) -> Buffer {
    Buffer { index, kind: abi::CAPTURE, memory: abi::MMAP, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_video_device_refuses_every_step_and_drops_quietly() {
        // No camera is needed to see that errors come back as errors.
        let null = || Device::open(Path::new("/dev/null")).unwrap();
        let error = null().call(&abi::QUERYCAP, &mut Default::default()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        let (step, error) = Stream::start(null()).err().unwrap();
        assert_eq!((step, error.raw_os_error()), ("asking for buffers", Some(libc::ENOTTY)));
        let mut stream = Stream { device: null(), mappings: Vec::new() };
        assert_eq!(
            stream.next(|_, _| ()).unwrap_err().raw_os_error(),
            Some(libc::ENOTTY),
            "dequeueing"
        );
        drop(stream);
    }

    #[test]
    fn wait_ends_when_its_time_is_over() {
        let (silent, _writer) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(silent));
        let stream = Stream { device: Device { file }, mappings: Vec::new() };
        assert_eq!(stream.wait(Duration::from_millis(5)).unwrap(), Waited::Nothing);
    }
}
