//! Every `--help` ends with examples, and each of them is a command line that this program takes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use clap::{Command, CommandFactory as _, Parser as _};
use outrider::cmd::Cli;

/// Splits a line as a shell does: blanks, quotes of both kinds, backslashes outside of single ones.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => word.extend(characters.next()),
            ('\'' | '"', None) => (quote, open) = (Some(c), true),
            (' ', None) => {
                if open || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                open = false;
            }
            _ => word.push(c),
        }
    }
    if open || !word.is_empty() {
        all.push(word);
    }
    assert_eq!(quote, None, "a quote stays open: {line}");
    all
}

/// The runs of our program in a line: what stands before and behind pipes and redirections is not ours.
fn ours(line: &str) -> Vec<Vec<String>> {
    let mut runs = vec![Vec::new()];
    let mut all = words(line).into_iter();
    while let Some(word) = all.next() {
        match word.as_str() {
            "|" | "&&" => runs.push(Vec::new()),
            ">" | ">>" | "<" => _ = all.next(),
            _ => runs.last_mut().unwrap().push(word),
        }
    }
    runs.retain(|run| run.first().is_some_and(|program| program == "outrider"));
    runs
}

/// Every command that a person can ask for help, with the way to it.
fn all(command: &Command, way: &[String], found: &mut Vec<(Vec<String>, Command)>) {
    found.push((way.to_vec(), command.clone()));
    for inner in command.get_subcommands() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            let way = [way, &[inner.get_name().to_owned()]].concat();
            all(inner, &way, found);
        }
    }
}

#[test]
fn every_help_ends_with_examples_that_this_program_takes() {
    let mut commands = Vec::new();
    all(&Cli::command(), &["outrider".to_owned()], &mut commands);
    assert!(commands.len() > 40, "{} commands", commands.len());
    let mut wrong = Vec::new();
    for (way, command) in commands {
        let way = way.join(" ");
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let last = help.split("\n\n").last().unwrap_or_default();
        if !last.starts_with("Example") {
            wrong.push(format!("{way}: its help does not end with examples"));
            continue;
        }
        let lines: Vec<_> = last.lines().skip(1).map(str::trim).collect();
        let runs: Vec<_> = lines.iter().flat_map(|line| ours(line)).collect();
        if !runs.iter().any(|run| run.join(" ").starts_with(&way)) {
            wrong.push(format!("{way}: none of its examples is of it"));
        }
        for run in runs {
            if let Err(e) = Cli::try_parse_from(&run) {
                wrong.push(format!("{way}: `{}`: {}", run.join(" "), e.to_string().trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A help is wrapped at a hundred columns: a longer line that is broken by hand as well leaves a word alone.
#[test]
fn no_line_of_a_help_is_wrapped_and_broken_by_hand_too() {
    let mut commands = Vec::new();
    all(&Cli::command(), &["outrider".to_owned()], &mut commands);
    let mut wrong = Vec::new();
    for (way, command) in commands {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<_> = help.lines().collect();
        let goes_on = |next: &str| next.starts_with(|c: char| c.is_lowercase());
        let broken = |two: &&[&str]| two[0].chars().count() > 100 && goes_on(two[1]);
        let said = |two: &[&str]| format!("{}: {}", way.join(" "), two[0]);
        wrong.extend(lines.windows(2).filter(broken).map(said));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whoever_takes_a_state_folder_takes_a_configuration_too() {
    let mut commands = Vec::new();
    all(&Cli::command(), &["outrider".to_owned()], &mut commands);
    let takes =
        |command: &Command, name| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    let mut with_state = 0;
    for (way, command) in commands {
        if takes(&command, "state") {
            with_state += 1;
            assert!(takes(&command, "config"), "{}: --config", way.join(" "));
        }
    }
    assert!(with_state >= 5);
}

#[test]
fn lines_are_split_as_a_shell_splits_them() {
    let run = ours("echo ABC | outrider a 'b c' \"d \\\"e\\\"\" '' > file && outrider f | jq .");
    assert_eq!(run, [vec!["outrider", "a", "b c", "d \"e\"", ""], vec!["outrider", "f"]]);
}
