//! `outrider provision trust`: the root-signed document of who may sign what.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::cmd::hotlist::{BrokerArgs, signing_key};
use crate::config::HumanDuration;
use crate::dsse::{Envelope, KeyId, PublicKey, SigningKey};
use crate::hotlist::format::valid_list_name;
use crate::hotlist::publish::{Broker as _, topics};
use crate::trust::{Role, Root, Trust, TrustDocument, TrustedKey};

/// Arguments of `outrider provision trust`.
#[derive(Debug, Args)]
#[command(
    about = "Say who may author a list, sign policy, command cars; withdraw a key",
    after_help = "Every change raises the version. A withdrawn author needs no car to be touched: publish \
        the document, and cars take nothing by that key any more.\n\nExamples:\n  \
        outrider provision trust init --root root.key --file trust.json --agency opp\n  \
        outrider provision trust grant --root root.key --file trust.json --key 4f0c...e1 --name desk \
        --list stolen\n  \
        outrider provision trust withdraw --root root.key --file trust.json --key-name 0123456789abcdef\n  \
        outrider provision trust publish --file trust.json --broker mqtts://broker.example --ca ca.pem \
        --certificate admin.pem --key admin.key.pem\n  \
        outrider provision trust show --file trust.json"
)]
pub(super) struct TrustArgs {
    #[command(subcommand)]
    command: Command,
}

/// The document, and the keys that sign it.
#[derive(Debug, Args)]
struct Signing {
    /// The trust document.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// File with a root's secret key; repeated where several must sign.
    #[arg(long, value_name = "FILE", required = true)]
    root: Vec<PathBuf>,
    /// How long it may be used [default: without end].
    #[arg(long, value_name = "TIME")]
    expires_in: Option<HumanDuration>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a document without any key.
    Init {
        #[command(flatten)]
        signing: Signing,
        /// Whose cars it is for.
        #[arg(long)]
        agency: String,
    },
    /// Let a key sign: a list, policy, commands. Adds to what it may do already.
    Grant {
        #[command(flatten)]
        signing: Signing,
        /// Public half of the key.
        #[arg(long, value_name = "KEY")]
        key: String,
        /// Who holds it, for people.
        #[arg(long)]
        name: String,
        /// It may author this list; may be repeated.
        #[arg(long)]
        list: Vec<String>,
        /// It may sign policy.
        #[arg(long)]
        policy: bool,
        /// It may sign commands to cars, such as the remote wipe.
        #[arg(long)]
        command: bool,
    },
    /// Take a key out of force.
    Withdraw {
        #[command(flatten)]
        signing: Signing,
        /// Name of the key: 16 hexadecimal digits, as `show` has it.
        #[arg(long, value_name = "NAME")]
        key_name: String,
    },
    /// Add the signature of a further root, where several must sign.
    Sign {
        /// The trust document.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// File with the root's secret key.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
    },
    /// Show what a document says; with the root's public keys, also whether it holds.
    Show {
        /// The trust document.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// File with the root's public keys.
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
    },
    /// Publish it, retained, for all cars of the agency.
    Publish {
        /// The trust document.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        broker: BrokerArgs,
    },
}

impl TrustArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Init { signing, agency } => {
                if signing.file.exists() {
                    bail!("{} is there already", signing.file.display());
                }
                let document = TrustDocument {
                    agency,
                    version: 0,
                    issued: Timestamp::now(),
                    expires: None,
                    keys: Vec::new(),
                    withdrawn: Vec::new(),
                };
                next(document, &signing)
            }
            Command::Grant { signing, key, name, list, policy, command } => {
                let mut roles = Vec::new();
                for list in list {
                    if !valid_list_name(&list) {
                        bail!("--list {list:?}: must be 1 to 32 letters, digits, - or _");
                    }
                    roles.push(Role::ListAuthor(list));
                }
                roles.extend(policy.then_some(Role::Policy));
                roles.extend(command.then_some(Role::Command));
                if roles.is_empty() {
                    bail!("say what it may sign: --list, --policy or --command");
                }
                let mut document = read(&signing.file)?.1;
                grant(&mut document, PublicKey::parse(&key)?, name, roles)?;
                next(document, &signing)
            }
            Command::Withdraw { signing, key_name } => {
                let mut document = read(&signing.file)?.1;
                withdraw(&mut document, &key_name)?;
                next(document, &signing)
            }
            Command::Sign { file, root } => {
                let (mut envelope, document) = read(&file)?;
                envelope.add(&signing_key(&root)?);
                write(&file, &envelope)?;
                println!(
                    "version {} signed by {} keys",
                    document.version,
                    envelope.signers().count()
                );
                Ok(())
            }
            Command::Show { file, root } => show(&file, root.as_deref()),
            Command::Publish { file, broker } => {
                let (envelope, document) = read(&file)?;
                let mut connection = broker.connect()?;
                connection.send(&topics::trust(&document.agency), envelope.to_json())?;
                while connection.acknowledged()?.is_some() {}
                connection.close();
                println!("trust of {} version {} published", document.agency, document.version);
                Ok(())
            }
        }
    }
}

fn grant(
    document: &mut TrustDocument,
    public: PublicKey,
    name: String,
    roles: Vec<Role>,
) -> anyhow::Result<()> {
    if document.withdrawn.contains(&public.id()) {
        bail!("key {} has been withdrawn: make a new one", public.id());
    }
    match document.keys.iter_mut().find(|key| key.public == public) {
        Some(key) => {
            key.name = name;
            key.roles.extend(roles);
            key.roles.sort();
            key.roles.dedup();
        }
        None => document.keys.push(TrustedKey { name, public, roles }),
    }
    Ok(())
}

fn withdraw(document: &mut TrustDocument, name: &str) -> anyhow::Result<()> {
    let found = document.keys.iter().find(|key| key.public.id().as_str() == name);
    let Some(id) = found.map(|key| key.public.id()) else {
        let names: Vec<_> = document.keys.iter().map(|k| k.public.id().to_string()).collect();
        bail!("no key {name:?} is in force; those that are: {}", names.join(", "));
    };
    document.keys.retain(|key| key.public.id() != id);
    document.withdrawn.push(id);
    Ok(())
}

/// Raises the version, signs and writes.
fn next(mut document: TrustDocument, signing: &Signing) -> anyhow::Result<()> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    document.version += 1;
    document.issued = now;
    document.expires = match signing.expires_in {
        Some(life) => Some(now.checked_add(life.get())?),
        None => None,
    };
    let roots: Vec<SigningKey> =
        signing.root.iter().map(|path| signing_key(path)).collect::<anyhow::Result<_>>()?;
    let envelope = document.sign(&roots.iter().collect::<Vec<_>>());
    write(&signing.file, &envelope)?;
    println!(
        "trust of {} version {} in {}",
        document.agency,
        document.version,
        signing.file.display()
    );
    Ok(())
}

fn write(path: &Path, envelope: &Envelope) -> anyhow::Result<()> {
    let aside = path.with_extension("part");
    std::fs::write(&aside, envelope.to_json())?;
    std::fs::rename(&aside, path)?;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<(Envelope, TrustDocument)> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let envelope = Envelope::parse(&bytes).with_context(|| path.display().to_string())?;
    let document = serde_json::from_slice(envelope.unverified_payload())
        .with_context(|| format!("{} is no trust document", path.display()))?;
    Ok((envelope, document))
}

fn show(file: &Path, root: Option<&Path>) -> anyhow::Result<()> {
    let (envelope, document) = read(file)?;
    let TrustDocument { agency, version, issued, expires, .. } = &document;
    let end = expires.map_or("without end".into(), |end| format!("until {end}"));
    println!("trust of {agency}, version {version}, issued {issued}, {end}");
    for key in &document.keys {
        let roles: Vec<String> = key.roles.iter().map(role).collect();
        println!("  {}  {}: {}", key.public.id(), key.name, roles.join(", "));
    }
    for id in &document.withdrawn {
        println!("  {id}  withdrawn");
    }
    let signers: Vec<_> = envelope.signers().map(KeyId::to_string).collect();
    println!("signed by {}", signers.join(", "));
    if let Some(root) = root {
        let root: Root = serde_json::from_slice(&std::fs::read(root)?)
            .with_context(|| root.display().to_string())?;
        Trust::open(&envelope, &root, agency, 0, Timestamp::now())?;
        println!("holds: {} of {} root keys have signed", root.needed, root.keys.len());
    }
    Ok(())
}

fn role(role: &Role) -> String {
    match role {
        Role::ListAuthor(list) => format!("authors list {list}"),
        Role::Policy => "signs policy".into(),
        Role::Command => "commands cars".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> TrustDocument {
        TrustDocument {
            agency: "opp".into(),
            version: 1,
            issued: Timestamp::UNIX_EPOCH,
            expires: None,
            keys: Vec::new(),
            withdrawn: Vec::new(),
        }
    }

    #[test]
    fn withdrawn_key_cannot_be_granted_again() {
        let public = SigningKey::parse(&"07".repeat(32)).unwrap().public();
        let mut document = document();
        let list = |name: &str| vec![Role::ListAuthor(name.into())];
        grant(&mut document, public, "desk".into(), list("stolen")).unwrap();
        grant(&mut document, public, "desk".into(), list("wanted")).unwrap();
        assert_eq!((document.keys.len(), document.keys[0].roles.len()), (1, 2));
        withdraw(&mut document, public.id().as_str()).unwrap();
        assert!(document.keys.is_empty() && document.withdrawn == [public.id()]);
        let again = grant(&mut document, public, "desk".into(), list("stolen")).unwrap_err();
        assert!(again.to_string().contains("has been withdrawn"));
        assert!(withdraw(&mut document, "0123456789abcdef").is_err());
    }
}
