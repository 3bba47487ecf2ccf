//! What the documentation says is so: its links lead somewhere, its commands exist, its examples run.

use caxton_tests::{Sandbox, root};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every page of Markdown that users read.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("examples/README.md")];
    let mut open = vec![root().join("docs")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    let parts = text.split("```").step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

/// A heading's anchor, as forges make it.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut links = 0;
    for page in pages() {
        let text = prose(&read(&page));
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap_or_default();
            if link.starts_with("http") {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(file)
            };
            let leads = target.exists()
                && (heading.is_empty()
                    || prose(&read(&target))
                        .lines()
                        .filter_map(|line| line.strip_prefix('#'))
                        .any(|line| anchor(line.trim_start_matches('#')) == heading));
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 100, "{links} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_can_be_found_from_the_index() {
    let index = read(&root().join("docs/README.md"));
    for page in std::fs::read_dir(root().join("docs")).expect("a folder") {
        let name = page.expect("an entry").file_name().to_string_lossy().into_owned();
        let is_other_page = name.ends_with(".md") && name != "README.md";
        assert!(
            !is_other_page || index.contains(&format!("({name})")),
            "docs/README.md does not name {name}"
        );
    }
}

#[test]
fn every_command_that_is_named_exists() {
    let sandbox = Sandbox::new();
    let help = sandbox.caxplan(&["--help"]).expect_code(0).stdout;
    let commands: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut named = BTreeSet::new();
    for page in pages() {
        for rest in read(&page).split("caxplan ").skip(1) {
            let word: String = rest
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            named.insert((page.clone(), word));
        }
    }
    // Words of prose behind the program's name are no commands; a word that ends code, or has an argument behind it, is.
    for (page, word) in named {
        let text = read(&page);
        let is_command = text.contains(&format!("`caxplan {word}`"))
            || text.contains(&format!("`caxplan {word} "))
            || text.contains(&format!("$ caxplan {word}"));
        assert!(
            !is_command || word.is_empty() || commands.contains(word.as_str()),
            "{} names `caxplan {word}`",
            page.display()
        );
    }
}

/// Every example is in the index, and each row's command ends as it says.
#[test]
fn the_examples_of_the_index_run() {
    let index = read(&root().join("examples/README.md"));
    let sandbox = Sandbox::new();
    for folder in ["examples", "plans"] {
        copy(&root().join(folder), &sandbox.path().join(folder));
    }
    let mut listed = BTreeSet::new();
    for row in index.lines().filter(|line| line.starts_with("| [")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [file, _, command, code] = cells.as_slice() else {
            panic!("a row of another form: {row}");
        };
        let file = file.split(['[', ']']).nth(1).expect("a link");
        listed.insert(file.to_owned());
        let command = command.trim_matches('`');
        if command.is_empty() {
            continue;
        }
        let words: Vec<&str> = command.split(' ').collect();
        eprintln!("caxplan {command}");
        sandbox
            .caxplan_with(&[("EXAMPLE_TOKEN", "a-long-token")], &words)
            .expect_code(code.parse().expect("an exit code"));
    }
    for folder in ["features", "plans", "schedules"] {
        for entry in std::fs::read_dir(root().join("examples").join(folder)).expect("a folder") {
            let name = entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned();
            assert!(
                !name.ends_with(".yaml") || listed.contains(&format!("{folder}/{name}")),
                "examples/README.md does not list {folder}/{name}"
            );
        }
    }
}

/// What the table of features points to is there.
#[test]
fn the_examples_of_the_features_are_there() {
    let table = read(&root().join("docs/features.md"));
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 60, "{} rows", rows.len());
    for row in rows {
        for word in row.split([' ', '`', '|', '#', ',']) {
            let is_file = word.starts_with("examples/") || word.starts_with("plans/");
            assert!(!is_file || root().join(word).exists(), "{word} is not there");
        }
    }
}

/// Copies a folder with what it holds.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}
