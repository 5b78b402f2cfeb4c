//! What leaves the vehicle, field by field: the one module that knows JSON. A day's counts are in `wire/stats.rs`.
//!
//! In: a hit, plate-free counters, the car's own name. Out: [`Message`]s, which nothing else can
//! make and which are all that a [`Broker`](crate::uplink::Broker) takes. A snapshot test holds every
//! field; `docs/PRIVACY.md` explains each.

mod stats;

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::audit::Sealed;
use crate::broker::LinkState;
use crate::camera_id::CameraId;
use crate::clock::ClockReport;
use crate::config::Vehicle;
use crate::entry::Priority;
use crate::gps::Position;
use crate::health::{CameraSnapshot, ModelFate, ModelStanding, PartState, Snapshot};
use crate::hotlist::Hotlists;
use crate::keys::Protection;
use crate::onboard::{Hit, Match, MatchKind};
use crate::plate::syntax::Syntax;
use crate::plate::{Agreement, Jurisdiction};
use crate::policy::Who;
use crate::sessions::SignedIn;

pub use self::stats::StatsReport;

/// Version of every JSON object below.
const FORMAT: u8 = 1;

/// The status of a hit until a person has compared plate and entry (promise P6).
const UNVERIFIED: &str = "UNVERIFIED: not grounds for a stop";

/// Everything that may leave, a closed list.
#[derive(Debug, Clone)]
pub enum Outbound {
    /// A read that is on a list.
    Hit(HitText),
    /// The pixels of a hit's own plate.
    PlateImage {
        /// The hit that it belongs to.
        hit: Ulid,
        /// The bytes whose digest the hit names.
        jpeg: Vec<u8>,
    },
    /// What an officer made of a hit.
    Disposition(DispositionText),
    /// Counters.
    Health(Box<HealthReport>),
    /// Whether the car is there, kept by the broker.
    Status(StatusReport),
    /// The signed head of the audit log, kept by the broker.
    Checkpoint(Sealed),
    /// One day's counts.
    Stats(Box<StatsReport>),
}

/// A message as it leaves: built here alone, from an [`Outbound`].
#[derive(Clone)]
pub struct Message {
    topic: String,
    payload: Vec<u8>,
    content_type: &'static str,
    retained: bool,
}

impl Message {
    /// Addresses something that may leave.
    pub fn new(vehicle: &Vehicle, what: Outbound) -> Self {
        let base = format!("alpr/v1/{}/vehicle/{}", vehicle.agency, vehicle.id);
        let json = |topic: String, payload: Vec<u8>, retained| Self {
            topic,
            payload,
            content_type: "application/json",
            retained,
        };
        match what {
            Outbound::Hit(text) => json(format!("{base}/hit/{}", text.id), text.json, false),
            Outbound::PlateImage { hit, jpeg } => Self {
                topic: format!("{base}/hit/{hit}/plate.jpg"),
                payload: jpeg,
                content_type: "image/jpeg",
                retained: false,
            },
            Outbound::Disposition(text) => {
                json(format!("{base}/hit/{}/disposition", text.hit), text.json, false)
            }
            Outbound::Health(report) => json(format!("{base}/health"), encode(&report), false),
            Outbound::Status(report) => json(format!("{base}/status"), encode(&report), true),
            Outbound::Stats(report) => {
                json(format!("{base}/stats/{}", report.day), encode(&report), false)
            }
            Outbound::Checkpoint(sealed) => {
                json(format!("{base}/audit/checkpoint"), sealed.envelope, true)
            }
        }
    }

    /// The topic that it goes to.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// MIME type of the bytes.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// Whether the broker keeps it for those who subscribe later.
    pub fn retained(&self) -> bool {
        self.retained
    }

    /// Bytes on the wire, at most: fixed header, packet identifier and properties included.
    pub fn size(&self) -> usize {
        self.topic.len() + self.payload.len() + self.content_type.len() + 32
    }
}

impl fmt::Debug for Message {
    // The payload of a hit holds a plate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {} bytes)", self.topic, self.payload.len())
    }
}

fn encode<T: Serialize>(report: &T) -> Vec<u8> {
    serde_json::to_vec(report).expect("reports have string keys and finite numbers")
}

/// A hit's JSON, as it was recorded and as it leaves: one ULID, one text, however often it is sent.
#[derive(Clone)]
pub struct HitText {
    id: Ulid,
    json: Vec<u8>,
}

impl HitText {
    /// The text of a hit.
    pub(crate) fn of(report: &HitReport) -> Self {
        Self { id: report.ulid(), json: encode(report) }
    }

    /// A text that [`HitText::of`] wrote, back from the outbox.
    pub(crate) fn recorded(id: Ulid, json: Vec<u8>) -> Self {
        Self { id, json }
    }

    /// The bytes.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }
}

impl fmt::Debug for HitText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HitText({}, {} bytes)", self.id, self.json.len())
    }
}

/// A hit in the form in which it leaves. The entry's free text (reason, vehicle) stays in the car: whoever
/// receives hits has the list.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct HitReport {
    pub v: u8,
    pub id: String,
    pub agency: String,
    pub vehicle: String,
    pub status: String,
    pub seen: Timestamp,
    pub camera: CameraId,
    /// Nothing in the car has shown this hit, and nobody may mention it to its officers over the radio.
    #[serde(default)]
    pub covert: bool,
    pub read: ReadReport,
    pub entry: EntryReport,
    pub other_entries: Vec<EntryReport>,
    pub position: PositionReport,
    pub images: Vec<ImageReport>,
    pub models: ModelsReport,
    pub key_protection: Protection,
    /// Who vouched for the time, and the clock's offset from GPS.
    #[serde(default)]
    pub clock: ClockReport,
}

/// What was read.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct ReadReport {
    pub plate: String,
    pub jurisdiction: Jurisdiction,
    /// How sure the jurisdiction is; absent where it is unknown.
    #[serde(default)]
    pub jurisdiction_confidence: Option<f32>,
    pub weakest_character: f32,
    pub frames: u32,
}

/// Which line of which list, and how the read matches it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct EntryReport {
    pub matched: MatchKind,
    pub differing: Vec<u8>,
    pub plate: String,
    pub jurisdiction: Jurisdiction,
    pub category: String,
    pub priority: Priority,
    pub source: String,
    pub case: String,
    pub list: String,
    pub list_version: String,
    pub list_source_time: Timestamp,
    #[serde(default)]
    pub list_stale: bool,
    #[serde(default)]
    pub syntax: Syntax,
    /// How the jurisdiction that was read compares with the entry's; absent in hits from before it was compared.
    #[serde(default)]
    pub jurisdictions: Option<Agreement>,
    /// The priority of the alert: the entry's own, or a lower one where the jurisdictions do not agree.
    #[serde(default)]
    pub told: Option<Priority>,
}

/// Where the car was. Its speed stays in the car: it says more of the officer than of the hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fix", rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub enum PositionReport {
    Known {
        latitude: f64,
        longitude: f64,
        accuracy_m: Option<f32>,
        heading_deg: Option<f32>,
        age_ms: u64,
        interpolated: bool,
    },
    None,
}

/// A picture that follows under the hit's own topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct ImageReport {
    pub name: String,
    pub sha256: String,
    pub bytes: usize,
}

/// Digests of the models that read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct ModelsReport {
    pub detector: String,
    pub ocr: String,
    /// The model that reads jurisdictions; null where none does.
    #[serde(default)]
    pub jurisdiction: Option<String>,
}

impl HitReport {
    /// The report of a hit and of the picture of its plate: all that may leave of them.
    pub(crate) fn of(hit: &Hit, vehicle: &Vehicle, protection: Protection, jpeg: &[u8]) -> Self {
        Self {
            v: FORMAT,
            id: hit.id().to_string(),
            agency: vehicle.agency.clone(),
            vehicle: vehicle.id.clone(),
            status: UNVERIFIED.into(),
            seen: hit.seen().wall,
            camera: hit.camera().clone(),
            covert: hit.covert(),
            read: ReadReport {
                plate: hit.plate().expose().into(),
                jurisdiction: hit.jurisdiction(),
                jurisdiction_confidence: hit.jurisdiction_confidence().map(|p| p.get()),
                weakest_character: hit.weakest().get(),
                frames: hit.frames(),
            },
            entry: EntryReport::of(hit.best()),
            other_entries: hit.others().iter().map(EntryReport::of).collect(),
            position: match *hit.position() {
                Position::NoFix => PositionReport::None,
                // Not-a-number has no JSON.
                Position::Fixed { fix, .. }
                    if !(fix.latitude.is_finite() && fix.longitude.is_finite()) =>
                {
                    PositionReport::None
                }
                Position::Fixed { fix, age, interpolated } => PositionReport::Known {
                    latitude: fix.latitude,
                    longitude: fix.longitude,
                    accuracy_m: fix.accuracy_m,
                    heading_deg: fix.heading_deg,
                    age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                    interpolated,
                },
            },
            images: match jpeg {
                [] => Vec::new(),
                jpeg => vec![ImageReport {
                    name: "plate.jpg".into(),
                    sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(jpeg)),
                    bytes: jpeg.len(),
                }],
            },
            models: ModelsReport {
                detector: hit.models().detector.clone(),
                ocr: hit.models().ocr.clone(),
                jurisdiction: hit.models().jurisdiction.clone(),
            },
            key_protection: protection,
            clock: hit.clock(),
        }
    }

    /// Reads back what [`HitText::of`] wrote.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The hit's name.
    pub fn ulid(&self) -> Ulid {
        Ulid::from_string(&self.id).expect("written by HitReport::of")
    }
}

impl EntryReport {
    fn of(found: &Match) -> Self {
        let Match { entry, list, kind, differing, syntax, jurisdictions, priority, stale } = found;
        Self {
            matched: *kind,
            differing: differing.clone(),
            plate: entry.plate.expose().into(),
            jurisdiction: entry.jurisdiction,
            category: entry.category.to_string(),
            priority: entry.priority,
            source: entry.source.clone(),
            case: entry.case.clone(),
            list: list.name.to_string(),
            list_version: list.version.to_string(),
            list_source_time: list.source_time,
            list_stale: *stale,
            syntax: *syntax,
            jurisdictions: Some(*jurisdictions),
            told: Some(*priority),
        }
    }
}

impl fmt::Debug for HitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HitReport({}, plate redacted)", self.id)
    }
}

/// A disposition's JSON, as it was recorded and as it leaves.
#[derive(Clone)]
pub struct DispositionText {
    hit: Ulid,
    json: Vec<u8>,
}

impl DispositionText {
    /// The text of a disposition.
    pub(crate) fn of(report: &DispositionReport) -> Self {
        Self { hit: report.hit_ulid(), json: encode(report) }
    }

    /// A text that [`DispositionText::of`] wrote, back from the outbox.
    pub(crate) fn recorded(hit: Ulid, json: Vec<u8>) -> Self {
        Self { hit, json }
    }

    /// The bytes.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }
}

impl fmt::Debug for DispositionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DispositionText({}, {} bytes)", self.hit, self.json.len())
    }
}

/// One step of what an officer made of a hit: a word of a closed set, who decided it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct DispositionReport {
    pub v: u8,
    pub id: String,
    pub hit: String,
    pub agency: String,
    pub vehicle: String,
    pub at: Timestamp,
    pub officer: String,
    pub step: DispositionStep,
    pub outcome: Option<StopOutcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<TakenBackWhy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Who>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<DispatchReport>,
}

/// Who at dispatch said so, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct DispatchReport {
    pub operator: String,
    pub at: Timestamp,
}

/// What was decided (promise P6: sight first, then dispatch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every word")]
pub enum DispositionStep {
    ConfirmedBySight,
    Misread,
    WrongJurisdiction,
    Stale,
    Dismissed,
    ConfirmedActive,
    NotActive,
    Outcome,
    TakenBack,
}

/// Why a verdict is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every word")]
pub enum TakenBackWhy {
    PressedByMistake,
    LookedAgain,
    NewInformation,
}

impl TakenBackWhy {
    /// As the audit log writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PressedByMistake => "pressed_by_mistake",
            Self::LookedAgain => "looked_again",
            Self::NewInformation => "new_information",
        }
    }
}

/// What came of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every word")]
pub enum StopOutcome {
    NoStop,
    Stop,
    Citation,
    Arrest,
    Recovery,
    NoAction,
}

impl DispositionReport {
    /// A step that is decided now.
    pub fn new(
        vehicle: &Vehicle,
        hit: Ulid,
        at: Timestamp,
        who: &SignedIn,
        step: DispositionStep,
        outcome: Option<StopOutcome>,
    ) -> Self {
        Self {
            v: FORMAT,
            id: Ulid::from_parts(
                u64::try_from(at.as_millisecond()).unwrap_or(0),
                Ulid::generate().random(),
            )
            .to_string(),
            hit: hit.to_string(),
            agency: vehicle.agency.clone(),
            vehicle: vehicle.id.clone(),
            at,
            officer: who.number().into(),
            step,
            outcome,
            why: None,
            role: Some(who.role()),
            dispatch: None,
        }
    }

    /// Reads back what [`DispositionText::of`] wrote.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The step's own identifier.
    pub fn ulid(&self) -> Ulid {
        Ulid::from_string(&self.id).expect("written by DispositionReport::new")
    }

    /// The hit's identifier.
    pub fn hit_ulid(&self) -> Ulid {
        Ulid::from_string(&self.hit).expect("written by DispositionReport::new")
    }
}

/// Who and what may be named in health: fixed from the configuration before any camera opens, so
/// that no name in a health message can come from a camera.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The cameras of the configuration.
    pub cameras: Vec<CameraId>,
    /// How well the storage is protected; nothing before the key is known.
    pub key_protection: Option<Protection>,
}

/// The parts that health may name, beside the cameras. Others are counted, not named.
const PARTS: [&str; 16] = [
    "audit",
    "broker",
    "cameras",
    "certificate",
    "clock",
    "console",
    "disk",
    "gps",
    "heat",
    "hits",
    "matcher",
    "page_certificate",
    "ring",
    "sound",
    "speech",
    "stores",
];

/// Plate-free counters. Every field is a number, a word of a closed set, or a name from
/// the configuration: what a part reports in free text stays in the car.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct HealthReport {
    pub v: u8,
    pub at: Timestamp,
    pub uptime_s: u64,
    pub link: LinkState,
    pub queue: QueueReport,
    pub parts: Vec<PartReport>,
    pub hotlists_down: usize,
    pub other_parts_down: usize,
    pub hotlists: Vec<HotlistAck>,
    pub policy_version: Option<u64>,
    pub clock: Option<ClockReport>,
    pub key_protection: Option<Protection>,
    pub page_certificate_days: Option<i64>,
    pub cameras: Vec<CameraReport>,
    pub hits: u64,
    pub hits_quiet: u64,
    pub hits_covert: u64,
    pub non_hits: u64,
    pub ring_written: u64,
    pub ring_dropped: u64,
    pub ring_purged: u64,
    pub alerted: u64,
    pub recorded: u64,
    pub hits_lost: u64,
    pub delivered: u64,
}

/// What waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct QueueReport {
    pub hits: u32,
    pub images: u32,
    pub dispositions: u32,
    pub set_aside: u32,
    pub not_on_disk: u32,
}

/// One part's state, without the text that explains it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct PartReport {
    pub part: &'static str,
    pub state: StateWord,
}

/// [`PartState`] without the text that explains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of PartState")]
pub enum StateWord {
    Starting,
    Working,
    Impaired,
    Down,
    Off,
}

impl From<&PartState> for StateWord {
    fn from(state: &PartState) -> Self {
        match state {
            PartState::Starting => Self::Starting,
            PartState::Working => Self::Working,
            PartState::Impaired(_) => Self::Impaired,
            PartState::Down(_) => Self::Down,
            PartState::Off => Self::Off,
        }
    }
}

/// One camera's counters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct CameraReport {
    pub camera: CameraId,
    pub state: StateWord,
    pub frames: u64,
    pub frames_skipped: u64,
    pub frames_bad: u64,
    pub interruptions: u64,
    pub looked: u64,
    pub detections: u64,
    pub reads: u64,
    pub unread_small: u64,
    pub unread_illegible: u64,
    pub unread_blurred: u64,
    pub unread_dark: u64,
    pub unread_covered: u64,
    pub unread_glare: u64,
    pub unread_implausible: u64,
    pub unread_unsure: u64,
    pub unread_brief: u64,
}

impl HealthReport {
    /// Takes the numbers out of a snapshot and leaves the texts behind.
    pub(crate) fn of(
        health: &Snapshot,
        names: &Names,
        at: Timestamp,
        uptime_s: u64,
        link: LinkState,
        queue: QueueReport,
        hotlists: Vec<HotlistAck>,
    ) -> Self {
        let word = |part: &str| health.parts.get(part).map(StateWord::from);
        let camera_part = |id: &CameraId| format!("camera/{id}");
        let named = |part: &str| {
            PARTS.contains(&part) || names.cameras.iter().any(|c| camera_part(c) == *part)
        };
        let down = |which: &dyn Fn(&str) -> bool| {
            let bad = |s: &PartState| matches!(s, PartState::Impaired(_) | PartState::Down(_));
            health.parts.iter().filter(|(part, state)| which(part) && bad(state)).count()
        };
        let list = |part: &str| part.starts_with("hotlist/");
        Self {
            v: FORMAT,
            at,
            uptime_s,
            link,
            queue,
            parts: PARTS
                .into_iter()
                .filter_map(|part| Some(PartReport { part, state: word(part)? }))
                .collect(),
            hotlists_down: down(&list),
            other_parts_down: down(&|part| !named(part) && !list(part)),
            hotlists,
            policy_version: health.policy,
            clock: health.clock,
            key_protection: names.key_protection,
            page_certificate_days: health.page_certificate_days,
            cameras: names
                .cameras
                .iter()
                .filter_map(|id| {
                    let state = word(&camera_part(id)).unwrap_or(StateWord::Starting);
                    Some(CameraReport::of(id, state, health.cameras.get(id)?))
                })
                .collect(),
            hits: health.hits,
            hits_quiet: health.hits_quiet,
            hits_covert: health.hits_covert,
            non_hits: health.non_hits,
            ring_written: health.ring_written,
            ring_dropped: health.ring_dropped,
            ring_purged: health.ring_purged,
            alerted: health.alerted,
            recorded: health.recorded,
            hits_lost: health.hits_lost,
            delivered: health.delivered,
        }
    }
}

impl CameraReport {
    fn of(camera: &CameraId, state: StateWord, c: &CameraSnapshot) -> Self {
        Self {
            camera: camera.clone(),
            state,
            frames: c.frames,
            frames_skipped: c.frames_skipped,
            frames_bad: c.frames_bad,
            interruptions: c.interruptions,
            looked: c.looked,
            detections: c.detections,
            reads: c.reads,
            unread_small: c.unread_small,
            unread_illegible: c.unread_illegible,
            unread_blurred: c.unread_blurred,
            unread_dark: c.unread_dark,
            unread_covered: c.unread_covered,
            unread_glare: c.unread_glare,
            unread_implausible: c.unread_implausible,
            unread_unsure: c.unread_unsure,
            unread_brief: c.unread_brief,
        }
    }
}

/// Which version of a list is in service in the car, for its author to see. Its name comes from the
/// configuration, its version from the author or, for a file, from the file's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct HotlistAck {
    pub list: String,
    pub version: String,
    pub entries: u64,
    pub source_time: Timestamp,
}

impl HotlistAck {
    /// One for each list in service, by name.
    pub(crate) fn of_all(hotlists: &Hotlists) -> Vec<Self> {
        let lists = hotlists.lists();
        let mut acks: Vec<_> = lists
            .iter()
            .map(|list| Self {
                list: list.stamp().name.to_string(),
                version: list.stamp().version.to_string(),
                entries: list.len() as u64,
                source_time: list.stamp().source_time,
            })
            .collect();
        acks.sort_by(|a, b| a.list.cmp(&b.list));
        acks
    }
}

impl Outbound {
    /// Which state of which day's counts this is.
    pub(crate) fn day(&self) -> Option<(Date, u64)> {
        match self {
            Self::Stats(report) => Some((report.day, report.revision)),
            _ => None,
        }
    }
}

/// Whether the car is connected, what it promises to keep, and which lists are in service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct StatusReport {
    pub v: u8,
    pub online: bool,
    /// When the daemon connected, and in the last will, when it had.
    pub since: Timestamp,
    pub software: &'static str,
    pub non_hit_retention: String,
    pub key_protection: Protection,
    pub hotlists: Vec<HotlistAck>,
    /// Which policy is in force; nothing without one.
    pub policy_version: Option<u64>,
    /// Models by kind, where a package is in force or has come over the broker.
    pub models: Vec<ModelStatus>,
    /// When the car's keys were destroyed, after which nothing follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wiped: Option<Timestamp>,
}

impl StatusReport {
    /// The car's status now.
    pub(crate) fn new(
        online: bool,
        since: Timestamp,
        promise: &Promise,
        hotlists: Vec<HotlistAck>,
    ) -> Self {
        Self {
            v: FORMAT,
            online,
            since,
            software: env!("CARGO_PKG_VERSION"),
            non_hit_retention: promise.non_hit.to_string(),
            key_protection: promise.protection,
            hotlists,
            policy_version: None,
            models: Vec::new(),
            wiped: None,
        }
    }
}

/// One kind of model: numbers and words of closed sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "docs/PRIVACY.md explains every field")]
pub struct ModelStatus {
    pub kind: &'static str,
    pub in_force: Option<u64>,
    pub came: Option<u64>,
    pub fate: Option<ModelFate>,
}

impl From<ModelStanding> for ModelStatus {
    fn from(ModelStanding { kind, in_force, came }: ModelStanding) -> Self {
        let (came, fate) = came.unzip();
        Self { kind, in_force, came, fate }
    }
}

/// What this car promises, for its status.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// How long reads that matched nothing are kept.
    pub non_hit: crate::config::Retention,
    /// Where the device key comes from.
    pub protection: Protection,
}
