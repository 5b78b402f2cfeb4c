//! What may be asked of the running daemon about its models: `outrider models install`, `rollback`, `seen`, `list`.
//!
//! In: a package in parts, and a person who maintains the car. Out: an [`Outcome`]. Costs: a package in memory, until it
//! is installed or another one comes. Leaves to others: proving who the person is ([`SignedIn`]).
//!
//! A package comes in parts, because a question to the daemon has a megabyte at most. It is kept in memory until it is
//! verified and tried: bytes that nobody has signed reach no disk.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::install::Outcome;
use super::installed::Models;
use super::package::{Kind, MOST_PACKAGE};
use crate::control::Control;
use crate::policy::Who;
use crate::sessions::{self, Refused, Sessions, SignedIn, Stated, StatesWho};

/// Sends a part of a package.
pub const PART: &str = "models/part";
/// Installs the package that was sent.
pub const INSTALL: &str = "models/install";
/// Installs a package that came over the broker and waits.
pub const INSTALL_WAITING: &str = "models/install-waiting";
/// Goes back to the package before.
pub const ROLL_BACK: &str = "models/rollback";
/// Says that somebody has seen why the daemon went back by itself.
pub const SEEN: &str = "models/seen";
/// Asks which models there are.
pub const LIST: &str = "models/list";

/// Longest part, in bytes: within a question's megabyte once it is written in Base64.
pub const MOST_PART: usize = 512 << 10;

/// A part of a package.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Where it begins; at 0 a package begins anew.
    pub at: u64,
    /// Its bytes in Base64.
    pub bytes: String,
}

/// Install what was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// How many bytes were sent.
    pub bytes: u64,
}

/// Install what came over the broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallWaiting {
    /// Which model; may be left out where one package waits.
    #[serde(default)]
    pub kind: Option<Kind>,
}

/// Go back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// Which model; may be left out where one package is in force.
    #[serde(default)]
    pub kind: Option<Kind>,
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RolledBack {
    /// Which model.
    pub kind: Kind,
    /// What is in force now.
    pub in_force: String,
}

/// It was seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {}

/// Whoever does one of these acts as a maintainer.
const MAINTAINER: Stated<'static> = Stated { number: None, role: Some(Who::Maintainer) };

macro_rules! states_a_maintainer {
    ($($question:ident)*) => {
        $(impl StatesWho for $question {
            fn stated(&self) -> Stated<'_> {
                MAINTAINER
            }
        })*
    };
}

states_a_maintainer!(Part Install InstallWaiting RollBack Seen);

/// Registers the handlers.
pub fn answer(control: Control, models: &Arc<Models>, sessions: &Arc<Sessions>) -> Control {
    // Locked to append a part, and to take the whole.
    let arriving = Arc::new(Mutex::new(Vec::<u8>::new()));
    let control = sessions::answer(control, sessions, PART, {
        let arriving = arriving.clone();
        move |who, part: Part| {
            may(who)?;
            let mut whole = arriving.lock().expect("no holder panics");
            append(&mut whole, &part).map_err(Refused::new)
        }
    });
    let control = sessions::answer(control, sessions, INSTALL, {
        let models = models.clone();
        move |who, asked: Install| -> Result<Outcome, Refused> {
            may(who)?;
            let whole = std::mem::take(&mut *arriving.lock().expect("no holder panics"));
            if whole.len() as u64 != asked.bytes {
                return Err(Refused::new(
                    "the package did not arrive whole: send it again, one at a time",
                ));
            }
            Ok(models.install(who.actor(), &whole))
        }
    });
    let control = sessions::answer(control, sessions, INSTALL_WAITING, {
        let models = models.clone();
        move |who, InstallWaiting { kind }| -> Result<Outcome, Refused> {
            may(who)?;
            models.install_waiting(who.actor(), kind).map_err(Refused::new)
        }
    });
    let control = sessions::answer(control, sessions, ROLL_BACK, {
        let models = models.clone();
        move |who, RollBack { kind }| -> Result<RolledBack, Refused> {
            may(who)?;
            let (kind, in_force) = models.roll_back(who.actor(), kind).map_err(Refused::new)?;
            Ok(RolledBack { kind, in_force })
        }
    });
    let control = sessions::answer(control, sessions, SEEN, {
        let models = models.clone();
        move |who, Seen {}| {
            may(who)?;
            models.seen().map_err(Refused::new)
        }
    });
    let models = models.clone();
    control.on(LIST, move |(): ()| Ok(models.state()))
}

/// Models are exchanged by a maintainer.
fn may(who: &SignedIn) -> Result<(), Refused> {
    match who.role().maintains() {
        true => Ok(()),
        false => Err(Refused::new("models are exchanged by a maintainer")),
    }
}

fn append(whole: &mut Vec<u8>, part: &Part) -> Result<(), String> {
    if part.at == 0 {
        whole.clear();
    }
    if part.at != whole.len() as u64 {
        return Err("another package is being sent: send this one again".into());
    }
    let bytes = data_encoding::BASE64.decode(part.bytes.as_bytes());
    let bytes = bytes.map_err(|e| format!("the part is not Base64: {e}"))?;
    if bytes.len() > MOST_PART || whole.len() as u64 + bytes.len() as u64 > MOST_PACKAGE {
        whole.clear();
        return Err(format!("a package has at most {MOST_PACKAGE} bytes, in parts of {MOST_PART}"));
    }
    whole.extend_from_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(at: u64, bytes: &[u8]) -> Part {
        Part { at, bytes: data_encoding::BASE64.encode(bytes) }
    }

    #[test]
    fn parts_come_in_order_and_a_first_one_begins_anew() {
        let mut whole = Vec::new();
        append(&mut whole, &part(0, b"ab")).unwrap();
        append(&mut whole, &part(2, b"cd")).unwrap();
        assert_eq!(whole, b"abcd");
        assert!(append(&mut whole, &part(2, b"xx")).is_err());
        assert!(append(&mut whole, &part(5, b"xx")).is_err());
        assert_eq!(whole, b"abcd");
        append(&mut whole, &part(0, b"new")).unwrap();
        assert_eq!(whole, b"new");
        assert!(append(&mut whole, &Part { at: 3, bytes: "%".into() }).is_err());
        assert!(append(&mut whole, &part(3, &vec![0; MOST_PART + 1])).is_err());
        assert!(whole.is_empty(), "what is too long is not kept");
    }
}
