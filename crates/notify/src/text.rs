//! The small pieces that every text is made of: numbers, quantities, names, times, and how they are shortened.

use std::cmp::Ordering;

use jiff::Timestamp;
use unicode_segmentation::UnicodeSegmentation as _;

use domain::breach::{Breach, Comparison};
use domain::device::Unit;
use domain::display::{first_graphemes, first_that_fit, unlinked};
use domain::location::Location;

/// Whole numbers from here on are not written out: f64 no longer tells neighbours apart, and nothing that a washroom
/// sensor measures comes near.
const LARGEST: f64 = 1e15;
/// Decimals that a number gets at most; a f64 near 1 knows about 15.
const MOST_DECIMALS: usize = 9;
/// Decimals that a limit keeps at most: it is shown as it was written in the rules.
const LIMIT_DECIMALS: usize = 6;

/// The crossed limit in words: "ammonia 270 ppb (limit 200)".
#[must_use]
pub fn in_words(breach: &Breach) -> String {
    phrase(breach, &breach.label, Letters::Unicode)
}

/// `value` with its unit, as messages tell it: "270 ppb", "12.3°", "0.05 mg/m³".
#[must_use]
pub fn amount(value: f64, unit: Unit) -> String {
    quantity(&number(value), unit, Letters::Unicode)
}

/// The ids of `location` that are known, a line each, the device's first.
pub(super) fn ids(location: &Location) -> impl Iterator<Item = String> {
    let ids = [
        ("Device id", &location.device),
        ("Zone id", &location.zone),
        ("Project id", &location.project),
        ("Property id", &location.property),
    ];
    ids.into_iter().filter_map(|(name, id)| Some(format!("{name}: {}", unlinked(id.as_ref()?))))
}

/// The letters that a text may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    /// All of them.
    Unicode,
    /// Those of the GSM 7-bit alphabet, and of ASCII.
    Plain,
}

impl Letters {
    /// The mark that stands for what was cut.
    pub(super) fn ellipsis(self) -> &'static str {
        match self {
            Self::Unicode => "…",
            Self::Plain => "...",
        }
    }

    /// The symbol of `unit`.
    pub(super) fn symbol(self, unit: Unit) -> &'static str {
        match self {
            Self::Unicode => unit.symbol(),
            Self::Plain => unit.gsm_symbol(),
        }
    }
}

/// `value` as a person writes it: a whole number without decimals, otherwise up to two, below 1 up to three significant
/// digits. Never an exponent, never "-0".
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = if magnitude >= 1.0 || magnitude == 0.0 {
        2
    } else {
        // 0.05 has its first digit at the second decimal: log10 is −1.3, its floor −2.
        let first = (1..=MOST_DECIMALS).find(|&location| magnitude * 10f64.powi(location as i32) >= 1.0);
        first.map_or(MOST_DECIMALS, |first| (first + 2).min(MOST_DECIMALS))
    };
    with_decimals(value, decimals)
}

/// `value` with at most `decimals` decimals.
pub(super) fn with_decimals(value: f64, decimals: usize) -> String {
    if value.is_nan() {
        return "unknown".to_owned();
    }
    if value.abs() >= LARGEST {
        return format!("{}999999999999999", if value > 0.0 { "over " } else { "under -" });
    }
    let digits = format!("{value:.decimals$}");
    let shortest = if decimals == 0 { &digits } else { digits.trim_end_matches('0').trim_end_matches('.') };
    if shortest == "-0" { "0".to_owned() } else { shortest.to_owned() }
}

/// The value and the limit of `breach` as numbers that stand to each other as the real ones do: a value over the limit
/// is never shown equal to it, or under it. It gets more decimals until they differ.
pub(super) fn value_and_limit(breach: &Breach) -> (String, String) {
    let (value, limit) = (breach.value, breach.limit);
    let shown_limit = with_decimals(limit, LIMIT_DECIMALS);
    let relation = value.partial_cmp(&limit);
    if relation == Some(Ordering::Equal) {
        return (shown_limit.clone(), shown_limit);
    }
    let stands_right = |shown: &String| {
        let read = |text: &str| text.parse::<f64>().ok();
        read(shown).zip(read(&shown_limit)).is_some_and(|(value, limit)| value.partial_cmp(&limit) == relation)
    };
    let shown = number(value);
    // Where one is beyond every number that is written out, the words say so.
    let is_written_out = value.abs() < LARGEST && limit.abs() < LARGEST;
    if !is_written_out && shown != shown_limit || stands_right(&shown) {
        return (shown, shown_limit);
    }
    let exact_enough = (0..=MOST_DECIMALS).map(|decimals| with_decimals(value, decimals)).skip(2).find(stands_right);
    let shown = exact_enough.unwrap_or_else(|| {
        let side = if relation == Some(Ordering::Less) { "less" } else { "more" };
        format!("{side} than {shown_limit}")
    });
    (shown, shown_limit)
}

/// A number with its unit: "270 ppb", "3 %", and "12.3°" with the sign attached.
pub(super) fn quantity(number: &str, unit: Unit, letters: Letters) -> String {
    match letters.symbol(unit) {
        "" => number.to_owned(),
        "°" => format!("{number}°"),
        symbol => format!("{number} {symbol}"),
    }
}

/// What a flag says: its label where it is set, otherwise that it is not.
pub(super) fn flag(label: &str, value: f64) -> String {
    if value != 0.0 {
        label.to_owned()
    } else if label.ends_with("ed") {
        // A state of the location ("occupied"); the other flags are things ("motion", "spill").
        format!("not {label}")
    } else {
        format!("no {label}")
    }
}

/// A crossed limit in words, its name given as `label`: "ammonia 270 ppb (limit 200)".
pub(super) fn phrase(breach: &Breach, label: &str, letters: Letters) -> String {
    if breach.unit == Unit::Flag {
        return flag(label, breach.value);
    }
    let (value, limit) = value_and_limit(breach);
    let value = quantity(&value, breach.unit, letters);
    let from = if breach.comparison == Comparison::Deviates { " from its baseline" } else { "" };
    format!("{label} {value}{from} (limit {limit})")
}

/// The time of day at `location`, to the minute; with "UTC" where the local time is not known.
pub(super) fn clock(location: &Location, at: Timestamp) -> String {
    let wall = location.local_zone.on_the_wall(at).strftime("%H:%M");
    if location.local_zone.is_known() { wall.to_string() } else { format!("{wall} UTC") }
}

/// The date at `location`: "Wed 1 June 2022".
pub(super) fn date(location: &Location, at: Timestamp) -> String {
    location.local_zone.on_the_wall(at).strftime("%a %-d %B %Y").to_string()
}

/// Date and time to the second, with the zone that they are told in: "Wed 1 June 2022, 13:59:45 (Asia/Singapore)".
pub(super) fn date_and_time(location: &Location, at: Timestamp) -> String {
    let wall = location.local_zone.on_the_wall(at);
    let zone = match wall.time_zone().iana_name() {
        Some(name) => name.to_owned(),
        None => wall.strftime("UTC%:z").to_string(),
    };
    format!("{}, {} ({zone})", date(location, at), wall.strftime("%H:%M:%S"))
}

/// Width of `text` in UTF-16 code units, which is never less than its characters.
pub(super) fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// As many graphemes of `text` as fit into `room` by `width`, with `ellipsis` where some had to go.
/// A grapheme is never broken, so that no accent and no part of a joined emoji is left alone.
pub(super) fn cut_to_fit(text: &str, ellipsis: &str, room: usize, width: impl Fn(&str) -> usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let kept = first_that_fit(text, room.saturating_sub(width(ellipsis)), width);
    format!("{}{ellipsis}", kept.trim_end())
}

/// The first `graphemes` of `text`, with `ellipsis` where some had to go.
pub(super) fn cut_to_graphemes(text: &str, ellipsis: &str, graphemes: usize) -> String {
    let kept = first_graphemes(text, graphemes);
    if kept.len() == text.len() { text.to_owned() } else { format!("{}{ellipsis}", kept.trim_end()) }
}

/// How many graphemes `text` has: what a person counts as characters.
pub(super) fn graphemes(text: &str) -> usize {
    text.graphemes(true).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::breach;
    use domain::time::LocalZone;

    #[test]
    fn numbers_are_as_short_as_they_read_well() {
        for (value, expected) in [
            (270.0, "270"),
            (100.0, "100"),
            (30.4, "30.4"),
            (12.346, "12.35"),
            (1.999, "2"),
            (0.5, "0.5"),
            (0.1234, "0.123"),
            (0.01234, "0.0123"),
            (0.000_012_34, "0.0000123"),
            (0.9996, "1"),
            (0.0, "0"),
            (-0.0, "0"),
            (-0.000_000_000_1, "0"),
            (-68.0, "-68"),
            (-0.25, "-0.25"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e300, "over 999999999999999"),
            (-1e300, "under -999999999999999"),
            (f64::INFINITY, "over 999999999999999"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(number(value), expected, "{value:e}");
        }
    }

    #[test]
    fn a_value_beyond_its_limit_is_never_shown_at_it_or_on_its_other_side() {
        for (value, limit, expected) in [
            (270.0, 200.0, ("270", "200")),
            (200.0, 200.0, ("200", "200")),
            (1.960_000_1, 1.96, ("1.9600001", "1.96")),
            (99.996, 100.0, ("99.996", "100")),
            (4.999, 5.0, ("4.999", "5")),
            // With two decimals it would stand below.
            (1.963, 1.962, ("1.963", "1.962")),
            (0.123_456_7, 0.123_456_7, ("0.123457", "0.123457")),
            (1e-300, 0.0, ("more than 0", "0")),
            (200.000_000_000_000_03, 200.0, ("more than 200", "200")),
            (199.999_999_999_999_97, 200.0, ("less than 200", "200")),
            (1e300, 200.0, ("over 999999999999999", "200")),
        ] {
            let breach = breach("ODRDTR_BATT_V1", "aqi", value, Comparison::AtLeast, limit);
            let (shown, shown_limit) = value_and_limit(&breach);
            assert_eq!((shown.as_str(), shown_limit.as_str()), expected, "{value} {limit}");
        }
    }

    #[test]
    fn any_two_neighbours_are_shown_as_they_stand_to_each_other() {
        let mut seed = 1_u64;
        for round in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Limits as people write them: up to four decimals, either sign; values from 10⁻¹ to 10⁻⁸ away.
            let limit = ((seed >> 33) % 2_000_000) as f64 / 1e4 - 100.0;
            let value = limit + (((seed >> 20) % 19) as f64 - 9.0) * 10f64.powi(-(1 + round % 8));
            let (shown, shown_limit) = value_and_limit(&breach("TH", "t", value, Comparison::Above, limit));
            let (Ok(read), Ok(read_limit)) = (shown.parse::<f64>(), shown_limit.parse::<f64>()) else {
                assert!(shown.contains("than") && (value - limit).abs() < 1e-8, "{value} {limit}: {shown}");
                continue;
            };
            assert_eq!(read.partial_cmp(&read_limit), value.partial_cmp(&limit), "{value} {limit}: {shown}");
            assert!(!shown.contains('e') && shown != "-0", "{value}: {shown}");
        }
    }

    #[test]
    fn units_stand_apart_and_degrees_do_not() {
        assert_eq!(quantity("3", Unit::Percent, Letters::Unicode), "3 %");
        assert_eq!(quantity("12.3", Unit::Degree, Letters::Unicode), "12.3°");
        assert_eq!(quantity("12.3", Unit::Degree, Letters::Plain), "12.3 deg");
        assert_eq!(quantity("41.5", Unit::MicrogramsPerCubicMetre, Letters::Unicode), "41.5 µg/m³");
        assert_eq!(quantity("41.5", Unit::MicrogramsPerCubicMetre, Letters::Plain), "41.5 ug/m3");
        assert_eq!(quantity("30", Unit::One, Letters::Unicode), "30");
    }

    #[test]
    fn flags_say_what_is_or_what_is_not() {
        assert_eq!((flag("spill", 1.0).as_str(), flag("spill", 0.0).as_str()), ("spill", "no spill"));
        assert_eq!((flag("occupied", 1.0).as_str(), flag("occupied", 0.0).as_str()), ("occupied", "not occupied"));
    }

    #[test]
    fn a_place_is_called_by_its_name_else_its_id_else_its_kind() {
        let location = |display: Option<&str>, device: Option<&str>, device_type: &str| Location {
            display: display.map(Into::into),
            device: device.map(Into::into),
            device_type: device_type.to_owned(),
            ..Location::default()
        };
        assert_eq!(location(Some("Ladies L3"), Some("d1"), "UM").name(), "Ladies L3");
        assert_eq!(location(None, Some("d1"), "UM").name(), "device d1");
        assert_eq!(location(None, None, "UM").name(), "a people counter without a name");
        assert_eq!(location(None, None, "ODRDTR").name(), "an air quality sensor without a name");
        assert_eq!(location(None, None, "ACME#BIN").name(), "a device of type ACME#BIN without a name");
        assert_eq!(location(None, None, "").name(), "a device without a name");
    }

    #[test]
    fn times_are_those_on_the_wall_and_say_so_where_they_are_not() {
        let at: Timestamp = "2022-06-01T05:59:45.904Z".parse().unwrap();
        let told = |region: Option<&str>, offset_seconds| {
            let local_zone = LocalZone { region: region.map(Into::into), offset_seconds };
            let location = Location { local_zone, ..Location::default() };
            (clock(&location, at), date_and_time(&location, at))
        };
        for (region, offset, time, full) in [
            (Some("Asia/Singapore"), None, "13:59", "Wed 1 June 2022, 13:59:45 (Asia/Singapore)"),
            (Some("Asia/Atlantis"), Some(20_700), "11:44", "Wed 1 June 2022, 11:44:45 (UTC+05:45)"),
            (Some("America/New_York"), None, "01:59", "Wed 1 June 2022, 01:59:45 (America/New_York)"),
            (None, Some(-36_000), "19:59", "Tue 31 May 2022, 19:59:45 (UTC-10:00)"),
            (None, Some(0), "05:59", "Wed 1 June 2022, 05:59:45 (UTC)"),
            (None, None, "05:59 UTC", "Wed 1 June 2022, 05:59:45 (UTC)"),
            (Some("Asia/Atlantis"), None, "05:59 UTC", "Wed 1 June 2022, 05:59:45 (UTC)"),
        ] {
            assert_eq!(told(region, offset), (time.to_owned(), full.to_owned()));
        }
    }

    #[test]
    fn a_cut_never_breaks_what_a_person_sees_as_one_character() {
        let family = "👩\u{200d}👩\u{200d}👧";
        let name = format!("a{family}e\u{301}🇸🇬z");
        // Widths in UTF-16: a 1, the family 8, é 2, the flag 4, z 1; the ellipsis takes 1.
        for (room, expected) in [
            (16, name.clone()),
            (15, format!("a{family}e\u{301}…")),
            (12, format!("a{family}e\u{301}…")),
            (11, format!("a{family}…")),
            (9, "a…".to_owned()),
            (1, "…".to_owned()),
        ] {
            assert_eq!(cut_to_fit(&name, "…", room, utf16_units), expected, "{room}");
        }
        assert_eq!(cut_to_graphemes(&name, "…", 2), format!("a{family}…"));
        assert_eq!(cut_to_graphemes(&name, "…", 5), name);
        assert_eq!(cut_to_graphemes("two words", "...", 4), "two...");
    }
}
