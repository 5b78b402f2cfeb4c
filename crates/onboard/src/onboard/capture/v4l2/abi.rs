//! The kernel's side of V4L2: numbers and layouts from `linux/videodev2.h`, for 64-bit machines.
//!
//! Only what we use, written down by hand: a generator would pull a C compiler's library into the
//! build and break where the installed header is older than it expects. Each layout's size is
//! checked at compile time, and each request carries the type that it is called with.

use std::marker::PhantomData;
use std::mem::{offset_of, size_of};

/// An ioctl request and the type of its argument. Made in this file only.
pub(super) struct Request<T> {
    pub(super) number: libc::Ioctl,
    argument: PhantomData<fn(&mut T)>,
}

/// Directions of an ioctl, as the kernel's `_IOC` encodes them.
const WRITE: u32 = 1;
const READ: u32 = 2;

/// `_IOC(direction, 'V', number, sizeof(T))`: the kernel copies exactly the size of `T`.
const fn request<T>(direction: u32, number: u32) -> Request<T> {
    let number =
        (direction << 30) | ((size_of::<T>() as u32) << 16) | ((b'V' as u32) << 8) | number;
    Request { number: number as libc::Ioctl, argument: PhantomData }
}

pub(super) const QUERYCAP: Request<Capability> = request(READ, 0);
pub(super) const ENUM_FMT: Request<FormatDescription> = request(READ | WRITE, 2);
pub(super) const S_FMT: Request<Format> = request(READ | WRITE, 5);
pub(super) const REQBUFS: Request<RequestBuffers> = request(READ | WRITE, 8);
pub(super) const QUERYBUF: Request<Buffer> = request(READ | WRITE, 9);
pub(super) const QBUF: Request<Buffer> = request(READ | WRITE, 15);
pub(super) const DQBUF: Request<Buffer> = request(READ | WRITE, 17);
pub(super) const STREAMON: Request<i32> = request(WRITE, 18);
pub(super) const STREAMOFF: Request<i32> = request(WRITE, 19);
pub(super) const S_PARM: Request<StreamParameters> = request(READ | WRITE, 22);
pub(super) const G_CTRL: Request<Control> = request(READ | WRITE, 27);
pub(super) const S_CTRL: Request<Control> = request(READ | WRITE, 28);
pub(super) const QUERYCTRL: Request<QueryControl> = request(READ | WRITE, 36);
pub(super) const QUERYMENU: Request<QueryMenu> = request(READ | WRITE, 37);
pub(super) const ENUM_FRAMESIZES: Request<FrameSize> = request(READ | WRITE, 74);
pub(super) const ENUM_FRAMEINTERVALS: Request<FrameInterval> = request(READ | WRITE, 75);

/// `V4L2_BUF_TYPE_VIDEO_CAPTURE`.
pub(super) const CAPTURE: u32 = 1;
/// `V4L2_MEMORY_MMAP`.
pub(super) const MMAP: u32 = 1;
/// `V4L2_FIELD_NONE`: whole pictures, no half-pictures of odd and even rows.
pub(super) const PROGRESSIVE: u32 = 1;
/// `V4L2_FRMSIZE_TYPE_DISCRETE` and `V4L2_FRMIVAL_TYPE_DISCRETE`.
pub(super) const DISCRETE: u32 = 1;
/// `V4L2_CAP_TIMEPERFRAME`, a bit of [`StreamParameters::capability`]: the rate can be set.
pub(super) const TIME_PER_FRAME: u32 = 0x1000;

/// `V4L2_CAP_*`: what a node can do.
pub(super) mod cap {
    pub(in super::super) const VIDEO_CAPTURE: u32 = 0x0000_0001;
    pub(in super::super) const VIDEO_CAPTURE_MPLANE: u32 = 0x0000_1000;
    pub(in super::super) const VIDEO_M2M: u32 = 0x0000_8000;
    pub(in super::super) const VIDEO_M2M_MPLANE: u32 = 0x0000_4000;
    pub(in super::super) const META_CAPTURE: u32 = 0x0080_0000;
    pub(in super::super) const STREAMING: u32 = 0x0400_0000;
    pub(in super::super) const DEVICE_CAPS: u32 = 0x8000_0000;
}

/// `V4L2_BUF_FLAG_*`: bits of [`Buffer::flags`].
pub(super) mod buf {
    /// The driver lost a part of the frame.
    pub(in super::super) const ERROR: u32 = 0x0000_0040;
    pub(in super::super) const TIMESTAMP_MASK: u32 = 0x0000_e000;
    pub(in super::super) const TIMESTAMP_MONOTONIC: u32 = 0x0000_2000;
}

/// `V4L2_CTRL_*` and `V4L2_CID_*`: controls, their flags and kinds.
pub(super) mod ctrl {
    pub(in super::super) const DISABLED: u32 = 0x0001;
    pub(in super::super) const READ_ONLY: u32 = 0x0004;
    pub(in super::super) const MENU: u32 = 3;
    pub(in super::super) const AUTOGAIN: u32 = 0x0098_0912;
    pub(in super::super) const GAIN: u32 = 0x0098_0913;
    pub(in super::super) const EXPOSURE_AUTO: u32 = 0x009a_0901;
    pub(in super::super) const EXPOSURE_ABSOLUTE: u32 = 0x009a_0902;
    pub(in super::super) const EXPOSURE_AUTO_PRIORITY: u32 = 0x009a_0903;
    pub(in super::super) const FOCUS_ABSOLUTE: u32 = 0x009a_090a;
    pub(in super::super) const FOCUS_AUTO: u32 = 0x009a_090c;
    pub(in super::super) const ANALOGUE_GAIN: u32 = 0x009e_0903;
}

/// `struct v4l2_capability`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Capability {
    pub(super) driver: [u8; 16],
    pub(super) card: [u8; 32],
    pub(super) bus: [u8; 32],
    pub(super) version: u32,
    pub(super) capabilities: u32,
    pub(super) device_caps: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct FormatDescription {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) description: [u8; 32],
    pub(super) fourcc: [u8; 4],
    pub(super) mbus: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_format` with `struct v4l2_pix_format` in its union. The union holds pointers, so
/// it begins on a multiple of eight.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Format {
    pub(super) kind: u32,
    pub(super) hole: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fourcc: [u8; 4],
    pub(super) field: u32,
    pub(super) bytes_per_line: u32,
    pub(super) size: u32,
    pub(super) colour: [u32; 6],
    pub(super) rest: [u64; 19],
}

/// `struct v4l2_requestbuffers`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct RequestBuffers {
    pub(super) count: u32,
    pub(super) kind: u32,
    pub(super) memory: u32,
    pub(super) capabilities: u32,
    pub(super) flags: u32,
}

/// `struct v4l2_buffer`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Buffer {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) used: u32,
    pub(super) flags: u32,
    pub(super) field: u32,
    pub(super) hole: u32,
    pub(super) seconds: i64,
    pub(super) microseconds: i64,
    pub(super) timecode: [u32; 4],
    pub(super) sequence: u32,
    pub(super) memory: u32,
    /// Where to map the buffer.
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_streamparm` with `struct v4l2_captureparm` in its union.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct StreamParameters {
    pub(super) kind: u32,
    pub(super) capability: u32,
    pub(super) mode: u32,
    /// Seconds per frame.
    pub(super) interval: Fraction,
    pub(super) extended: u32,
    pub(super) buffers: u32,
    pub(super) rest: [u32; 32],
    pub(super) reserved: [u32; 12],
}

/// `struct v4l2_fract`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fraction {
    pub(super) numerator: u32,
    pub(super) denominator: u32,
}

/// `struct v4l2_frmsizeenum`: a discrete size has its width and height in the first two of `range`,
/// a stepwise one least, most and step of the width and then of the height.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct FrameSize {
    pub(super) index: u32,
    pub(super) fourcc: [u8; 4],
    pub(super) kind: u32,
    pub(super) range: [u32; 6],
    pub(super) reserved: [u32; 2],
}

/// `struct v4l2_frmivalenum`: one interval, or shortest, longest and step.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct FrameInterval {
    pub(super) index: u32,
    pub(super) fourcc: [u8; 4],
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) kind: u32,
    pub(super) range: [Fraction; 3],
    pub(super) reserved: [u32; 2],
}

/// `struct v4l2_control`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Control {
    pub(super) id: u32,
    pub(super) value: i32,
}

/// `struct v4l2_queryctrl`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct QueryControl {
    pub(super) id: u32,
    pub(super) kind: u32,
    pub(super) name: [u8; 32],
    pub(super) minimum: i32,
    pub(super) maximum: i32,
    pub(super) step: i32,
    pub(super) default: i32,
    pub(super) flags: u32,
    pub(super) reserved: [u32; 2],
}

/// `struct v4l2_querymenu`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct QueryMenu {
    pub(super) id: u32,
    pub(super) index: u32,
    pub(super) name: [u8; 32],
    pub(super) reserved: u32,
}

// As `sizeof` and `offsetof` say on x86-64 and on arm64. On a 32-bit machine these fail, rather
// than the camera.
const _: () = {
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<FormatDescription>() == 64);
    assert!(size_of::<Format>() == 208);
    assert!(offset_of!(Format, width) == 8);
    assert!(size_of::<RequestBuffers>() == 20);
    assert!(size_of::<Buffer>() == 88);
    assert!(offset_of!(Buffer, seconds) == 24);
    assert!(offset_of!(Buffer, sequence) == 56);
    assert!(offset_of!(Buffer, offset) == 64);
    assert!(offset_of!(Buffer, length) == 72);
    assert!(size_of::<StreamParameters>() == 204);
    assert!(size_of::<FrameSize>() == 44);
    assert!(size_of::<FrameInterval>() == 52);
    assert!(size_of::<Control>() == 8);
    assert!(size_of::<QueryControl>() == 68);
    assert!(size_of::<QueryMenu>() == 44);
    assert!(size_of::<usize>() == 8);
};

/// A fixed field of text: up to the first zero byte, whatever the driver wrote.
pub(super) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_numbers_of_the_kernel_header() {
        // As a C program with linux/videodev2.h prints them on Debian 12.
        assert_eq!(QUERYCAP.number as u32, 0x8068_5600);
        assert_eq!(ENUM_FMT.number as u32, 0xc040_5602);
        assert_eq!(S_FMT.number as u32, 0xc0d0_5605);
        assert_eq!(QBUF.number as u32, 0xc058_560f);
        assert_eq!(DQBUF.number as u32, 0xc058_5611);
        assert_eq!(STREAMON.number as u32, 0x4004_5612);
        assert_eq!(S_PARM.number as u32, 0xc0cc_5616);
        assert_eq!(S_CTRL.number as u32, 0xc008_561c);
        assert_eq!(QUERYCTRL.number as u32, 0xc044_5624);
        assert_eq!(QUERYMENU.number as u32, 0xc02c_5625);
        assert_eq!(ENUM_FRAMEINTERVALS.number as u32, 0xc034_564b);
    }

    #[test]
    fn card_name_that_is_no_text_does_no_harm() {
        assert_eq!(text(b"HD \xffCam\0junk"), "HD \u{fffd}Cam");
        assert_eq!(text(b"full"), "full");
    }
}
