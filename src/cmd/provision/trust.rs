//! `outrider provision trust`: the root-signed document of who may sign what.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::authoring::publish::{Broker as _, topics};
use crate::cmd::envelope;
use crate::cmd::hotlist::{BrokerArgs, signing_key};
use crate::config::HumanDuration;
use crate::dated::{Dated, Kind};
use crate::dsse::{Envelope, KeyId, PublicKey, SigningKey};
use crate::files::Aside;
use crate::hotlist::format::valid_list_name;
use crate::text::ForeignText;
use crate::trust::{Person, Role, Root, TRUST_TYPE, Trust, TrustDocument, TrustedKey};

/// Arguments of `outrider provision trust`.
#[derive(Debug, Args)]
#[command(
    about = "Say who may author a list, sign policy, command cars, sign models; withdraw a key",
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
    /// Make a document without any key.
    #[command(
        after_help = "Example:\n  outrider provision trust init --root root.key --file trust.json --agency opp"
    )]
    Init {
        #[command(flatten)]
        signing: Signing,
        /// The agency whose cars it is for.
        #[arg(long)]
        agency: String,
    },
    /// Let a key sign a list, policy, commands or models, in addition to what it may sign already.
    #[command(
        after_help = "Examples:\n  outrider provision trust grant --root root.key --file trust.json --key 4f0c...e1 --name desk --list stolen\n  outrider provision trust grant --root root.key --file trust.json --key 4f0c...e1 --name 'Chief Roy' --policy --command\n  outrider provision trust grant --root root.key --file trust.json --key 4f0c...e1 --name workshop --models"
    )]
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
        /// It may sign packages of models. A car whose program does not know this role refuses the document.
        #[arg(long)]
        models: bool,
    },
    /// Let a key sign nothing new, for a holder who leaves; what it has signed stays in force until it is replaced.
    #[command(
        after_help = "Example:\n  outrider provision trust retire --root root.key --file trust.json --key-name 0123456789abcdef"
    )]
    Retire {
        #[command(flatten)]
        signing: Signing,
        /// Name of the key: 16 hexadecimal digits, as `show` has it.
        #[arg(long, value_name = "NAME")]
        key_name: String,
    },
    /// Take a stolen key out of force, together with what it has signed.
    #[command(
        after_help = "Example:\n  outrider provision trust withdraw --root root.key --file trust.json --key-name 0123456789abcdef"
    )]
    Withdraw {
        #[command(flatten)]
        signing: Signing,
        /// Name of the key: 16 hexadecimal digits, as `show` has it.
        #[arg(long, value_name = "NAME")]
        key_name: String,
    },
    /// Add the signature of a further root, where several must sign.
    #[command(
        after_help = "Example:\n  outrider provision trust sign --file trust.json --root second.key"
    )]
    Sign {
        /// The trust document.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// File with the root's secret key.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
    },
    /// Show what a document says and, with the root's public keys, whether it is valid.
    #[command(
        after_help = "Example:\n  outrider provision trust show --file trust.json --root root.pub.json"
    )]
    Show {
        /// The trust document.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// File with the root's public keys.
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
    },
    /// Publish the document for all cars of the agency; the broker retains it.
    #[command(
        after_help = "Example:\n  outrider provision trust publish --file trust.json --broker mqtts://broker.example --ca ca.pem --certificate admin.pem --key admin.key.pem"
    )]
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
                    retired: Vec::new(),
                };
                next(document, &signing)
            }
            Command::Grant { signing, key, name, list, policy, command, models } => {
                let mut roles = Vec::new();
                for list in list {
                    if !valid_list_name(&list) {
                        bail!("--list {list:?}: must be 1 to 32 letters, digits, - or _");
                    }
                    roles.push(Role::ListAuthor(list));
                }
                roles.extend(policy.then_some(Role::Policy));
                roles.extend(command.then_some(Role::Command));
                roles.extend(models.then_some(Role::Models));
                if roles.is_empty() {
                    bail!(
                        "nothing says what the key may sign: add --list, --policy, --command or --models"
                    );
                }
                let mut document = read_own(&signing)?;
                grant(&mut document, PublicKey::parse(&key)?, name, roles)?;
                next(document, &signing)
            }
            Command::Retire { signing, key_name } => {
                let mut document = envelope::trust(&signing.file)?.1;
                retire(&mut document, &key_name)?;
                next(document, &signing)
            }
            Command::Withdraw { signing, key_name } => {
                let mut document = read_own(&signing)?;
                let ends = withdraw(&mut document, &key_name)?;
                next(document, &signing)?;
                for role in ends {
                    eprintln!("{role}");
                }
                Ok(())
            }
            Command::Sign { file, root } => {
                let (mut envelope, document) = envelope::trust(&file)?;
                envelope.add(&signing_key(&root)?);
                write(&file, &envelope)?;
                println!(
                    "version {} signed; {} signatures on it, of which only your own was checked: see \
                     outrider provision trust show --root",
                    document.version,
                    envelope.signers().count()
                );
                Ok(())
            }
            Command::Show { file, root } => show(&file, root.as_deref()),
            Command::Publish { file, broker } => {
                let (envelope, document) = envelope::trust(&file)?;
                some_car_takes(&envelope, &document)?;
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
    if document.withdrawn.contains(&public.id()) || document.retired.contains(&public.id()) {
        bail!("key {} has been withdrawn: make a new one", public.id());
    }
    Person::parse(&name).map_err(anyhow::Error::msg)?;
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

fn named(document: &TrustDocument, name: &str) -> anyhow::Result<TrustedKey> {
    let found = document.keys.iter().find(|key| key.public.id().as_str() == name);
    let Some(key) = found else {
        let names: Vec<_> = document.keys.iter().map(|k| k.public.id().to_string()).collect();
        bail!("no key {name:?} is in force; those that are: {}", names.join(", "));
    };
    Ok(key.clone())
}

/// Takes a key out of force. Returns sentences that say what ends with it.
fn withdraw(document: &mut TrustDocument, name: &str) -> anyhow::Result<Vec<String>> {
    let key = named(document, name)?;
    let id = key.public.id();
    document.keys.retain(|other| other.public != key.public);
    document.retired.retain(|other| *other != id);
    document.withdrawn.push(id);
    Ok(key.roles.iter().map(|role| match role {
        Role::ListAuthor(list) => format!(
            "cars take list {list} out of service where this key has signed the version that serves: have \
             another author publish one"
        ),
        Role::Policy => "cars fall to the strictest rules where the policy in force needs this key's signature: \
                         publish one that two others have signed"
            .into(),
        Role::Command => "cars no longer obey commands by this key".into(),
        Role::Models => "cars go back from models that this key has signed to those before: have another sign a package"
            .into(),
    }).collect())
}

fn retire(document: &mut TrustDocument, name: &str) -> anyhow::Result<()> {
    let key = named(document, name)?;
    if document.retired.contains(&key.public.id()) {
        bail!("key {name} is retired already");
    }
    document.retired.push(key.public.id());
    Ok(())
}

/// Raises the version, signs and writes.
fn next(mut document: TrustDocument, signing: &Signing) -> anyhow::Result<()> {
    Person::check(&document.keys)
        .map_err(|why| anyhow::anyhow!("{why}; no car would take the document"))?;
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

/// Refuses a document that no car takes, as far as that can be known without the root's public keys.
fn some_car_takes(envelope: &Envelope, document: &TrustDocument) -> anyhow::Result<()> {
    let TrustDocument { issued, expires, version, .. } = *document;
    let dated = Dated { kind: Kind::Trust, issued, expires, version: Some((version, 0)) };
    dated.check(&Timestamp::now().into()).context("no car would take it")?;
    Person::check(&document.keys)
        .map_err(|why| anyhow::anyhow!("{why}; no car would take the document"))?;
    if envelope.signers().next().is_none() {
        bail!("no root has signed it: outrider provision trust sign");
    }
    Ok(())
}

fn write(path: &Path, envelope: &Envelope) -> anyhow::Result<()> {
    // It is signed and public, so everybody may read the file.
    let mut aside = Aside::begin_with(path, 0o644)?;
    aside.file().write_all(&envelope.to_json())?;
    Ok(aside.put_in_place()?)
}

/// The document that is to be changed, if one of the given roots has signed it as it stands. Otherwise what somebody
/// else wrote into the file would be signed along with the change.
fn read_own(signing: &Signing) -> anyhow::Result<TrustDocument> {
    let (envelope, document) = envelope::trust(&signing.file)?;
    let roots: Vec<PublicKey> = signing
        .root
        .iter()
        .map(|path| Ok(signing_key(path)?.public()))
        .collect::<anyhow::Result<_>>()?;
    envelope.open_beside_others(TRUST_TYPE, &roots, 1).with_context(|| {
        format!(
            "{} is not as this root has signed it, so this root does not sign a change of it",
            signing.file.display()
        )
    })?;
    Ok(document)
}

fn show(file: &Path, root: Option<&Path>) -> anyhow::Result<()> {
    let (envelope, document) = envelope::trust(file)?;
    // Checked before it is shown, because an invalid document must not look like a valid one.
    if let Some(root) = root {
        Trust::open(&envelope, &Root::load(root)?, &document.agency, 0, Timestamp::now())
            .with_context(|| format!("{} does not hold", file.display()))?;
    }
    let TrustDocument { agency, version, issued, expires, .. } = &document;
    let end = expires.map_or("without end".into(), |end| format!("until {end}"));
    // Nobody may have signed it: its words must not look like lines of ours.
    let plain = |text: &str| ForeignText::shown(text, usize::MAX);
    println!("trust of {}, version {version}, issued {issued}, {end}", plain(agency));
    for key in &document.keys {
        let roles: Vec<String> = key.roles.iter().map(role).collect();
        let retired = match document.retired.contains(&key.public.id()) {
            true => " (retired: signs nothing new)",
            false => "",
        };
        let roles = plain(&roles.join(", "));
        println!("  {}  {}: {roles}{retired}", key.public.id(), plain(&key.name));
    }
    for id in &document.withdrawn {
        println!("  {id}  withdrawn");
    }
    let signers: Vec<_> = envelope.signers().map(KeyId::to_string).collect();
    match root {
        Some(root) => {
            let root = Root::load(root)?;
            println!("signed by {}", signers.join(", "));
            println!(
                "holds: {} of {} root keys must sign, {} have",
                root.needed,
                root.keys.len(),
                signers.len()
            );
        }
        None => println!(
            "it claims to be signed by {}, which was not checked: give --root with the root's public keys",
            signers.join(", ")
        ),
    }
    Ok(())
}

fn role(role: &Role) -> String {
    match role {
        Role::ListAuthor(list) => format!("authors list {list}"),
        Role::Policy => "signs policy".into(),
        Role::Command => "commands cars".into(),
        Role::Models => "signs models".into(),
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
            retired: Vec::new(),
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
