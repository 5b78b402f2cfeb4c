//! Signed policy: what this car may keep, match and allow, and who signed it.
//!
//! In: signed documents, from the broker or a file, and the ceiling of the car's provisioning. Out:
//! the [`Rules`] in force. Costs: nothing for a frame; a check of two signatures when a policy
//! arrives. Leaves to others: obeying the rules (the ring, the lists, the hotplates, the look-ups).
//!
//! The rules in force are the configuration, limited by the policy, limited by the ceiling.
//! Widening needs two people's signatures (P5); no number of signatures goes past the ceiling. When
//! a policy is refused, the previous one stays in force. Without a policy the configuration alone
//! decides.

mod apply;
mod changes;
mod document;
mod held;
mod kept;
mod people;
mod rules;
mod words;

pub use apply::{limit, limit_keeping};
pub use changes::{Change, Direction, changes, retention_within};
pub use document::{
    LONGEST, Opened, POLICY_TYPE, Policy, PolicyError, Previous, Signer, TO_WIDEN, past_ceiling,
};
pub use held::{
    CEILING_GONE, CeilingError, HeldPolicy, Keys, Obey, SHOW, State, ceiling_gone, load_ceiling,
    on_disk,
};
pub use kept::is_kept;
pub use people::{IDLE, MOST_USERS, SHIFT, SignInRules, User, check as check_people, is_number};
pub use rules::{
    AlertRules, Always, FromBroker, HotplateRules, KeepingRules, ListRules, ListsRules,
    LookupRules, ModelRules, PastRed, Permission, RoleRules, Rules, VerifyRules, Who,
};
