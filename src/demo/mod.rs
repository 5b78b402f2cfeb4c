//! A whole drive without a car: rendered cameras, simulated GPS, embedded broker.
//!
//! Nothing here is part of the product: the product's own daemon runs on these stand-ins for the
//! road and the fleet, through the same seams as on a car.

pub mod broker;
pub mod camera;
pub mod gps;
pub mod listed;
pub mod people;
pub mod replay;
pub mod scenario;
pub mod watch;
pub mod wire;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::clock::FrameTime;
use crate::onboard::score::{TruePass, Truth};
use scenario::{DriveScenario, Visit};

/// The passes that a drive's score expects: a pass is a plate that is legible in at least
/// `legible_frames` frames and has left the picture before the last one.
pub fn announce(
    truth: &Truth,
    plan: &DriveScenario,
    visits: &[Visit],
    legible_frames: u32,
    began: FrameTime,
) {
    let last = plan.frames().saturating_sub(1);
    for visit in visits {
        truth.expect(&TruePass {
            plate: plan.encounters[visit.vehicle].plate,
            camera: visit.side.id(),
            first: began.monotonic + plan.frame_time(visit.visible.0),
            last: began.monotonic + plan.frame_time(visit.visible.1),
            legible: visit.legible_frames >= legible_frames && visit.visible.1 < last,
        });
    }
}

/// The address, or a free port of the loopback address if that one is taken.
pub fn free_address(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
