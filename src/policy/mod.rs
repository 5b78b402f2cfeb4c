//! Signed policy: what this car may keep, match and allow, and who said so.
//!
//! In: signed documents, from the broker or a file, and the ceiling of the car's provisioning. Out: the
//! [`Rules`] in force. Costs: nothing on a frame's way; a check of two signatures when a policy
//! arrives. Leaves to others: obeying the rules (the ring, the lists, the hotplates, the look-ups).
//!
//! The rules in force are the configuration, limited by the policy, limited by the ceiling. Widening
//! needs two people's signatures (P5); past the ceiling nobody's are enough. A policy that is refused
//! leaves the one before. No policy is the configuration alone.

mod apply;
mod changes;
mod document;
mod held;
mod kept;
mod rules;
mod words;

pub use apply::{limit, limit_keeping};
pub use changes::{Change, Direction, changes, retention_within};
pub use document::{
    LONGEST, Opened, POLICY_TYPE, Policy, PolicyError, Previous, Signer, TO_WIDEN, past_ceiling,
};
pub use held::{CeilingError, HeldPolicy, Keys, Obey, SHOW, State, load_ceiling, on_disk};
pub use kept::is_kept;
pub use rules::{
    AlertRules, HotplateRules, KeepingRules, ListRules, ListsRules, LookupRules, PastRed,
    Permission, RoleRules, Rules, Who,
};
