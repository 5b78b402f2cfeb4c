//! `outrider login` and `outrider logout`: whoever types commands proves who they are.

use std::io::{BufRead as _, Write as _};

use anyhow::bail;
use clap::Args;
use zeroize::Zeroizing;

use super::signed;
use super::which_car::WhichCar;
use crate::prompt;
use crate::sessions::{LOGIN, LOGOUT, Login, SHOW, View};

/// Sign in with officer number and PIN, for the commands that follow in this account.
#[derive(Debug, Args)]
#[command(
    after_help = "Look-ups, dispositions, hotplates, holds, evidence and confirmed lists need a person who is signed in. The \
        session ends with the shift, with `outrider logout` and when the daemon restarts, and asks for the PIN \
        again after some time without an entry. The agency's signed policy says who may sign in.\n\n\
        Examples:\n  outrider login --number 1234\n  outrider login --show\n  outrider logout"
)]
pub struct LoginArgs {
    /// The officer's number; if it is left out, the command asks for it.
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    /// Read the PIN from standard input instead of asking for it at the terminal.
    #[arg(long)]
    pin_from_stdin: bool,
    /// Only show who is signed in.
    #[arg(long, conflicts_with_all = ["number", "pin_from_stdin"])]
    show: bool,
    #[command(flatten)]
    car: WhichCar,
}

/// Sign out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  outrider logout\n  outrider logout --state /var/lib/outrider")]
pub struct LogoutArgs {
    #[command(flatten)]
    car: WhichCar,
}

impl LoginArgs {
    /// Signs in, and keeps the session.
    pub fn run(self) -> anyhow::Result<()> {
        crate::daemon::keep_memory_private();
        let state = self.car.state()?;
        if self.show {
            let view: View = signed::ask_daemon(&state, SHOW, &())?;
            println!("{}", words(&view));
            return Ok(());
        }
        let number = match self.number {
            Some(number) => number,
            None => {
                write!(std::io::stderr(), "Officer number: ")?;
                line()?.to_string()
            }
        };
        let pin = match self.pin_from_stdin {
            true => line()?,
            false => prompt::read_secret("PIN")?,
        };
        let asked = Login { number, pin: pin.trim().to_owned() };
        let (token, view): (String, View) = signed::ask_daemon(&state, LOGIN, &asked)?;
        signed::keep(&state, &token)?;
        println!("{}", words(&view));
        Ok(())
    }
}

impl LogoutArgs {
    /// Ends the session.
    pub fn run(self) -> anyhow::Result<()> {
        let state = self.car.state()?;
        let done = signed::ask_daemon::<_, ()>(&state, LOGOUT, &());
        // Whatever the daemon says: here nobody is signed in any more.
        signed::forget(&state);
        done?;
        println!("signed out");
        Ok(())
    }
}

fn line() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(256));
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("standard input ended before anything was given");
    }
    Ok(Zeroizing::new(line.trim().to_owned()))
}

fn words(view: &View) -> String {
    let Some(who) = &view.who else {
        return match view.users {
            true => "nobody is signed in here".into(),
            false => "nobody can sign in: no policy with users is in force in this car".into(),
        };
    };
    let roles: Vec<_> = who.roles.iter().map(|role| role.word()).collect();
    let name = if who.name.is_empty() { String::new() } else { format!(" ({})", who.name) };
    let locked = if who.locked { ", LOCKED: sign in again" } else { "" };
    let until = who.trained_until.map_or(String::new(), |day| format!(", trained until {day}"));
    let (hours, minutes) = (who.shift_s / 3600, who.shift_s / 60 % 60);
    format!(
        "signed in as {}{name}, {}{until}; the shift ends in {hours} h {minutes} min{locked}",
        who.number,
        roles.join(", ")
    )
}
