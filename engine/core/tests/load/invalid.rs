//! Plans with mistakes, and what is said about each.
//!
//! The first line of a fixture may say what to load it with: `# with: --use lib/x.yaml --inventory y.yaml -p a=b --entry c`.

use crate::{With, fixtures, load_file};
use caxplan_core::load::{LoadRequest, NO_ACTIONS, ReadError, load};
use caxplan_model::{Map, Value};
use std::fs;
use std::path::Path;

/// Reads the `# with:` line of a fixture.
fn with_line(text: &str) -> With<'_> {
    let mut with = With::default();
    let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("# with:")) else {
        return with;
    };
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        match word {
            "--use" => with.libraries.push(value),
            "--inventory" => with.inventory = Some(value),
            "--entry" => with.entry = Some(value),
            "-p" => {
                let (name, value) = value.split_once('=').expect("-p name=value");
                with.params
                    .insert(name.to_owned(), Value::String(value.to_owned()));
            }
            other => panic!("`{other}` in the first line of a fixture"),
        }
    }
    with
}

/// Compares what is said about a fixture with the file beside it; a file that is not there is empty.
fn compare(folder: &str, name: &str, said: &str) -> Result<(), String> {
    let expected_path = fixtures().join(folder).join(name).with_extension("stderr");
    if std::env::var_os("UPDATE").is_some() {
        let written = if said.is_empty() {
            fs::remove_file(&expected_path).or(Ok(()))
        } else {
            fs::write(&expected_path, said)
        };
        return written.map_err(|error: std::io::Error| error.to_string());
    }
    let expected = fs::read_to_string(&expected_path).unwrap_or_default();
    if expected == said {
        Ok(())
    } else {
        Err(format!("--- {name}, expected:\n{expected}\n--- said:\n{said}\n"))
    }
}

fn each_fixture(folder: &str, check: impl Fn(&str, &str) -> Result<(), String>) -> usize {
    let mut names: Vec<String> = fs::read_dir(fixtures().join(folder))
        .expect("the fixtures are there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    names.sort();
    let failures: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let text = fs::read_to_string(fixtures().join(folder).join(name)).expect("a fixture is text");
            check(name, &text).err()
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    names.len()
}

#[test]
fn mistakes_are_explained() {
    let count = each_fixture("invalid", |name, text| {
        match load_file("invalid", name, &with_line(text)) {
            Err(wrong) => compare("invalid", name, &wrong.render(false)),
            Ok(_) => Err(format!("--- {name} loads, and must not\n")),
        }
    });
    assert!(count >= 150, "only {count} fixtures");
}

#[test]
fn good_plans_load_with_the_warnings_beside_them() {
    each_fixture("valid", |name, text| {
        let mut with = with_line(text);
        if name == "upgrade_strategy.yaml" {
            // It stands there character for character, without a line of ours.
            with.libraries.push("lib/cluster.yaml");
            with.inventory = Some("lib/nodes.yaml");
        }
        match load_file("valid", name, &with) {
            Ok(loaded) => compare("valid", name, &loaded.warnings.render(false)),
            Err(wrong) => Err(format!("--- {name} must load:\n{}", wrong.render(false))),
        }
    });
}

#[test]
fn huge_and_unreadable_files_are_refused() {
    let huge = format!("# {}\nphases: []", "x".repeat(17 * 1024 * 1024));
    let many = format!("phases: [{}]", "{name: p, stepz: []}, ".repeat(20_000));
    for (text, expected) in [
        (Ok(huge), "error[too-large]: `plan.yaml` is larger than 16 MiB"),
        (Ok(many), "error[missing-key]"),
        (Ok("\u{feff}".to_owned()), "error[empty-file]"),
        (
            Ok("- a\n- b".to_owned()),
            "error[wrong-type]: expected a plan as a mapping, found a list",
        ),
        (
            Err(ReadError {
                message: "it is a folder".to_owned(),
            }),
            "error[unreadable]: cannot read `plan.yaml`: it is a folder",
        ),
    ] {
        let request = LoadRequest {
            plan: "plan.yaml",
            entry: None,
            libraries: &[],
            inventory: None,
            params: &Map::new(),
            actions: &NO_ACTIONS,
            limit: &[],
            discover: None,
        };
        let wrong = load(&request, &mut |_| text.clone()).expect_err("it must not load");
        assert!(wrong.items.len() <= 500, "{}", wrong.items.len());
        let said = wrong.render(false);
        assert!(said.starts_with(expected), "{said}");
    }
}
