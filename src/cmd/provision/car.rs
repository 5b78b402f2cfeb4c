//! `outrider provision device|rotate|wipe|wipe-command`: the keys of a car, from first to last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;

use crate::audit::{Actor, Audit, AuditEvent, Change};
use crate::clock::SystemClock;
use crate::cmd::hotlist::BrokerArgs;
use crate::cmd::secret;
use crate::command::{Command, Order};
use crate::config::{Config, KeySource, Vehicle};
use crate::control;
use crate::dsse::{Envelope, PublicKey, SigningKey};
use crate::health::Health;
use crate::hotlist::publish::{Broker as _, topics};
use crate::keys::credential::{self, Sealed};
use crate::keys::rotation::{self, Rotation};
use crate::keys::{DeviceKey, KEY_FILE, Protection, passphrase};
use crate::trust::{Root, pin};

/// Make this car's device key, where `keeping.key` wants it, and print the public key to register.
#[derive(Debug, Args)]
pub(super) struct DeviceArgs {
    /// Behind a passphrase, asked for at the terminal now and at every start (`outrider unlock`): what
    /// keeping.key = "passphrase" always does.
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    car: Car,
}

/// Give this car a new device key: everything it keeps is written anew under it.
#[derive(Debug, Args)]
#[command(
    after_help = "The daemon must be stopped. With keeping.key = \"passphrase\" a key that was a file goes behind one; with \"credential\" systemd-creds seals the new key in the old one's place, which takes root."
)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    car: Car,
}

/// Make the root of the configuration the one that this car believes: after the agency got a new one.
#[derive(Debug, Args)]
pub(super) struct PinRootArgs {
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    car: Car,
}

/// Where a key that systemd seals is.
#[derive(Debug, Args)]
struct CredentialArgs {
    /// The sealed credential, as the unit's LoadCredentialEncrypted= names it.
    #[arg(long, value_name = "FILE", default_value = credential::SEALED_FILE)]
    credential: PathBuf,
    /// What it is sealed to, such as tpm2, host or host+tpm2 [default: what the machine has].
    #[arg(long, value_name = "WHAT")]
    with_key: Option<String>,
}

impl CredentialArgs {
    fn sealed(&self) -> Sealed {
        Sealed::at(&self.credential, self.with_key.as_deref())
    }
}

/// Make this car unreadable at once: its keys first, then everything it keeps.
#[derive(Debug, Args)]
pub(super) struct WipeArgs {
    /// Why, for those who read what is left of the audit log elsewhere.
    #[arg(long)]
    reason: String,
    /// Do it: there is no way back.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    car: Car,
}

/// Write the signed command that wipes a car from afar.
#[derive(Debug, Args)]
#[command(after_help = "Publish it for the car to find:\n  \
    outrider provision send-command wipe.json --broker mqtts://broker.example --ca ca.pem --certificate \
    admin.pem --key admin.key\n  \
    mosquitto_pub ... -q 1 -r -t alpr/v1/peel/vehicle/4127/cmd -f wipe.json")]
pub(super) struct WipeCommandArgs {
    /// Whose car.
    #[arg(long)]
    agency: String,
    /// Which car.
    #[arg(long)]
    vehicle: String,
    /// The car's public key, as registered.
    #[arg(long, value_name = "KEY")]
    car_key: String,
    /// File of the secret key that may command cars (role `command` in the trust document).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Why.
    #[arg(long)]
    reason: String,
    /// For how many days the car may still follow it, 30 at most.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=30))]
    days: i64,
    /// Where to.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Publish a signed command, retained, for its car to find.
#[derive(Debug, Args)]
pub(super) struct SendCommandArgs {
    /// The signed command.
    file: PathBuf,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Debug, Args)]
struct Car {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl Car {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config)?)
    }
}

fn audit(config: &Config) -> anyhow::Result<Audit> {
    let (clock, health) = (Arc::new(SystemClock), Arc::new(Health::default()));
    Ok(Audit::open(&config.keeping, &config.vehicle, clock, health)?)
}

fn shell() -> Actor {
    Actor::Shell(rustix::process::getuid().as_raw())
}

fn refuse_a_running_daemon(state: &Path) -> anyhow::Result<()> {
    if control::answers(state) {
        bail!("a daemon runs in {}: stop it first", state.display());
    }
    Ok(())
}

impl DeviceArgs {
    /// Makes the key.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.car.load()?;
        let state = &config.keeping.directory;
        let wanted = config.keeping.key;
        let words = match (wanted, self.passphrase) {
            (KeySource::Passphrase, _) | (KeySource::Auto, true) => {
                Some(secret::chosen("New passphrase for this car's device key")?)
            }
            (_, false) => None,
            (_, true) => bail!(
                "keeping.key = \"{wanted}\" and --passphrase do not go together: set \"passphrase\""
            ),
        };
        let device = match wanted {
            KeySource::Credential => DeviceKey::create_sealed(state, &self.credential.sealed())?,
            _ => DeviceKey::create(state, words.as_ref().map(|w| w.as_str()))?,
        };
        let public = device.signing_key().public();
        audit(&config)?.append(
            shell(),
            AuditEvent::KeyCreated {
                key: public.id(),
                public: public.to_string(),
                protection: device.protection(),
            },
        )?;
        pin_root(&config, &device)?;
        tell_public(&config.vehicle, &public, device.protection());
        if wanted == KeySource::Credential {
            eprintln!(
                "sealed in {}; in the unit ([Service], systemctl edit outrider): \
                 LoadCredentialEncrypted={}:{}",
                self.credential.credential.display(),
                crate::keys::CREDENTIAL,
                self.credential.credential.display(),
            );
        }
        Ok(())
    }
}

/// Remembers the root of the configuration as the one that this car is for, and writes that down.
fn pin_root(config: &Config, device: &DeviceKey) -> anyhow::Result<()> {
    let Some(path) = &config.trust.root else { return Ok(()) };
    let state = &config.keeping.directory;
    let root = Root::load(path)?;
    // One that cannot be read any more is replaced as well.
    let old = pin::pinned(state, device).unwrap_or_else(|e| Some(e.to_string()));
    let change = Change { field: "trust.root".into(), old, new: Some(root.name()) };
    audit(config)?.append(shell(), AuditEvent::ConfigChanged { changes: vec![change] })?;
    pin::pin(&root, state, device)?;
    eprintln!("this car believes root {} of {} and no other", root.name(), path.display());
    Ok(())
}

impl PinRootArgs {
    /// Pins the root of the configuration.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.car.load()?;
        let state = &config.keeping.directory;
        refuse_a_running_daemon(state)?;
        if config.trust.root.is_none() {
            bail!("{} has no [trust] root", self.car.config.display());
        }
        if passphrase::is_locked(state) {
            passphrase::unlock(state, &secret::ask("Passphrase of this car's device key")?)?;
        }
        if config.keeping.key == KeySource::Credential {
            let sealed = self.credential.sealed();
            sealed.hold(state, &sealed.open()?);
        }
        pin_root(&config, &DeviceKey::look(&config.keeping)?)
    }
}

fn tell_public(vehicle: &Vehicle, public: &PublicKey, protection: Protection) {
    println!("{public}");
    let how = match protection {
        Protection::SystemdCredential => "a systemd credential",
        Protection::KeyFile => "a file on this disk: whoever takes the disk takes the key",
        Protection::Passphrase => "a passphrase",
    };
    eprintln!(
        "vehicle {} of {}: register this public key where audit logs and evidence are verified \
         (name {}). The device key is protected by {how}.",
        vehicle.id,
        vehicle.agency,
        public.id()
    );
}

impl RotateArgs {
    /// Changes the key.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.car.load()?;
        let state = &config.keeping.directory;
        refuse_a_running_daemon(state)?;
        let wanted = config.keeping.key;
        let sealed = self.credential.sealed();
        let in_state = [KEY_FILE, passphrase::SEALED_FILE].iter().any(|f| state.join(f).exists());
        let rotation = match wanted {
            KeySource::Credential => Rotation::of_credential(state, sealed)?,
            KeySource::Auto if !in_state && sealed.path().exists() => {
                Rotation::of_credential(state, sealed)?
            }
            _ => {
                if passphrase::is_locked(state) {
                    let words = secret::ask("Passphrase of this car's device key")?;
                    passphrase::unlock(state, &words)?;
                }
                Rotation::begin(state, wanted == KeySource::Passphrase)?
            }
        };
        let words = match rotation.new_key().protection() {
            Protection::Passphrase => Some(secret::chosen("Passphrase for the new key")?),
            _ => None,
        };
        let public = {
            let audit = audit(&config)?;
            audit.rotate(shell(), rotation.new_key())?
        };
        let protection = rotation.new_key().protection();
        rotation.finish(words.as_ref().map(|w| w.as_str()))?;
        tell_public(&config.vehicle, &public, protection);
        eprintln!("What the ring kept of reads on no list is forgotten.");
        Ok(())
    }
}

impl WipeArgs {
    /// Destroys.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.car.load()?;
        let state = &config.keeping.directory;
        if !self.yes {
            bail!("this destroys everything in {}: add --yes", state.display());
        }
        if control::answers(state) {
            // It has the keys in memory and says goodbye to the broker.
            let () = control::ask(state, WIPE, &self.reason)?;
            eprintln!("the daemon is wiping this car and ends");
            return Ok(());
        }
        // The record goes with everything else, unless somebody has its head.
        if DeviceKey::existing(state).is_ok()
            && let Ok(audit) = audit(&config)
            && let Some(key) = audit.public_key()
        {
            audit.note(shell(), AuditEvent::KeyWiped { key: key.id(), why: self.reason });
        }
        let files = rotation::wipe(state)
            .with_context(|| format!("{} is not wiped whole", state.display()))?;
        eprintln!("keys destroyed, {files} files removed from {}", state.display());
        Ok(())
    }
}

/// What a command asks of the control socket to have a running daemon wipe.
pub(crate) const WIPE: &str = "wipe";

impl WipeCommandArgs {
    /// Writes the command.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let text = crate::secret_file::read(&self.key)?;
        // Lines that begin with # are for people.
        let seed = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with('#'));
        let key = SigningKey::parse(seed.unwrap_or_default())?;
        let car = crate::cmd::audit::public_key(&self.car_key)?;
        let now = Timestamp::now();
        let command = Command {
            agency: self.agency,
            vehicle: self.vehicle,
            key: car.id(),
            order: Order::Wipe,
            reason: self.reason,
            issued: now,
            expires: now + jiff::SignedDuration::from_hours(24 * self.days),
        };
        std::fs::write(&self.output, command.sign(&key).to_json())
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        eprintln!(
            "signed by {}; the car needs role `command` for it in its trust document",
            key.public().id()
        );
        Ok(())
    }
}

impl SendCommandArgs {
    /// Hands it to the broker.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let shown = self.file.display();
        let json = std::fs::read(&self.file).with_context(|| format!("cannot read {shown}"))?;
        let envelope = Envelope::parse(&json).with_context(|| format!("{shown}"))?;
        let Command { agency, vehicle, .. } = serde_json::from_slice(envelope.unverified_payload())
            .with_context(|| format!("{shown} is no command"))?;
        if !self.broker.is_given() {
            bail!("say where to: --broker mqtts://...");
        }
        let mut connection = self.broker.connect()?;
        connection.send(&topics::command(&agency, &vehicle), json)?;
        while connection.acknowledged()?.is_some() {}
        connection.close();
        println!("command for vehicle {vehicle} of {agency} published");
        Ok(())
    }
}
