//! `outrider provision pin`: a user's lines for a policy, with the PIN's hash in place of the PIN.

use std::collections::BTreeMap;
use std::io::BufRead as _;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::civil::Date;
use zeroize::Zeroizing;

use crate::pin::{LONGEST, PinHash, SHORTEST};
use crate::policy::{self, User, Who};
use crate::prompt;

/// Arguments of `outrider provision pin`.
#[derive(Debug, Args)]
#[command(
    about = "Write a user's lines for a policy, with the hash of a PIN that is typed twice",
    after_help = "The person types the PIN, and nobody else sees it. Put the printed lines into the draft of a policy; to reset a \
        PIN, replace the lines that the user had. A new user, a further role and another PIN take two \
        people's signatures (outrider policy sign).\n\n\
        Examples:\n  outrider provision pin --number 1234 --role officer --name 'J. Roy' --trained-until 2027-06-30\n  \
        outrider provision pin --number 77 --role officer --role supervisor >> draft.toml"
)]
pub(super) struct PinArgs {
    /// The person's number, with which they sign in.
    #[arg(long, value_name = "NUMBER")]
    number: String,
    /// A role that they may act in; may be given more than once.
    #[arg(long, value_enum, required = true)]
    role: Vec<Who>,
    /// Their name, shown beside the number.
    #[arg(long, default_value = "")]
    name: String,
    /// Last day on which their training is valid.
    #[arg(long, value_name = "DATE")]
    trained_until: Option<Date>,
    /// Read the PIN from standard input instead of asking for it twice at the terminal.
    #[arg(long)]
    pin_from_stdin: bool,
}

impl PinArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let pin = match self.pin_from_stdin {
            false => prompt::read_new_secret(&format!("PIN of {SHORTEST} to {LONGEST} digits"))?,
            true => {
                let mut line = Zeroizing::new(String::with_capacity(256));
                if std::io::stdin().lock().read_line(&mut line)? == 0 {
                    bail!("standard input ended before a PIN was given");
                }
                line
            }
        };
        let user = User {
            name: self.name,
            roles: self.role.into_iter().collect(),
            trained_until: self.trained_until,
            pin: PinHash::of(pin.trim())?,
        };
        println!("{}", lines(&self.number, user)?.trim_end());
        Ok(())
    }
}

/// A user as the draft of a policy has it.
fn lines(number: &str, user: User) -> anyhow::Result<String> {
    let users = BTreeMap::from([(number.trim().to_owned(), user)]);
    policy::check_people(&users).map_err(anyhow::Error::msg)?;
    let draft = BTreeMap::from([("rules", BTreeMap::from([("users", users)]))]);
    toml::to_string(&draft).context("a user in TOML")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Rules;

    #[test]
    fn lines_are_those_of_a_draft_and_hold_no_pin() {
        let user = User {
            name: "J. Roy".into(),
            roles: [Who::Supervisor, Who::Officer].into(),
            trained_until: Some("2027-06-30".parse().unwrap()),
            pin: PinHash::of("480213").unwrap(),
        };
        let text = lines("1234", user.clone()).unwrap();
        assert!(
            text.starts_with(
                "[rules.users.1234]\nname = \"J. Roy\"\nroles = [\"officer\", \"supervisor\"]"
            ),
            "{text}"
        );
        assert!(
            text.contains("trained_until = \"2027-06-30\"") && !text.contains("480213"),
            "{text}"
        );
        #[derive(serde::Deserialize)]
        struct Draft {
            rules: Rules,
        }
        let back: Draft = toml::from_str(&text).unwrap();
        assert_eq!(back.rules.users["1234"], user);
        let error = lines("a b", user).unwrap_err().to_string();
        assert!(error.contains("\"a b\" is no user's number"), "{error}");
    }
}
