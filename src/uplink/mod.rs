//! Sends hits, health and counts to the broker. It is given nothing else, so it can send nothing else.
//!
//! In: the [`Outbox`], counters. Out: messages to one MQTT broker. Costs: one thread that mostly
//! waits. Leaves to others: alerting, which has happened before, and keeping (`hits/`).
//!
//! The outbox is the truth: a message is delivered when its PUBACK was seen, and is sent again in
//! every other case. Each connection starts from nothing, so no state of the MQTT library and no
//! session of the broker has to survive anything.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

pub mod certificate;
#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
pub(crate) mod fake_broker;
pub mod memory;
#[expect(clippy::disallowed_types, reason = "the door out: hits and plate-free counters")]
mod mqtt;
mod notices;
mod probe;

pub use mqtt::Mqtt;
pub use notices::Notices;
pub use probe::{ProbeError, probe};

use crate::broker::{BrokerError, Happened, Link, LinkState};
use crate::clock::Clock;
use crate::config::Retention;
use crate::config::{ConfigError, UplinkConfig, Vehicle};
use crate::health::{Health, ModelStanding, PartState};
use crate::hits::{News, Outbox, OutboxError, TOO_LARGE};
use crate::hotlist::Hotlists;
use crate::threads::ends_well_within;
use crate::wire::{HealthReport, HotlistAck, Message, Names, Outbound, Promise, StatusReport};

/// The part's name in health.
const PART: &str = "broker";

/// Time without an acknowledgement after which the car connects anew, although the broker answers pings: on this
/// connection none would come. (Seen when a broker was killed and replaced by one that remembered nothing.)
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Connections lost in a row with nothing acknowledged, before messages are sent one at a time to
/// find the one over which the broker hangs up; and losses with that message alone under way, before it
/// is set aside.
const LOSSES_BEFORE_CARE: u32 = 3;

/// A message that the broker refused is tried again after this long, doubling to an hour.
const REFUSED_FIRST: Duration = Duration::from_secs(30);
const REFUSED_MOST: Duration = Duration::from_secs(3_600);

/// Pause between two rounds of housekeeping: deleting hits past their retention, retrying messages set aside.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);

/// Names a message between `publish` and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// The broker's answer to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The broker has it.
    Acknowledged(Ticket),
    /// The broker refuses it, and why.
    Refused(Ticket, String),
}

/// The last will: what the broker publishes for us when the connection breaks without a goodbye.
#[derive(Debug, Clone)]
pub struct Hello {
    /// To be published by the broker when the connection breaks.
    pub will: Message,
}

/// A broker, or something that stands in for one.
pub trait Broker: Send + 'static {
    /// One connection.
    type Session: Session;
    /// Connects once; the caller pauses between attempts.
    fn connect(
        &mut self,
        hello: Hello,
    ) -> impl Future<Output = Result<Self::Session, BrokerError>> + Send;
}

/// One connection to a broker.
pub trait Session: Send {
    /// The largest message that the broker takes, in bytes on the wire.
    fn largest(&self) -> usize;
    /// Hands a message over; the answer comes from [`Session::next`]. Never waits.
    fn publish(&mut self, ticket: Ticket, message: &Message) -> Result<(), BrokerError>;
    /// Waits for the next answer. May be dropped and called again without losing one.
    fn next(&mut self) -> impl Future<Output = Result<Answer, BrokerError>> + Send;
    /// Waits until everything is sent and disconnects properly, so that the last will is not published.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// What the uplink is made of.
pub struct Parts {
    /// Hits, in the car.
    pub outbox: Outbox,
    /// Who this car is.
    pub vehicle: Vehicle,
    /// How long reads that matched nothing are kept: the car's status says so.
    pub non_hit: Retention,
    /// What the broker is to keep besides the status.
    pub notices: Notices,
    /// Names that health messages may use, from the configuration.
    pub names: Names,
    /// The lists in service: the car's status says which version of each.
    pub hotlists: Arc<Hotlists>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where everything is counted.
    pub health: Arc<Health>,
}

/// The running uplink.
pub struct Uplink {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the uplink on a thread of its own. Without a broker in the configuration, nothing is
/// started: hits stay in the car.
pub fn spawn(config: &UplinkConfig, parts: Parts) -> Result<Uplink, ConfigError> {
    match Mqtt::new(config, &parts.vehicle)? {
        Some(broker) => Ok(spawn_with(broker, config, parts)),
        None => {
            parts.health.set(PART, PartState::Off);
            Ok(keep_house_alone(parts.outbox))
        }
    }
}

/// Keeps trying to write what the disk has refused, and deletes hits past their retention, where no broker is
/// configured and so no other thread would: hits of before may have been delivered.
fn keep_house_alone(outbox: Outbox) -> Uplink {
    let (stop, mut stopped) = oneshot::channel::<()>();
    let thread = crate::threads::spawn("uplink", move || {
        let mut next = Instant::now();
        while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            outbox.retry_refused();
            if Instant::now() >= next {
                next = Instant::now() + HOUSEKEEPING;
                if let Err(e) = outbox.forget_old() {
                    tracing::warn!(error = %e, "hits past their retention not deleted yet");
                }
            }
            std::thread::park_timeout(Duration::from_secs(1));
        }
    })
    .expect("the process may start threads");
    Uplink { stop: Some(stop), thread: Some(thread) }
}

/// Starts the uplink with any broker.
pub fn spawn_with<B: Broker>(broker: B, config: &UplinkConfig, parts: Parts) -> Uplink {
    let (stop, stopped) = oneshot::channel();
    parts.health.set(PART, PartState::Starting);
    let loop_ = Loop::new(config, parts);
    let thread = crate::threads::spawn("uplink", move || {
        // Its own runtime: the outbox blocks on the disk, which the console must not notice.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs only file descriptors")
            .block_on(loop_.run(broker, stopped));
    })
    .expect("the process may start threads");
    Uplink { stop: Some(stop), thread: Some(thread) }
}

impl Uplink {
    /// Disconnects from the broker and ends. What is not acknowledged stays in the outbox. Gives
    /// up waiting after `deadline`; returns whether the thread ended.
    pub fn stop(mut self, deadline: Duration) -> bool {
        self.stop.take();
        let Some(thread) = self.thread.take() else { return true };
        thread.thread().unpark();
        ends_well_within(thread, deadline)
    }
}

/// A message that the broker has not answered yet.
struct Flight {
    /// Its place in the outbox; health and status have none.
    seq: Option<i64>,
    since: Instant,
}

/// A message that the broker refused.
#[derive(Clone, Copy)]
struct Patience {
    until: Instant,
    pause: Duration,
}

/// How a connection ended.
enum Ending {
    Stopped,
    Lost(BrokerError),
}

struct Loop {
    parts: Parts,
    link: Link,
    health_every: Duration,
    started: Duration,
    next_ticket: u64,
    refused: HashMap<i64, Patience>,
    /// Days of counts under way.
    days: HashMap<Ticket, (jiff::civil::Date, u64)>,
    /// Connections in a row that the broker broke with nothing acknowledged.
    fruitless: u32,
    /// Losses of the connection with this message alone under way.
    suspects: HashMap<i64, u32>,
    health_skipped: u32,
    next_health: Instant,
    next_housekeeping: Instant,
    /// The lists' generation that the last status on this connection reported.
    lists_told: u64,
    policy_told: Option<u64>,
    /// What the last status on this connection reported of models.
    models_told: Vec<ModelStanding>,
}

impl Loop {
    fn new(config: &UplinkConfig, parts: Parts) -> Self {
        let now = parts.clock.now();
        let mut seed = [0; 8];
        // Without random bytes the cars are spread by their start time.
        if getrandom::fill(&mut seed).is_err() {
            seed = now.wall.as_millisecond().to_le_bytes();
        }
        Self {
            link: Link::new(config.retry_most.get(), u64::from_le_bytes(seed)),
            health_every: config.health_every.get(),
            started: now.monotonic,
            next_ticket: 0,
            refused: HashMap::new(),
            days: HashMap::new(),
            fruitless: 0,
            suspects: HashMap::new(),
            health_skipped: 0,
            next_health: Instant::now(),
            next_housekeeping: Instant::now() + HOUSEKEEPING,
            lists_told: 0,
            policy_told: None,
            models_told: Vec::new(),
            parts,
        }
    }

    async fn run<B: Broker>(mut self, mut broker: B, mut stop: oneshot::Receiver<()>) {
        loop {
            let pause = self.link.retry_in(self.parts.clock.now().monotonic);
            if self.pause(pause, &mut stop).await {
                return;
            }
            let since = self.parts.clock.now().wall;
            let will = self.status(false, since);
            let session = tokio::select! {
                session = broker.connect(Hello { will }) => session,
                _ = &mut stop => return,
            };
            let ending = match session {
                Ok(session) => self.serve(session, since, &mut stop).await,
                Err(e) => Ending::Lost(e),
            };
            match ending {
                Ending::Stopped => return,
                Ending::Lost(e) => self.lost(&e),
            }
        }
    }

    /// Waits, and retries meanwhile what the disk has refused. Returns whether to stop.
    async fn pause(&mut self, pause: Duration, stop: &mut oneshot::Receiver<()>) -> bool {
        let until = Instant::now() + pause;
        loop {
            self.housekeeping();
            let step = until.min(Instant::now() + Duration::from_secs(1));
            tokio::select! {
                () = tokio::time::sleep_until(step) => {}
                _ = &mut *stop => return true,
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    fn lost(&mut self, why: &BrokerError) {
        let now = self.parts.clock.now().monotonic;
        self.link.step(now, Happened::Lost);
        let retry = self.link.retry_in(now);
        tracing::warn!(error = %why, retry_ms = retry.as_millis() as u64, "broker not connected");
        let queue = self.parts.outbox.queue().unwrap_or_default();
        // The page shows this line: a covert hit that waits gives no cue.
        let mut waiting = match self.parts.outbox.waiting_openly().unwrap_or_default() {
            0 => String::new(),
            n => format!("; hits waiting in the car: {n}"),
        };
        if queue.set_aside > 0 {
            waiting += &format!("; messages set aside: {}", queue.set_aside);
        }
        self.parts.health.set(PART, PartState::Down(format!("{why}{waiting}")));
    }

    async fn serve<S: Session>(
        &mut self,
        mut session: S,
        since: jiff::Timestamp,
        stop: &mut oneshot::Receiver<()>,
    ) -> Ending {
        let mut flights: HashMap<Ticket, Flight> = HashMap::new();
        let mut acknowledged = false;
        self.link.step(self.parts.clock.now().monotonic, Happened::Connected);
        self.report_link(None);
        self.next_health = Instant::now();
        if let Err(e) = self.parts.outbox.start_over(session.largest()) {
            self.report_disk(&e);
        }
        self.parts.notices.start_over();
        self.days.clear();
        let online = self.status(true, since);
        let mut lost = self.hand_over(&mut session, &mut flights, None, &online).err();
        while lost.is_none() {
            let mut news = Vec::new();
            if let Err(e) = self.fill(&mut session, &mut flights, &mut news) {
                lost = Some(e);
            }
            if let Err(e) = self.parts.outbox.progress(&news) {
                self.report_disk(&e);
            }
            if lost.is_some() {
                break;
            }
            let tick = Duration::from_secs(1);
            let mut answers = Vec::new();
            tokio::select! {
                answer = session.next() => answers.push(answer),
                () = self.parts.outbox.changed() => {}
                () = tokio::time::sleep(tick) => {}
                _ = &mut *stop => {
                    let offline = self.status(false, since);
                    let _ = self.hand_over(&mut session, &mut flights, None, &offline);
                    session.close().await;
                    return Ending::Stopped;
                }
            }
            // One commit for all answers that are there.
            while answers.last().is_some_and(Result::is_ok)
                && let Ok(answer) = tokio::time::timeout(Duration::ZERO, session.next()).await
            {
                answers.push(answer);
            }
            let mut news = Vec::new();
            for answer in answers {
                match answer {
                    Ok(answer) => acknowledged |= self.answered(&mut flights, answer, &mut news),
                    Err(e) => lost = Some(e),
                }
            }
            if let Err(e) = self.parts.outbox.progress(&news) {
                self.report_disk(&e);
            }
            if acknowledged {
                self.fruitless = 0;
            }
            let oldest = flights.values().map(|f| f.since.elapsed()).max().unwrap_or_default();
            self.watch(oldest);
            if oldest > GIVE_UP_AFTER && lost.is_none() {
                lost = Some(BrokerError::Unacknowledged { seconds: oldest.as_secs() });
            }
            if lost.is_none()
                && let Some(notice) = self.parts.notices.due()
            {
                let ticket = Ticket(self.next_ticket);
                self.days.extend(notice.day().map(|day| (ticket, day)));
                let message = Message::new(&self.parts.vehicle, notice);
                lost = self.hand_over(&mut session, &mut flights, None, &message).err();
            }
            let news = self.parts.hotlists.generation() != self.lists_told
                || self.parts.health.policy() != self.policy_told
                || self.parts.health.models() != self.models_told;
            if lost.is_none() && news {
                let online = self.status(true, since);
                lost = self.hand_over(&mut session, &mut flights, None, &online).err();
            }
            if lost.is_none() && Instant::now() >= self.next_health {
                lost = self.send_health(&mut session, &mut flights).err();
            }
            self.housekeeping();
        }
        let lost = lost.expect("the loop ends with a loss only");
        self.blame(&flights, &lost, acknowledged);
        Ending::Lost(lost)
    }

    /// Hands over what is due, as far as the line's state allows.
    fn fill<S: Session>(
        &mut self,
        session: &mut S,
        flights: &mut HashMap<Ticket, Flight>,
        news: &mut Vec<(i64, News)>,
    ) -> Result<(), BrokerError> {
        let plan = self.link.plan();
        // A broker that keeps hanging up: one at a time, to find out over which.
        let window = if self.fruitless >= LOSSES_BEFORE_CARE { 1 } else { plan.window };
        let under_way = flights.values().filter(|f| f.seq.is_some()).count();
        if under_way >= window {
            return Ok(());
        }
        let now = Instant::now();
        let passed_over = |seq: i64| self.refused.get(&seq).is_some_and(|p| p.until > now);
        let due = match self.parts.outbox.due(window - under_way, plan.texts_first, &passed_over) {
            Ok(due) => due,
            Err(e) => {
                self.report_disk(&e);
                return Ok(());
            }
        };
        for item in due {
            let message = Message::new(&self.parts.vehicle, item.what);
            if message.size() > session.largest() {
                let why = format!(
                    "{TOO_LARGE}: {} bytes, its limit is {}; sent when a broker takes it",
                    message.size(),
                    session.largest()
                );
                tracing::warn!(topic = message.topic(), why, "message set aside");
                news.push((item.seq, News::SetAside(why)));
                continue;
            }
            self.hand_over(session, flights, Some(item.seq), &message)?;
            tracing::debug!(
                topic = message.topic(),
                text = item.is_text,
                attempts = item.attempts + 1,
                "message sent"
            );
            news.push((item.seq, News::Sent));
        }
        Ok(())
    }

    fn hand_over<S: Session>(
        &mut self,
        session: &mut S,
        flights: &mut HashMap<Ticket, Flight>,
        seq: Option<i64>,
        message: &Message,
    ) -> Result<(), BrokerError> {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        session.publish(ticket, message)?;
        flights.insert(ticket, Flight { seq, since: Instant::now() });
        Ok(())
    }

    /// Takes in one answer. Returns whether a hit's message was acknowledged.
    fn answered(
        &mut self,
        flights: &mut HashMap<Ticket, Flight>,
        answer: Answer,
        news: &mut Vec<(i64, News)>,
    ) -> bool {
        match answer {
            Answer::Acknowledged(ticket) => {
                if let Some((day, revision)) = self.days.remove(&ticket) {
                    self.parts.notices.acknowledged(day, revision);
                }
                let Some(Flight { seq: Some(seq), .. }) = flights.remove(&ticket) else {
                    return false;
                };
                self.suspects.remove(&seq);
                if self.refused.remove(&seq).is_some() && self.refused.is_empty() {
                    self.report_link(None);
                }
                news.push((seq, News::Acknowledged));
                true
            }
            Answer::Refused(ticket, why) => {
                let Some(flight) = flights.remove(&ticket) else { return false };
                self.report_link(Some(&why));
                let Some(seq) = flight.seq else { return false };
                let pause = self
                    .refused
                    .get(&seq)
                    .map_or(REFUSED_FIRST, |p| (p.pause * 2).min(REFUSED_MOST));
                self.refused.insert(seq, Patience { until: Instant::now() + pause, pause });
                news.push((seq, News::Waiting));
                false
            }
        }
    }

    /// Decides after a lost connection whether one message made the broker hang up.
    fn blame(&mut self, flights: &HashMap<Ticket, Flight>, why: &BrokerError, fruitful: bool) {
        let hung_up = matches!(why, BrokerError::Lost { by_broker: true, .. });
        let mut under_way = flights.values().filter_map(|f| f.seq);
        let (Some(first), second) = (under_way.next(), under_way.next()) else { return };
        if !hung_up || fruitful {
            return;
        }
        self.fruitless += 1;
        if self.fruitless <= LOSSES_BEFORE_CARE || second.is_some() {
            return;
        }
        let losses = self.suspects.entry(first).or_default();
        *losses += 1;
        if *losses >= LOSSES_BEFORE_CARE {
            let note = format!(
                "the broker hung up {losses} times over this message alone; sent again within \
                 the hour"
            );
            tracing::error!(seq = first, "broker hangs up over one message, set aside");
            self.suspects.remove(&first);
            if let Err(e) = self.parts.outbox.progress(&[(first, News::SetAside(note))]) {
                self.report_disk(&e);
            }
        }
    }

    fn send_health<S: Session>(
        &mut self,
        session: &mut S,
        flights: &mut HashMap<Ticket, Flight>,
    ) -> Result<(), BrokerError> {
        self.next_health = Instant::now() + self.health_every;
        self.health_skipped += 1;
        if self.health_skipped < self.link.plan().health_divisor {
            return Ok(());
        }
        self.health_skipped = 0;
        let now = self.parts.clock.now();
        let report = HealthReport::of(
            &self.parts.health.snapshot(),
            &self.parts.names,
            now.wall,
            now.monotonic.saturating_sub(self.started).as_secs(),
            self.link.state(),
            self.parts.outbox.queue().unwrap_or_default(),
            HotlistAck::of_all(&self.parts.hotlists),
        );
        let message = Message::new(&self.parts.vehicle, Outbound::Health(Box::new(report)));
        self.hand_over(session, flights, None, &message)
    }

    /// Updates the state of the line, and reports when it has changed.
    fn watch(&mut self, oldest: Duration) {
        let now = self.parts.clock.now().monotonic;
        let before = self.link.state();
        self.link.step(now, Happened::Unanswered(oldest));
        if let Ok(queue) = self.parts.outbox.queue() {
            self.link.step(now, Happened::Waiting((queue.hits + queue.images) as usize));
        }
        if self.link.state() != before {
            tracing::info!(from = ?before, to = ?self.link.state(), "line changed");
            self.report_link(None);
        }
    }

    fn report_link(&self, refused: Option<&str>) {
        let state = match (refused, self.link.state()) {
            (Some(why), _) => PartState::Impaired(why.to_owned()),
            (None, LinkState::Live) => PartState::Working,
            (None, LinkState::Slow) => {
                PartState::Impaired("slow line: hits go first, pictures follow".into())
            }
            (None, LinkState::Backlog) => PartState::Impaired("catching up with old hits".into()),
            (None, LinkState::Offline) => PartState::Down("not connected".into()),
        };
        self.parts.health.set(PART, state);
    }

    fn report_disk(&self, e: &OutboxError) {
        tracing::error!(error = %e, "outbox failed");
        self.parts.health.set("hits", PartState::Down(e.to_string()));
    }

    fn status(&mut self, online: bool, since: jiff::Timestamp) -> Message {
        self.lists_told = self.parts.hotlists.generation();
        let promise =
            Promise { non_hit: self.parts.non_hit, protection: self.parts.outbox.protection() };
        let lists = HotlistAck::of_all(&self.parts.hotlists);
        let mut report = StatusReport::new(online, since, &promise, lists);
        report.policy_version = self.parts.health.policy();
        self.policy_told = report.policy_version;
        self.models_told = self.parts.health.models();
        report.models = self.models_told.iter().copied().map(Into::into).collect();
        report.wiped = self.parts.notices.wiped();
        Message::new(&self.parts.vehicle, Outbound::Status(report))
    }

    fn housekeeping(&mut self) {
        self.parts.outbox.retry_refused();
        let now = Instant::now();
        if now < self.next_housekeeping {
            return;
        }
        self.next_housekeeping = now + HOUSEKEEPING;
        let done = self.parts.outbox.forget_old().map(|_| ());
        if let Err(e) = done.and_then(|()| self.parts.outbox.retry_set_aside()) {
            self.report_disk(&e);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
