//! Durations as people write them: `200ms`, `1s`, `5m`, `24h`, `30d`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration in whole milliseconds, written as a number and a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

/// A text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: write a whole number and a unit, such as 200ms, 1s, 5m, 24h or 30d")]
pub struct ParseDurationError(String);

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale);
        match (number.parse::<u64>(), scale) {
            (Ok(number), Some(scale)) => number
                .checked_mul(scale)
                .map(|ms| Self(Duration::from_millis(ms)))
                .ok_or_else(|| ParseDurationError(text.to_owned())),
            _ => Err(ParseDurationError(text.to_owned())),
        }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, scale) = UNITS
            .into_iter()
            .find(|(_, scale)| ms >= *scale && ms % scale == 0)
            .unwrap_or(("ms", 1));
        write!(f, "{}{unit}", ms / scale)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::HumanDuration;

    #[test]
    fn reads_and_writes() {
        for (text, written) in [
            ("200ms", "200ms"),
            ("1000ms", "1s"),
            ("60s", "1m"),
            ("24h", "1d"),
            ("0s", "0ms"),
        ] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), written);
        }
        for text in ["", "5", "5 s", "s", "-1s", "1.5s", "99999999999999999d", "5y"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
    }
}
