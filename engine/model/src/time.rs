//! Durations as users write them, and points in time as journals keep them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A length of time in whole milliseconds, written `250ms`, `30s`, `5m`, `24h`, `7d` or a sum such as `1h30m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration {
    millis: u64,
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDurationError {
    /// What is wrong, as a lower-case fragment.
    pub reason: String,
}

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; write a number and a unit, such as `250ms`, `30s`, `5m`, `24h`, `7d` or `1h30m`",
            self.reason
        )
    }
}

impl std::error::Error for ParseDurationError {}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self { millis: 0 };

    /// A duration of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// A duration of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self {
            millis: secs.saturating_mul(1000),
        }
    }

    /// The length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// The length as the standard library's type.
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }
}

impl std::str::FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason: String| Err(ParseDurationError { reason });
        let text = text.trim();
        if text.is_empty() {
            return fail("a duration is empty".to_owned());
        }
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let mut rest = text;
        let mut total: f64 = 0.0;
        let mut last_unit = f64::INFINITY;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .unwrap_or(rest.len());
            let Ok(number) = rest[..digits].parse::<f64>() else {
                return fail(format!("`{text}` is no duration"));
            };
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "ms" => 1.0,
                "s" | "sec" | "secs" => 1_000.0,
                "m" | "min" | "mins" => 60_000.0,
                "h" => 3_600_000.0,
                "d" => 86_400_000.0,
                "w" => 604_800_000.0,
                "" => return fail(format!("`{text}` has no unit")),
                other => return fail(format!("`{other}` is no unit of time")),
            };
            if unit >= last_unit {
                return fail(format!("the units of `{text}` do not go from large to small"));
            }
            last_unit = unit;
            rest = &rest[letters..];
            total += number * unit;
        }
        // 2^53 ms is 285,000 years: past it an f64 no longer counts single milliseconds.
        if total > 9_007_199_254_740_992.0 {
            return fail(format!("`{text}` is longer than 285,000 years"));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self {
            millis: total.round() as u64,
        })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.millis;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ] {
            let count = rest / millis;
            rest %= millis;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A length of time: a number and a unit (ms, s, m, h, d, w), or a sum such as 1h30m.",
            "pattern": r"^\s*(0|([0-9]+(\.[0-9]+)?(ms|s|sec|secs|m|min|mins|h|d|w))+)\s*$",
            "examples": ["30s", "5m", "1h30m"],
        })
    }
}

/// A point in time: milliseconds since 1970-01-01T00:00:00Z by the wall clock. The pure rooms are handed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The point `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis()))
    }

    /// The time from `earlier` to this point; zero if the clock was set back in between.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    fn check(text: &str, expected: Result<u64, &str>) {
        let parsed = text
            .parse::<Duration>()
            .map(Duration::as_millis)
            .map_err(|error| error.reason);
        assert_eq!(parsed, expected.map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn durations_are_read_as_written() {
        check("250ms", Ok(250));
        check("1.5s", Ok(1_500));
        check("5m", Ok(300_000));
        check("24h", Ok(86_400_000));
        check("1h30m", Ok(5_400_000));
        check("30d", Ok(2_592_000_000));
        check("0", Ok(0));
        check("", Err("a duration is empty"));
        check("5", Err("`5` has no unit"));
        check("5 parsecs", Err("`5 parsecs` has no unit"));
        check("5parsecs", Err("`parsecs` is no unit of time"));
        check("30m1h", Err("the units of `30m1h` do not go from large to small"));
        check("-5s", Err("`-5s` is no duration"));
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["0s", "250ms", "1s500ms", "1h30m", "1d", "30d"] {
            assert_eq!(text.parse::<Duration>().expect("valid").to_string(), text);
        }
    }
}
