//! `outrider provision device|rotate|wipe|wipe-command`: the keys of a car, from first to last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;

use crate::audit::{Actor, Audit, AuditEvent, Change};
use crate::authoring::publish::{Broker as _, topics};
use crate::clock::SystemClock;
use crate::cmd::envelope;
use crate::cmd::hotlist::{BrokerArgs, signing_key};
use crate::cmd::owners_files::OwnersFiles;
use crate::command::{COMMAND_TYPE, Command, Order};
use crate::config::{Config, KeySource, Vehicle};
use crate::control;
use crate::daemon::asked::WIPE;
use crate::dsse::PublicKey;
use crate::health::Health;
use crate::keys::credential::{self, Sealed};
use crate::keys::rotation::{self, Rotation};
use crate::keys::{DeviceKey, KEY_FILE, Protection, passphrase};
use crate::prompt;
use crate::records::hold::refuse_held;
use crate::trust::{Root, pin};

/// Make this car's device key, where `keeping.key` wants it, and print the public key to register.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider provision device\n  outrider provision device --passphrase"
)]
pub(super) struct DeviceArgs {
    /// Protect the key by a passphrase, which is asked for at the terminal now and at every start
    /// (`outrider unlock`). keeping.key = "passphrase" has the same effect.
    #[arg(long)]
    passphrase: bool,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    car: Car,
}

/// Give this car a new device key, and encrypt everything that it keeps anew with it.
#[derive(Debug, Args)]
#[command(
    after_help = "The daemon must be stopped. With keeping.key = \"passphrase\" a key that was a plain file gets a passphrase; with \"credential\" systemd-creds seals the new key in the old one's place, which only root can do.\n\nExample:\n  outrider provision rotate"
)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    car: Car,
}

/// Make this car believe the root in the configuration and no other, after the agency got a new root.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  outrider provision pin-root")]
pub(super) struct PinRootArgs {
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    car: Car,
}

/// Where the key is that systemd seals.
#[derive(Debug, Args)]
struct CredentialArgs {
    /// The sealed credential, as the unit's LoadCredentialEncrypted= names it.
    #[arg(long, value_name = "FILE", default_value = credential::SEALED_FILE)]
    credential: PathBuf,
    /// What the key is sealed with, such as tpm2, host or host+tpm2 [default: what the machine has].
    #[arg(long, value_name = "WHAT")]
    with_key: Option<String>,
}

impl CredentialArgs {
    fn sealed(&self) -> Sealed {
        Sealed::at(&self.credential, self.with_key.as_deref())
    }
}

/// Make this car unreadable at once: destroy its keys first, then everything that it keeps.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  outrider provision wipe --reason 'sold' --yes")]
pub(super) struct WipeArgs {
    /// Why; recorded in the audit log, for those who keep an export of it elsewhere.
    #[arg(long)]
    reason: String,
    /// Confirm the wipe: there is no way back.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    car: Car,
}

/// Write the signed command that wipes a car from afar.
#[derive(Debug, Args)]
#[command(
    after_help = "Publish it for the car to find (outrider provision send-command, or mosquitto_pub ... -q 1 -r -t \
    alpr/v1/peel/vehicle/4127/cmd -f wipe.json).\n\nExample:\n  \
    outrider provision wipe-command --agency peel --vehicle 4127 --car-key 4127.pub --key commander.key \
    --reason 'stolen with the car' -o wipe.json"
)]
pub(super) struct WipeCommandArgs {
    /// The agency that the car belongs to.
    #[arg(long)]
    agency: String,
    /// The vehicle's number.
    #[arg(long)]
    vehicle: String,
    /// The car's public key, as registered.
    #[arg(long, value_name = "KEY")]
    car_key: String,
    /// File of a secret key that may command cars (role `command` in the trust document). Given twice,
    /// two people sign, which a car with a hit under legal hold requires.
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// Why the car is wiped.
    #[arg(long)]
    reason: String,
    /// For how many days the car may still follow it, 30 at most.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=30))]
    days: i64,
    /// File to write the command to.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Publish a signed command, retained, for its car to find.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    outrider provision send-command wipe.json --broker mqtts://broker.example --ca ca.pem --certificate \
    admin.pem --key admin.key")]
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
        let _owners = OwnersFiles::of(state);
        let wanted = config.keeping.key;
        let words = match (wanted, self.passphrase) {
            (KeySource::Passphrase, _) | (KeySource::Auto, true) => {
                Some(prompt::read_new_secret("New passphrase for this car's device key")?)
            }
            (_, false) => None,
            (_, true) => bail!(
                "keeping.key = \"{wanted}\" contradicts --passphrase: set keeping.key to \"passphrase\""
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
        print_public(&config.vehicle, &public, device.protection());
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

/// Pins the root of the configuration as the only one that this car believes, and records that.
fn pin_root(config: &Config, device: &DeviceKey) -> anyhow::Result<()> {
    let Some(path) = &config.trust.root else { return Ok(()) };
    let state = &config.keeping.directory;
    let root = Root::load(path)?;
    // A pin that cannot be read any more is replaced as well.
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
        let _owners = OwnersFiles::of(state);
        refuse_a_running_daemon(state)?;
        if config.trust.root.is_none() {
            bail!("{} has no [trust] root", self.car.config.display());
        }
        if passphrase::is_locked(state) {
            passphrase::unlock(
                state,
                &prompt::read_secret("Passphrase of this car's device key")?,
            )?;
        }
        if config.keeping.key == KeySource::Credential {
            let sealed = self.credential.sealed();
            sealed.hold(state, &sealed.open()?);
        }
        pin_root(&config, &DeviceKey::open_existing(&config.keeping)?)
    }
}

fn print_public(vehicle: &Vehicle, public: &PublicKey, protection: Protection) {
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
        let _owners = OwnersFiles::of(state);
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
                    let words = prompt::read_secret("Passphrase of this car's device key")?;
                    passphrase::unlock(state, &words)?;
                }
                Rotation::begin(state, wanted == KeySource::Passphrase)?
            }
        };
        let words = match rotation.new_key().protection() {
            Protection::Passphrase => Some(prompt::read_new_secret("Passphrase for the new key")?),
            _ => None,
        };
        let public = {
            let audit = audit(&config)?;
            audit.rotate(shell(), rotation.new_key())?
        };
        let protection = rotation.new_key().protection();
        rotation.finish(words.as_ref().map(|w| w.as_str()))?;
        print_public(&config.vehicle, &public, protection);
        eprintln!("The reads on no list that the ring kept are destroyed.");
        Ok(())
    }
}

impl WipeArgs {
    /// Destroys.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.car.load()?;
        let state = &config.keeping.directory;
        if !self.yes {
            bail!("this destroys everything in {}: add --yes if that is intended", state.display());
        }
        if control::answers(state) {
            // The daemon has the keys in memory, and its last message tells the broker of the wipe.
            let () = control::ask(state, WIPE, &self.reason)?;
            eprintln!("the daemon is wiping this car and ends");
            return Ok(());
        }
        refuse_held(state, Arc::new(SystemClock))?;
        // The record is destroyed with everything else; whoever has the log's head elsewhere can still prove it.
        if DeviceKey::existing(state).is_ok()
            && let Ok(audit) = audit(&config)
            && let Some(key) = audit.public_key()
        {
            audit.note(shell(), AuditEvent::KeyWiped { key: key.id(), why: self.reason });
        }
        let files = rotation::wipe(state)
            .with_context(|| format!("{} is not wiped completely", state.display()))?;
        eprintln!("keys destroyed, {files} files removed from {}", state.display());
        // Only root comes at what systemd unseals.
        let secrets = match rustix::process::geteuid().is_root() {
            true => super::finish::all_secrets(&config),
            false => config.secrets(),
        };
        let left = rotation::destroy_secrets(&secrets);
        if let [(path, why), ..] = &left[..] {
            bail!("{} secrets are left, such as {}: {why}", left.len(), path.display());
        }
        eprintln!(
            "keys of lists and of TLS destroyed; only outrider provision device ends the wipe"
        );
        Ok(())
    }
}

impl WipeCommandArgs {
    /// Writes the command.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let keys = self.key.iter().map(|path| signing_key(path));
        let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
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
        let envelope = command.sign_with(&keys.iter().collect::<Vec<_>>());
        std::fs::write(&self.output, envelope.to_json())
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        let names: Vec<_> = keys.iter().map(|key| key.public().id().to_string()).collect();
        eprintln!(
            "signed by {}; the car needs role `command` for {} in its trust document{}",
            names.join(" and "),
            if names.len() == 1 { "it" } else { "each" },
            match names.len() {
                1 => "; a car that has a hit under legal hold takes it from two people",
                _ => "",
            }
        );
        Ok(())
    }
}

impl SendCommandArgs {
    /// Hands it to the broker.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let envelope = envelope::read(&self.file, envelope::MOST_DOCUMENT)?;
        let Command { agency, vehicle, .. } =
            envelope::document(&self.file, &envelope, COMMAND_TYPE, "command")?;
        if !self.broker.is_given() {
            bail!("no broker is given: add --broker mqtts://host");
        }
        let mut connection = self.broker.connect()?;
        connection.send(&topics::command(&agency, &vehicle), envelope.to_json())?;
        while connection.acknowledged()?.is_some() {}
        connection.close();
        println!("command for vehicle {vehicle} of {agency} published");
        Ok(())
    }
}
