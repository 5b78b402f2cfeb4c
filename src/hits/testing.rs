//! A hit for tests of the modules that get hits from onboard.

#![allow(clippy::unwrap_used, reason = "tests alone call this")]

use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

#[cfg(test)]
use super::{News, Outbox};
use crate::camera_id::CameraId;
use crate::clock::FrameTime;
use crate::entry::Priority;
use crate::gps::{Fix, Position};
use crate::hotlist::{Entry, ListStamp, VehicleText};
use crate::onboard::vision::candidate::Crop;
use crate::onboard::{Hit, MatchKind, hit_for_tests};
use crate::plate::{Jurisdiction, Plate};
#[cfg(test)]
use crate::wire::Outbound;

/// Sends and acknowledges everything that is due, as the uplink and its broker do; what it was, in order.
#[cfg(test)]
pub(crate) fn testing_deliver(outbox: &Outbox) -> Vec<Outbound> {
    let mut sent = Vec::new();
    loop {
        let due = outbox.due(100, false, &|_| false).unwrap();
        if due.is_empty() {
            return sent;
        }
        for item in due {
            outbox.progress(&[(item.seq, News::Sent)]).unwrap();
            outbox.progress(&[(item.seq, News::Acknowledged)]).unwrap();
            sent.push(item.what);
        }
    }
}

/// A hit with a number: its ULID, its plate and its picture follow from it.
pub fn testing_hit(n: u32) -> Hit {
    made(n, false)
}

/// A hit whose entry is covert: nothing in the car may show it.
pub fn testing_covert_hit(n: u32) -> Hit {
    made(n, true)
}

fn made(n: u32, covert: bool) -> Hit {
    let wall: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
    let plate = Plate::parse(&format!("HIT{n:04}")).unwrap();
    let entry = Entry {
        jurisdiction: Jurisdiction::parse("CA-ON").unwrap(),
        reason: "armed and dangerous".into(),
        source: "Peel Regional Police".into(),
        case: "26-00417".into(),
        covert,
        vehicle: VehicleText {
            make: "Honda".into(),
            model: "Civic".into(),
            colour: "silver".into(),
            year: Some(2019),
            ..VehicleText::default()
        },
        ..Entry::plain(plate, "stolen_vehicle", Priority::High)
    };
    hit_for_tests(
        Ulid::from_parts(wall.as_millisecond() as u64 + u64::from(n), u128::from(n)),
        plate,
        entry,
        ListStamp { name: "cpic".into(), version: "7f".repeat(32).into(), source_time: wall },
        MatchKind::Exact,
        CameraId::new("front"),
        FrameTime { monotonic: Duration::from_secs(u64::from(n)), wall },
        Position::Fixed {
            fix: Fix {
                latitude: 43.717_899,
                longitude: -79.658_213,
                accuracy_m: Some(4.5),
                speed_mps: Some(13.9),
                heading_deg: Some(271.0),
                time: Some(wall),
                three_d: true,
            },
            age: Duration::from_millis(180),
            interpolated: true,
        },
        Crop { width: 64, height: 32, rgb: (0..64 * 32 * 3).map(|i| (i + n) as u8).collect() },
    )
}
