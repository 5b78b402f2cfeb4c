//! Brings a signed package of models to a broker: its parts, then its first line; at last it removes what only the
//! package before needed.
//!
//! In: a package whose bytes fit its statement, and a [`Broker`]. Out: retained messages. Costs: the package once over
//! the line. Leaves to others: the signature, which cars verify.

use std::collections::BTreeSet;

use super::broker::{Broker, BrokerError, Published, WINDOW, topics};
use crate::models::InParts;

/// Publishes a package. `before` is one that was published before.
pub fn publish_model(
    package: &InParts<'_>,
    agency: &str,
    before: Option<&InParts<'_>>,
    broker: &mut dyn Broker,
    mut progress: impl FnMut(u64, u64),
) -> Result<Published, BrokerError> {
    let InParts { statement, line, parts, .. } = package;
    let kind = statement.kind.word();
    let mut report = Published { version: statement.version, ..Published::default() };
    let mut sent = BTreeSet::new();
    for (digest, bytes) in parts {
        // Equal parts are one message.
        if !sent.insert(digest) {
            continue;
        }
        if sent.len() > WINDOW {
            broker.acknowledged()?;
        }
        broker.send(&topics::model_part(agency, kind, digest), bytes.to_vec())?;
        report.sent += 1;
        report.bytes += bytes.len() as u64;
        progress(report.bytes, statement.length());
    }
    while broker.acknowledged()?.is_some() {}
    // A car that sees the first line finds every part.
    broker.send(&topics::model(agency, kind), line.to_vec())?;
    while broker.acknowledged()?.is_some() {}
    let old: BTreeSet<_> =
        before.iter().flat_map(|before| &before.parts).map(|(digest, _)| digest).collect();
    for digest in old.difference(&sent) {
        if report.cleaned as usize >= WINDOW {
            broker.acknowledged()?;
        }
        broker.send(&topics::model_part(agency, kind, digest), Vec::new())?;
        report.cleaned += 1;
    }
    while broker.acknowledged()?.is_some() {}
    Ok(report)
}
