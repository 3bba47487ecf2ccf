//! Whatever a file holds, loading it ends in a plan or in diagnostics that can be shown.

use crate::{actions::actions, fixtures};
use caxplan_core::load::{LoadRequest, ReadError, load};
use caxplan_model::Map;
use proptest::prelude::*;
use std::fs;

/// Pieces that mean something, to be put where they do not belong.
const PIECES: &[&str] = &[
    ":",
    "- ",
    "\n",
    "  ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "{{",
    "}}",
    "{% for %}",
    "&a ",
    "*a",
    "|\n",
    "!t ",
    "---\n",
    "ü",
    "😀",
    "when: ",
    "steps: ",
    "foreach: ",
    "null",
    "-1",
    "99999999999999999999",
    "0x",
    "\r\n",
    "\u{feff}",
    "#",
    ",",
    "%",
    "steps.",
    "<",
];

#[derive(Clone, Debug)]
struct Cut {
    /// Where, as a part of the text's length.
    at: f64,
    removed: usize,
    piece: usize,
}

fn cut() -> impl Strategy<Value = Cut> {
    (0.0..1.0_f64, 0_usize..40, 0..PIECES.len()).prop_map(|(at, removed, piece)| Cut { at, removed, piece })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
fn mangle(text: &str, cuts: &[Cut]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for cut in cuts {
        let at = (text.len() as f64 * cut.at) as usize;
        let end = (at + cut.removed).min(text.len());
        text.splice(at..end, PIECES[cut.piece].chars());
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mangled_files_do_not_break_the_loader(
        which in 0..3_usize,
        cuts in prop::collection::vec(cut(), 1..4),
    ) {
        let root = fixtures().join("valid");
        let mangled = ["every_form.yaml", "lib/cluster.yaml", "lib/nodes.yaml"][which];
        let mut params = Map::new();
        params.insert("token".to_owned(), "hush".into());
        let request = LoadRequest {
            plan: "every_form.yaml",
            entry: None,
            libraries: &["lib/cluster.yaml".to_owned()],
            inventory: Some("lib/nodes.yaml"),
            params: &params,
            actions: &actions(),
            limit: &[],
            discover: None,
        };
        let loaded = load(&request, &mut |path| {
            let text = fs::read_to_string(root.join(path)).map_err(|error| ReadError { message: error.to_string() })?;
            Ok(if path == mangled { mangle(&text, &cuts) } else { text })
        });
        match loaded {
            Ok(loaded) => {
                prop_assert!(!loaded.warnings.has_errors());
                loaded.graph.digest();
            }
            Err(wrong) => {
                prop_assert!(wrong.has_errors());
                prop_assert!(wrong.render(false).ends_with('\n'));
            }
        }
    }
}
