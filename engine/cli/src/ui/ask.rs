//! Asking a person at a terminal, line by line: it works on a serial console too, and leaves no terminal in a strange
//! mode behind, however the program ends.

use super::say;
use crate::failure::{Answer, Failure};
use caxplan_core::load::MissingParam;
use caxplan_model::Answer as Said;
use caxplan_run::{Interview, Person, Question, QuestionKind, Reply};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use std::io::{IsTerminal as _, Read as _};
use std::sync::{Mutex, PoisonError};

/// Whether somebody is there: what is asked is seen, and what is typed is read. Never in a job of cron, or in a pipe.
pub(crate) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The prompt that waits for a line, so that what else is said can be put above it.
static PROMPT: Mutex<String> = Mutex::new(String::new());

/// The prompt that is open; empty if none is.
pub(super) fn open_prompt() -> String {
    PROMPT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A person who answers a run's questions, if one is there. They are asked on a thread of its own, so that the run goes
/// on meanwhile; it ends with the program.
pub(crate) fn person() -> Option<Person> {
    if !is_possible() {
        return None;
    }
    let (person, interview) = Person::new(caxplan_run::user());
    std::thread::spawn(move || converse(&interview));
    Some(person)
}

fn converse(interview: &Interview) {
    while let Ok(question) = interview.questions.recv() {
        let reply = Reply {
            node: question.node,
            answer: ask(&question),
        };
        if interview.replies.send(reply).is_err() {
            return;
        }
    }
}

/// `None` if the person does not want to say now.
fn ask(question: &Question) -> Option<Said> {
    let step = &question.step;
    match &question.about {
        QuestionKind::Approval(text) => {
            say(&format!("\n? {step}: {text}\n"));
            match choose("  [y]es, [n]o, or [l]ater: ", &["yes", "no", "later"])? {
                "yes" => Some(Said::Approved),
                "no" => Some(Said::Rejected {
                    reason: line("  why not? ")?.trim().to_owned(),
                }),
                _ => None,
            }
        }
        QuestionKind::Checklist(items) => {
            say(&format!("\n? {step}: confirm each line\n"));
            for (number, item) in (1..).zip(items) {
                let prompt = format!("  {number}/{} {item} [y]es, [n]o, or [l]ater: ", items.len());
                match choose(&prompt, &["yes", "no", "later"])? {
                    "yes" => {}
                    "no" => {
                        let reason = format!("not so: {item}");
                        return Some(Said::Rejected { reason });
                    }
                    _ => return None,
                }
            }
            Some(Said::Approved)
        }
        QuestionKind::InDoubt(why) => {
            say(&format!(
                "\n? {step} may or may not have done its work ({why}). Look at what it acts on, then say:\n"
            ));
            let words = ["done", "run again", "failed", "later"];
            match choose("  [d]one, [r]un again, [f]ailed, or [l]ater: ", &words)? {
                "done" => Some(Said::AssumeDone),
                "run again" => Some(Said::Rerun),
                "failed" => Some(Said::Fail),
                _ => None,
            }
        }
    }
}

/// Asks until the answer is one of the words, or its first letter. `None` at the end of input.
fn choose<'a>(prompt: &str, words: &[&'a str]) -> Option<&'a str> {
    loop {
        let typed = line(prompt)?.trim().to_lowercase();
        let meant = words.iter().find(|word| {
            !typed.is_empty() && (**word == typed || (typed.len() == 1 && word.starts_with(&typed)))
        });
        if let Some(word) = meant {
            return Some(word);
        }
    }
}

/// One line. `None` at the end of input.
fn line(prompt: &str) -> Option<String> {
    let set = |text: &str| text.clone_into(&mut PROMPT.lock().unwrap_or_else(PoisonError::into_inner));
    set(prompt);
    say(prompt);
    let mut text = String::new();
    let read = std::io::stdin().read_line(&mut text);
    set("");
    match read {
        Ok(0) | Err(_) => {
            say("\n");
            None
        }
        Ok(_) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

/// Asks a question that is answered by yes or no. The end of input is no.
pub(crate) fn yes_or_no(question: &str) -> bool {
    choose(&format!("? {question} [y]es or [n]o: "), &["yes", "no"]) == Some("yes")
}

/// Asks for the value of a parameter until it is one that fits.
pub(crate) fn param(missing: &MissingParam) -> Answer<String> {
    let nothing = || Failure::invalid(format!("the parameter `{}` has no value", missing.name()));
    let about = missing
        .description()
        .map(|text| format!(": {text}"))
        .unwrap_or_default();
    say(&format!("? {} ({}){about}\n", missing.name(), missing.kind()));
    if !missing.values().is_empty() {
        let plain =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let words: Vec<String> = missing.values().iter().map(plain).collect();
        say(&format!("  one of {}\n", words.join(", ")));
    }
    loop {
        let text = if missing.is_secret() {
            secret("  value (not shown): ")?
        } else {
            line("  value: ")
        };
        let text = text.ok_or_else(nothing)?;
        match missing.check(&text) {
            Ok(()) => return Ok(text),
            Err(why) => say(&format!("  {why}\n")),
        }
    }
}

/// Asks for the value of a secret parameter of a run, which is nowhere in its records.
pub(crate) fn secret_param(name: &str) -> Answer<String> {
    say(&format!("? {name} (secret; the run does not keep its value)\n"));
    secret("  value (not shown): ")?
        .ok_or_else(|| Failure::invalid(format!("the parameter `{name}` has no value")))
}

/// One line that is not shown. The terminal is as before when this returns: an interrupt is taken as a key, for one that
/// ended the program would leave a terminal that shows nothing.
fn secret(prompt: &str) -> Answer<Option<String>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const ERASE: [u8; 2] = [8, 127];
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(std::io::Error::from)?;
    let mut silent = before.clone();
    silent
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    say(prompt);
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(std::io::Error::from)?;
    let mut bytes = Vec::new();
    let mut input = stdin.lock();
    let read = loop {
        let mut byte = [0];
        match input.read(&mut byte) {
            Ok(0) => break Ok(false),
            Ok(_) => match byte[0] {
                b'\r' | b'\n' => break Ok(true),
                INTERRUPT => break Err(Failure::interrupted()),
                END if bytes.is_empty() => break Ok(false),
                key if ERASE.contains(&key) => {
                    bytes.pop();
                }
                key => bytes.push(key),
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error.into()),
        }
    };
    drop(input);
    tcsetattr(&stdin, OptionalActions::Now, &before).map_err(std::io::Error::from)?;
    say("\n");
    Ok(read?.then(|| String::from_utf8_lossy(&bytes).into_owned()))
}
