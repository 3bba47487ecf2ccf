//! Every example under `examples/features` runs as its first lines say.

use caxton_tests::Sandbox;
use std::path::{Path, PathBuf};

/// A file below `examples/features`, arguments, the exit code, and texts that must appear.
const EXAMPLES: &[(&str, &[&str], i32, &[&str])] = &[
    ("phases.yaml", &[], 0, &["stage has 1m", "finish/finish in"]),
    (
        "phases.yaml",
        &["-p", "break=true"],
        3,
        &["stage undone in", "Undone, in this order"],
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/features")
}

#[test]
fn every_example_runs_as_it_says() {
    for (file, arguments, code, texts) in EXAMPLES {
        let sandbox = Sandbox::new();
        let path = folder().join(file);
        let path = path.to_string_lossy();
        let mut all = vec!["run", path.as_ref()];
        all.extend_from_slice(arguments);
        let mut end = sandbox.caxplan(&all);
        assert_eq!(
            end.code, *code,
            "{file} {arguments:?}\n{}\n{}",
            end.stdout, end.stderr
        );
        let show = sandbox.caxplan(&["show", "--last"]);
        end.stdout.push_str(&show.stdout);
        for text in *texts {
            let said = format!("{}\n{}", end.stdout, end.stderr);
            assert!(
                said.contains(text),
                "{file} {arguments:?} does not say `{text}`:\n{said}"
            );
        }
    }
}

#[test]
fn every_example_is_in_the_table() {
    for entry in std::fs::read_dir(folder()).expect("the examples are there") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        let plan = name.ends_with(".yaml");
        assert!(
            !plan || EXAMPLES.iter().any(|(file, ..)| *file == name),
            "{name} is run by no test"
        );
    }
}
