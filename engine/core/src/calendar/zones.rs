//! The time zones that come with the program.

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The zone of this name; UTC if a schedule names none. `None` if there is none of the name.
pub fn bundled_zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        None => Some(TimeZone::UTC),
        Some(name) => TimeZoneDatabase::bundled().get(name).ok(),
    }
}

/// The names of all zones.
pub fn zone_names() -> Vec<String> {
    TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.to_string())
        .collect()
}
