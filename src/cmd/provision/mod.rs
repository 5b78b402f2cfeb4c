//! `outrider provision`: keys and who may use them.

use clap::{Args, Subcommand};

mod author;
mod car;
mod finish;
mod fleet;
mod list_key;
mod pin;
mod root;
mod take;
mod trust;

/// Arguments of `outrider provision`.
#[derive(Debug, Args)]
#[command(
    about = "Make, change and destroy keys: the root, authors, lists, this car; and users' PINs",
    after_help = "Examples, from nothing to a trust document:\n  \
        outrider provision root --out root.key --public root.pub.json\n  \
        outrider provision author-key --out stolen.author.key\n  \
        outrider provision list-key --out stolen.list.key\n  \
        outrider provision trust init --root root.key --file trust.json --agency opp\n  \
        outrider provision trust grant --root root.key --file trust.json --key 4f0c...e1 \
        --name \"stolen desk\" --list stolen"
)]
pub struct ProvisionArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fleet(fleet::FleetArgs),
    Take(take::TakeArgs),
    Device(car::DeviceArgs),
    Rotate(car::RotateArgs),
    Wipe(car::WipeArgs),
    FinishWipe(finish::FinishWipeArgs),
    #[command(name = "wipe-command")]
    Order(car::WipeCommandArgs),
    #[command(name = "send-command")]
    Send(car::SendCommandArgs),
    PinRoot(car::PinRootArgs),
    Root(root::RootArgs),
    AuthorKey(author::AuthorKeyArgs),
    ListKey(list_key::ListKeyArgs),
    Trust(trust::TrustArgs),
    Pin(pin::PinArgs),
}

impl ProvisionArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        crate::daemon::keep_memory_private();
        match self.command {
            Command::Fleet(args) => args.run(),
            Command::Take(args) => args.run(),
            Command::Device(args) => args.run(),
            Command::Rotate(args) => args.run(),
            Command::Wipe(args) => args.run(),
            Command::FinishWipe(args) => args.run(),
            Command::Order(args) => args.run(),
            Command::Send(args) => args.run(),
            Command::PinRoot(args) => args.run(),
            Command::Root(args) => args.run(),
            Command::AuthorKey(args) => args.run(),
            Command::ListKey(args) => args.run(),
            Command::Trust(args) => args.run(),
            Command::Pin(args) => args.run(),
        }
    }
}

/// The text of a file with a signing key.
fn signing_key_file(key: &crate::dsse::SigningKey, what: &str) -> zeroize::Zeroizing<String> {
    let public = key.public();
    let seed = key.seed_text();
    // Allocated once, because a text that grows leaves copies of the seed behind.
    let mut text = zeroize::Zeroizing::new(String::with_capacity(512));
    text.push_str(&format!("# {what}, Ed25519. Secret: for its holder alone.\n"));
    text.push_str(&format!("# public half: {public}\n# name: {}\n", public.id()));
    text.push_str(&seed);
    text.push('\n');
    text
}
