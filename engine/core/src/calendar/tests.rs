//! Times that are known, by hand and from the published tables of the zones.

use super::{
    Busy, Calendar, Cron, Decision, Effect, Occurrence, Passed, bundled_zone, decide, to_jiff, zone_names,
};
use caxplan_model::{Duration, Misfire, Overlap, Schedule, Timestamp};

fn calendar(zone: &str, cron: &str, jitter: &str) -> Calendar {
    let schedule = Schedule {
        jitter: jitter.parse().expect("a duration"),
        ..Schedule::new(cron)
    };
    let zone = bundled_zone(Some(zone)).expect("a zone");
    Calendar::new(&schedule, zone, "host\0/plans/a.yaml").expect("a right expression")
}

/// `2026-03-29T01:00Z`, or without seconds in any zone.
fn instant(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().expect("a time");
    Timestamp(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

fn local(calendar: &Calendar, occurrence: &Occurrence) -> String {
    let zoned = to_jiff(occurrence.due)
        .expect("in range")
        .to_zoned(calendar.zone().clone());
    let effect = match occurrence.effect {
        None => String::new(),
        Some(Effect::LeptOver(civil)) => format!(" for {}", civil.strftime("%H:%M")),
        Some(Effect::OnlyFirst) => " only first".to_owned(),
        Some(Effect::First) => " first".to_owned(),
        Some(Effect::Second) => " second".to_owned(),
    };
    format!("{}{effect}", zoned.strftime("%d %H:%M:%S %:z"))
}

/// What comes after `from`, one per line: day, time and distance to UTC.
#[track_caller]
fn check(zone: &str, cron: &str, from: &str, expected: &[&str]) {
    let calendar = calendar(zone, cron, "0");
    let mut at = instant(from);
    let mut found = Vec::new();
    for _ in expected {
        let next = calendar.after(at).expect("it goes on");
        assert!(next.due > at, "{cron}: time goes forward");
        at = next.due;
        found.push(local(&calendar, &next));
    }
    assert_eq!(found, expected, "{cron} in {zone}");
}

#[test]
fn days_without_a_change_are_plain() {
    let from = "2026-11-27T12:00:00Z";
    check(
        "UTC",
        "30 2 * * *",
        from,
        &["28 02:30:00 +00:00", "29 02:30:00 +00:00"],
    );
    check(
        "Asia/Kolkata",
        "30 2 * * *",
        from,
        &["28 02:30:00 +05:30", "29 02:30:00 +05:30"],
    );
    check(
        "UTC",
        "*/20 * * * *",
        from,
        &["27 12:20:00 +00:00", "27 12:40:00 +00:00", "27 13:00:00 +00:00"],
    );
    check(
        "UTC",
        "*/30 * * * * *",
        from,
        &["27 12:00:30 +00:00", "27 12:01:00 +00:00"],
    );
    check("UTC", "0 0 9 * * *", from, &["28 09:00:00 +00:00"]);
    check(
        "UTC",
        "0 9 * * MON-FRI",
        from,
        &["30 09:00:00 +00:00", "01 09:00:00 +00:00"],
    );
    check("UTC", "0 9 * * sun", from, &["29 09:00:00 +00:00"]);
    check("UTC", "0 9 * * 7", from, &["29 09:00:00 +00:00"]);
    check(
        "UTC",
        "0 9 * * FRI#L",
        from,
        &["25 09:00:00 +00:00", "29 09:00:00 +00:00"],
    );
    check("UTC", "0 9 * * TUE#2", from, &["08 09:00:00 +00:00"]);
    check(
        "UTC",
        "0 9 L * *",
        from,
        &[
            "30 09:00:00 +00:00",
            "31 09:00:00 +00:00",
            "31 09:00:00 +00:00",
            "28 09:00:00 +00:00",
        ],
    );
    check("UTC", "0 9 15W * *", from, &["15 09:00:00 +00:00"]);
    // Either day matches if both are named, as in crontab; `+` asks for both.
    check(
        "UTC",
        "0 9 1 * MON",
        from,
        &["30 09:00:00 +00:00", "01 09:00:00 +00:00", "07 09:00:00 +00:00"],
    );
    check(
        "UTC",
        "0 9 13 * +FRI",
        "2026-01-01T00:00:00Z",
        &["13 09:00:00 +00:00", "13 09:00:00 +00:00"],
    );
    check("UTC", "@daily", from, &["28 00:00:00 +00:00"]);
    check("UTC", "@monthly", from, &["01 00:00:00 +00:00"]);
}

#[test]
fn the_29th_of_february_comes_in_leap_years() {
    let calendar = calendar("Europe/Berlin", "0 6 29 2 *", "0");
    let mut at = instant("2026-01-01T00:00:00Z");
    for year in ["2028-02-29T05:00:00Z", "2032-02-29T05:00:00Z"] {
        at = calendar.after(at).expect("it comes").due;
        assert_eq!(at, instant(year));
    }
    let century = calendar
        .after(instant("2097-01-01T00:00:00Z"))
        .expect("it comes")
        .due;
    assert_eq!(century, instant("2104-02-29T05:00:00Z"), "2100 is no leap year");
}

/// argo-workflows#13365, #2328, dagu#1180: a time in the hour that is left out ran never, or twice.
#[test]
fn a_named_time_that_the_clocks_leap_over_comes_once_right_after() {
    let berlin = "2026-03-28T12:00:00Z";
    check(
        "Europe/Berlin",
        "30 2 * * *",
        berlin,
        &["29 03:00:00 +02:00 for 02:30", "30 02:30:00 +02:00"],
    );
    check(
        "Europe/Berlin",
        "0 2 * * *",
        berlin,
        &["29 03:00:00 +02:00 for 02:00", "30 02:00:00 +02:00"],
    );
    check(
        "Europe/Berlin",
        "0 3 * * *",
        berlin,
        &["29 03:00:00 +02:00", "30 03:00:00 +02:00"],
    );
    // Both the 2:00 that was lept over and 3:00 fall on one instant, which counts once.
    check(
        "Europe/Berlin",
        "0 2,3 * * *",
        berlin,
        &["29 03:00:00 +02:00 for 02:00", "30 02:00:00 +02:00"],
    );
    check(
        "Europe/Berlin",
        "*/20 2 * * *",
        berlin,
        &[
            "29 03:00:00 +02:00 for 02:00",
            "30 02:00:00 +02:00",
            "30 02:20:00 +02:00",
        ],
    );
    check(
        "America/New_York",
        "30 2 * * *",
        "2026-03-07T12:00:00Z",
        &["08 03:00:00 -04:00 for 02:30", "09 02:30:00 -04:00"],
    );
    check(
        "Australia/Lord_Howe",
        "15 2 * * *",
        "2026-10-03T12:00:00Z",
        &["04 02:30:00 +11:00 for 02:15", "05 02:15:00 +11:00"],
    );
    check(
        "Australia/Lord_Howe",
        "45 2 * * *",
        "2026-10-03T12:00:00Z",
        &["04 02:45:00 +11:00"],
    );
    // There, midnight itself was left out.
    check(
        "America/Sao_Paulo",
        "@daily",
        "2018-11-03T12:00:00Z",
        &["04 01:00:00 -02:00 for 00:00", "05 00:00:00 -02:00"],
    );
    check(
        "America/Sao_Paulo",
        "@daily",
        "2026-11-03T12:00:00Z",
        &["04 00:00:00 -03:00", "05 00:00:00 -03:00"],
    );
    // A day that was left out whole.
    check(
        "Pacific/Apia",
        "0 6 30 12 *",
        "2011-12-01T00:00:00Z",
        &["31 00:00:00 +14:00 for 06:00"],
    );
}

#[test]
fn a_named_time_that_the_clocks_show_twice_comes_the_first_time() {
    let berlin = "2026-10-24T12:00:00Z";
    check(
        "Europe/Berlin",
        "30 2 * * *",
        berlin,
        &["25 02:30:00 +02:00 only first", "26 02:30:00 +01:00"],
    );
    check(
        "Europe/Berlin",
        "0 3 * * *",
        berlin,
        &["25 03:00:00 +01:00", "26 03:00:00 +01:00"],
    );
    // Who looks in the second of the two hours does not find it again.
    check(
        "Europe/Berlin",
        "30 2 * * *",
        "2026-10-25T01:10:00Z",
        &["26 02:30:00 +01:00"],
    );
    check(
        "America/New_York",
        "30 1 * * *",
        "2026-10-31T12:00:00Z",
        &["01 01:30:00 -04:00 only first", "02 01:30:00 -05:00"],
    );
    check(
        "Australia/Lord_Howe",
        "45 1 * * *",
        "2026-04-04T12:00:00Z",
        &["05 01:45:00 +11:00 only first", "06 01:45:00 +10:30"],
    );
    check(
        "America/Sao_Paulo",
        "30 23 * * *",
        "2019-02-16T12:00:00Z",
        &["16 23:30:00 -02:00 only first", "17 23:30:00 -03:00"],
    );
}

#[test]
fn a_rhythm_goes_with_the_clocks() {
    check(
        "Europe/Berlin",
        "30 * * * *",
        "2026-03-29T00:00:00Z",
        &["29 01:30:00 +01:00", "29 03:30:00 +02:00", "29 04:30:00 +02:00"],
    );
    check(
        "Europe/Berlin",
        "30 * * * *",
        "2026-10-24T23:00:00Z",
        &[
            "25 01:30:00 +02:00",
            "25 02:30:00 +02:00 first",
            "25 02:30:00 +01:00 second",
            "25 03:30:00 +01:00",
        ],
    );
    check(
        "Europe/Berlin",
        "0 */2 * * *",
        "2026-03-28T23:30:00Z",
        &["29 04:00:00 +02:00", "29 06:00:00 +02:00"],
    );
    check(
        "Europe/Berlin",
        "0 0-23 * * *",
        "2026-10-24T23:30:00Z",
        &[
            "25 02:00:00 +02:00 first",
            "25 02:00:00 +01:00 second",
            "25 03:00:00 +01:00",
        ],
    );
    check(
        "Australia/Lord_Howe",
        "*/15 * * * *",
        "2026-04-04T14:25:00Z",
        &[
            "05 01:30:00 +11:00 first",
            "05 01:45:00 +11:00 first",
            "05 01:30:00 +10:30 second",
            "05 01:45:00 +10:30 second",
            "05 02:00:00 +10:30",
        ],
    );
    check(
        "Australia/Lord_Howe",
        "*/15 * * * *",
        "2026-10-03T15:10:00Z",
        &["04 01:45:00 +10:30", "04 02:30:00 +11:00", "04 02:45:00 +11:00"],
    );
}

/// Whatever the time at which somebody looks: the same times come, in order, none twice.
#[test]
fn the_times_do_not_depend_on_when_one_looks() {
    for zone in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Asia/Kolkata",
        "UTC",
    ] {
        for cron in [
            "30 2 * * *",
            "*/17 * * * *",
            "15 1-3 * * *",
            "0 */2 * * *",
            "45 23 * * *",
        ] {
            let calendar = calendar(zone, cron, "7m");
            let (from, to) = (instant("2018-10-28T00:00:00Z"), instant("2018-11-05T00:00:00Z"));
            let mut walked = Vec::new();
            let mut at = from;
            while let Some(next) = calendar.after(at).filter(|next| next.due < to) {
                at = next.due;
                walked.push(next);
            }
            assert!(walked.len() > 6, "{cron} in {zone}: {walked:?}");
            assert!(
                walked.is_sorted_by(|a, b| a.start < b.start && a.start < b.due),
                "{cron} in {zone}"
            );
            for minutes in 0..(to.since(from).as_millis() / 60_000 / 7) {
                let at = from.after(Duration::from_secs(minutes * 7 * 60));
                let expected = walked.iter().find(|next| next.due > at);
                if let Some(expected) = expected {
                    assert_eq!(
                        calendar.after(at).as_ref(),
                        Some(expected),
                        "{cron} in {zone} after {at:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn jitter_is_the_same_for_who_asks_again_and_another_for_another_plan() {
    let of = |salt: &str| {
        let schedule = Schedule {
            jitter: Duration::from_secs(600),
            ..Schedule::new("0 2 * * *")
        };
        let calendar = Calendar::new(&schedule, jiff::tz::TimeZone::UTC, salt).expect("right");
        calendar.after(instant("2026-11-27T12:00:00Z")).expect("it comes")
    };
    let (a, again, b) = (of("a"), of("a"), of("b"));
    assert_eq!(a, again);
    assert_ne!(a.start, b.start);
    assert_eq!(a.due, b.due);
    assert!(a.start.since(a.due) < Duration::from_secs(600));
}

#[test]
fn what_passed_is_counted_and_the_newest_is_found() {
    let check = |cron: &str, since: &str, now: &str, expected: Option<(u32, &str, &str)>| {
        let passed = calendar("UTC", cron, "0").passed(instant(since), instant(now));
        let found = passed.map(|passed| (passed.count, passed.first, passed.newest.due));
        let expected = expected.map(|(count, first, newest)| (count, instant(first), instant(newest)));
        assert_eq!(found, expected, "{cron}");
    };
    check("0 2 * * *", "2026-11-27T02:00:00Z", "2026-11-28T01:59:59Z", None);
    let two = "2026-11-28T02:00:00Z";
    check("0 2 * * *", "2026-11-27T02:00:00Z", two, Some((1, two, two)));
    check(
        "0 2 * * *",
        "2026-11-24T12:00:00Z",
        "2026-11-28T09:00:00Z",
        Some((4, "2026-11-25T02:00:00Z", two)),
    );
    // A year without power costs no look at each of its 31 million seconds.
    check(
        "* * * * * *",
        "2025-11-28T02:00:00Z",
        two,
        Some((Calendar::COUNT_MAX, "2025-11-28T02:00:01Z", two)),
    );
    // A clock that was set back.
    check("0 2 * * *", "2026-11-28T02:00:00Z", "2026-11-27T09:00:00Z", None);
}

#[test]
fn what_passed_is_decided_by_how_late_it_is_and_by_the_run_before() {
    let minute = |minutes: u64| Timestamp(minutes * 60_000);
    let passed = |due: u64| Passed {
        first: minute(due),
        newest: Occurrence {
            due: minute(due),
            start: minute(due),
            effect: None,
        },
        count: 1,
    };
    let check = |due: u64, now: u64, misfire, overlap, busy: &[(u64, Option<u64>)], expected| {
        let busy: Vec<Busy> = busy
            .iter()
            .map(|(from, until)| Busy {
                from: minute(*from),
                until: until.map(minute),
            })
            .collect();
        let decision = decide(&passed(due), minute(now), misfire, overlap, &busy);
        assert_eq!(
            decision, expected,
            "due {due}, now {now}, {misfire:?}, {overlap:?}, {busy:?}"
        );
    };
    use {Misfire as M, Overlap as O};
    check(100, 101, M::Skip, O::Forbid, &[], Decision::Start);
    check(100, 102, M::Skip, O::Forbid, &[], Decision::Start);
    check(100, 103, M::Skip, O::Forbid, &[], Decision::Missed);
    check(100, 103, M::Once, O::Forbid, &[], Decision::Start);
    // The run before is still going on.
    check(100, 100, M::Skip, O::Forbid, &[(90, None)], Decision::Overlapped);
    check(100, 100, M::Skip, O::Queue, &[(90, None)], Decision::Queue);
    check(100, 100, M::Skip, O::Allow, &[(90, None)], Decision::Start);
    // It ended before.
    check(100, 100, M::Skip, O::Forbid, &[(90, Some(95))], Decision::Start);
    // Nobody looked while it was going on; that is no misfire.
    check(
        100,
        200,
        M::Skip,
        O::Forbid,
        &[(90, Some(150))],
        Decision::Overlapped,
    );
    check(100, 200, M::Skip, O::Queue, &[(90, Some(150))], Decision::Start);
    check(
        100,
        200,
        M::Once,
        O::Forbid,
        &[(90, Some(150))],
        Decision::Overlapped,
    );
    // Late, and a run that began since is going on.
    check(100, 200, M::Once, O::Forbid, &[(150, None)], Decision::Overlapped);
    check(100, 200, M::Once, O::Queue, &[(150, None)], Decision::Queue);
    check(100, 200, M::Skip, O::Queue, &[(150, None)], Decision::Missed);
}

/// The place that is wrong stands between `<` and `>`.
#[track_caller]
fn check_wrong(marked: &str, message: &str, help: &str) {
    let text = marked.replace(['<', '>'], "");
    let start = marked.find('<').expect("a place");
    let end = marked.find('>').expect("a place") - 1;
    let error = Cron::parse(&text).expect_err(&text);
    assert_eq!(
        (error.place, error.message.as_str()),
        (start..end, message),
        "{text}"
    );
    assert!(error.help.contains(help), "{text}: {}", error.help);
}

#[test]
fn a_wrong_expression_is_wrong_in_a_place() {
    check_wrong("<61> 2 * * *", "`61` is no minute", "0 to 59");
    check_wrong("0 <24> * * *", "`24` is no hour", "0 to 23");
    check_wrong(
        "0 2 * * MON,<FRY>",
        "`FRY` is no day of the week",
        "`SUN` to `SAT`",
    );
    check_wrong("0 2 * <JANUARY> *", "`JANUARY` is no month", "`JAN` to `DEC`");
    check_wrong("0 2 <0> * *", "`0` is no day of the month", "`L`");
    check_wrong("<MON> 2 * * *", "`MON` is no minute", "0 to 59");
    check_wrong("0 <22-2> * * *", "`22-2` is no hour", "a range goes up");
    check_wrong("<*/0> * * * *", "`*/0` is no minute", "`*/15`");
    check_wrong(
        "0 1,<,>2 * * *",
        "an item of the list of the hour is empty",
        "comma",
    );
    check_wrong(
        "<0 2 * *>",
        "a cron expression has 5 fields, or 6 with seconds; this one has 4",
        "30 2 * * MON-FRI",
    );
    check_wrong(
        "<0 0 2 * * * 2027>",
        "a cron expression has 5 fields, or 6 with seconds; this one has 7",
        "minute",
    );
    check_wrong("<@reboot>", "`@reboot` stands for no times", "`@daily`");
    check_wrong("  <0 0 30 2 *>", "`0 0 30 2 *` never comes", "month");
    check_wrong("<   >", "this cron expression is empty", "0 2 * * *");
    check_wrong("0 2 * * <é>", "`é` is no day of the week", "MON-FRI");
}

#[test]
fn any_text_is_read_or_refused_in_a_place_that_is_in_it() {
    let texts = [
        "*/-1 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "- - - - -",
        "#L # # # #",
        "+ + + + +",
        "* * W * *",
        "* * 32W * *",
        "* * LW * *",
        "* * * * #",
        "* * * * MON#6",
        "99999999999 * * * *",
        "* * L-3 * *",
        "? ? ? ? ?",
        "* * * * FRIL",
        "*,1 * * * *",
        "1, * * * *",
        "* * 1W,L * MON#1",
    ];
    for text in texts {
        match Cron::parse(text) {
            Ok(cron) => assert!(
                cron.next(jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0), true)
                    .is_some(),
                "{text}"
            ),
            Err(error) => assert!(text.get(error.place.clone()).is_some(), "{text}: {error:?}"),
        }
    }
}

#[test]
fn zones_come_with_the_program() {
    let names = zone_names();
    for name in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "UTC",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}");
        assert!(bundled_zone(Some(name)).is_some(), "{name}");
    }
    assert!(bundled_zone(Some("Europe/Berln")).is_none());
}
