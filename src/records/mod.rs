//! What people do with the records of hits: look one plate up, say what a hit was, take it out as evidence.
//!
//! Everything here is asked for by a person, on grounds, and goes into the audit log before anything is
//! shown. The records themselves lie in [`hits`](crate::hits).

pub mod disposition;
pub mod evidence;
pub mod hold;
pub mod lookup;
pub mod review;
