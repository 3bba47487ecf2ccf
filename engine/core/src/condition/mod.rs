//! Conditions: the one small grammar of `when`, `expect`, `checks` and `done_when`.
//!
//! ```text
//! condition  = all { "or" all }            all  = term { "and" term }
//! term       = "not" term | "(" condition ")" | side [ ("<"|"<="|">"|">="|"=="|"!="|["not"] "in") side ]
//! side       = path | number | duration | percentage | size | 'text' | true | false | null | "[" side, … "]"
//! ```
//!
//! # Units
//!
//! * A **duration** (`100ms`, `1h30m`), a **percentage** (`80%`) and a **size** (`2GiB`, `10MB`) compare with their own
//!   kind only. Where both kinds are known when a plan loads, a mismatch is a load error.
//! * A plain number compares with each of them: with a duration it is taken in the unit that its field is named by
//!   (`_us`, `_ms`, `_s`, `_seconds`), in milliseconds if the name says none; with a percentage it is a number of
//!   percent; with a size it is a number of bytes.
//! * A path that is not there is completed by one of the endings `_ms`, `_us`, `_s`, `_seconds`, `_percent`, `_bytes`:
//!   `error_rate` finds `error_rate_percent`, and `p99_latency` finds `p99_latency_ms`.
//! * A text that is written as a duration, a percentage or a size (a parameter `5m`) is compared as what it says with a
//!   number or a literal that has a unit. Texts are ordered only as versions: `'1.9.0' < '1.10.0'`.
//! * A bare path is a flag: true, false, or a number that is not zero.

mod evaluate;
mod parse;
mod unit;

pub use evaluate::{Verdict, evaluate};
pub(crate) use parse::parse;
pub(crate) use unit::{parse_size, parse_version};
